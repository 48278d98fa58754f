//! Templates that a destination's owner wrote, in the language of Jinja.
//!
//! A value can never change what stands around it: how it is written follows from where it stands. In a JSON body a
//! value inside a text (`"{{ event.summary }}"`) is written as the inside of a JSON text, and a value that stands by
//! itself (`{{ event.usage }}`) as JSON. No filter and no block switches that off.
//!
//! A template reads nothing but its event. It knows no files and no other templates; its work, its memory (both by
//! fuel), its depth and its output are bounded.

mod filters;
mod output;

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use clawhook_model::{RUN_FINISHED_SCHEMA, TemplateSpec};
use http::{HeaderMap, HeaderName, HeaderValue};
use minijinja::value::{Enumerator, Object};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use self::output::{BoundedWriter, Escaping, Position, TrackingWriter};
use super::error::{FormatError, RenderError, TemplatePart};
use super::facts::{Facts, unreadable};
use super::{RenderInput, Rendered};

/// The most that a body may have.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The most that one header may have.
const MAX_HEADER_BYTES: usize = 4 * 1024;
/// What one text may cost: so many steps, or sixty-four times as many bytes, about 6 MiB.
const FUEL: u64 = 100_000;
/// How deep calls may go.
const MAX_DEPTH: usize = 32;

/// The name that the body's text is compiled under; the others are those of their headers.
const BODY: &str = "\0body";
/// Under this name, which no template can write, the formatter finds where the output stands.
const POSITION: &str = "\0position";

/// Blocks whose content is gathered before it is known where it will stand, or that would switch escaping.
const REFUSED_BLOCKS: [&str; 3] = ["autoescape", "endset", "filter"];

/// A compiled template.
pub(super) struct Template {
    environment: Environment<'static>,
    escaping: Escaping,
    content_type: HeaderValue,
    headers: Vec<(HeaderName, String)>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("content_type", &self.content_type)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Template {
    /// Compiles a template, and holds its names against those there are.
    pub(super) fn compile(spec: &TemplateSpec) -> Result<Self, FormatError> {
        let content_type = spec.content_type();
        let mut template = Self {
            environment: environment(Escaping::of(content_type)),
            escaping: Escaping::of(content_type),
            content_type: HeaderValue::from_str(content_type.as_str())
                .map_err(|_| FormatError::Unsendable(content_type.to_string()))?,
            headers: Vec::with_capacity(spec.headers().len()),
        };
        template.add(BODY, spec.body(), &TemplatePart::Body)?;
        for header in spec.headers() {
            let name = HeaderName::from_bytes(header.name().as_bytes())
                .map_err(|_| FormatError::Unsendable(header.name().to_owned()))?;
            template.add(header.name(), header.value(), &TemplatePart::Header(header.name().to_owned()))?;
            template.headers.push((name, header.name().to_owned()));
        }
        Ok(template)
    }

    fn add(&mut self, name: &str, source: &str, part: &TemplatePart) -> Result<(), FormatError> {
        refuse_blocks(source, part)?;
        self.environment.add_template_owned(name.to_owned(), source.to_owned()).map_err(|error| {
            FormatError::Syntax { part: part.clone(), line: line_of(&error), what: what_of(&error) }
        })?;
        match self.environment.get_template(name) {
            Ok(template) => check_names(source, template.undeclared_variables(true), part),
            Err(error) => unreachable!("the template was just added: {error}"),
        }
    }

    /// What the template makes of an event.
    pub(super) fn render(&self, event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
        // What cannot be read is said at once, not where the template happens to look.
        Facts::read(event.body)?;
        let context = Arc::new(Context {
            kind: event.kind.to_owned(),
            body: event.body.clone(),
            event: read_event(event.body)?,
            text: OnceLock::new(),
            headline: OnceLock::new(),
            position: Arc::new(Position::default()),
        });
        Ok(Rendered {
            body: self.body(&context)?,
            content_type: self.content_type.clone(),
            headers: self.headers(&context)?,
        })
    }

    fn body(&self, context: &Arc<Context>) -> Result<Bytes, RenderError> {
        let mut gathered = BoundedWriter::new(MAX_BODY_BYTES);
        let writer = TrackingWriter { inner: &mut gathered, position: &context.position };
        if let Err(error) = self.run(BODY, context, writer) {
            return Err(render_error(&error, TemplatePart::Body, gathered.is_full(), MAX_BODY_BYTES));
        }
        let body = gathered.into_bytes();
        if self.escaping == Escaping::Json {
            serde_json::from_slice::<serde::de::IgnoredAny>(&body)
                .map_err(|error| RenderError::NotJson(error.to_string()))?;
        }
        Ok(body.into())
    }

    fn headers(&self, context: &Arc<Context>) -> Result<HeaderMap, RenderError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, given_name) in &self.headers {
            let mut gathered = BoundedWriter::new(MAX_HEADER_BYTES);
            if let Err(error) = self.run(given_name, context, &mut gathered) {
                let part = TemplatePart::Header(given_name.clone());
                return Err(render_error(&error, part, gathered.is_full(), MAX_HEADER_BYTES));
            }
            let value = HeaderValue::from_bytes(gathered.into_bytes().trim_ascii())
                .map_err(|_| RenderError::HeaderValue { name: given_name.clone() })?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    fn run(
        &self,
        name: &str,
        context: &Arc<Context>,
        writer: impl std::io::Write,
    ) -> Result<(), minijinja::Error> {
        let context = Value::from_dyn_object(context.clone());
        self.environment.get_template(name)?.render_captured_to(context, writer).map(drop)
    }
}

fn environment(escaping: Escaping) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    // What an event lacks is empty, however deep it is asked for; names that no event has are refused beforehand.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(move |out, state, value| {
        let escaping = if state.name() == BODY { escaping } else { Escaping::Plain };
        output::write_value(out, state, value, escaping)
    });
    filters::install(&mut environment);
    environment
}

/// What a template sees.
#[derive(Debug)]
struct Context {
    kind: String,
    body: Bytes,
    event: Value,
    text: OnceLock<Value>,
    headline: OnceLock<Value>,
    position: Arc<Position>,
}

impl Context {
    fn facts(&self) -> Facts<'_> {
        Facts::read(&self.body).unwrap_or_default()
    }
}

impl Object for Context {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "event" => Some(self.event.clone()),
            "text" => Some(self.text.get_or_init(|| Value::from(&*self.facts().text())).clone()),
            "headline" => {
                Some(self.headline.get_or_init(|| Value::from(self.facts().headline(&self.kind))).clone())
            }
            POSITION => Some(Value::from_dyn_object(self.position.clone())),
            _ => None,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&NAMES)
    }
}

/// The names that every template knows.
const NAMES: [&str; 3] = ["event", "text", "headline"];

/// The members of an event, by its published schema.
static MEMBERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let schema: serde_json::Value = serde_json::from_str(RUN_FINISHED_SCHEMA).unwrap_or_default();
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
});

fn read_event(body: &Bytes) -> Result<Value, RenderError> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

/// A misspelt name would be empty for ever, so it is an error.
fn check_names(
    source: &str,
    names: impl IntoIterator<Item = String>,
    part: &TemplatePart,
) -> Result<(), FormatError> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    for name in names {
        let mut path = name.split('.');
        let first = path.next().unwrap_or_default();
        let (unknown, known): (&str, Vec<&str>) = match (first, path.next()) {
            ("event", Some(member)) => (member, MEMBERS.iter().map(String::as_str).collect()),
            ("event", None) | ("range" | "dict", _) => continue,
            _ => (first, NAMES.to_vec()),
        };
        if !known.contains(&unknown) {
            return Err(FormatError::UnknownName {
                part: part.clone(),
                line: line_with(source, unknown),
                name: if first == "event" { format!("event.{unknown}") } else { unknown.to_owned() },
                advice: advice(unknown, &known),
            });
        }
    }
    Ok(())
}

fn advice(unknown: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &unknown.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

fn line_with(source: &str, name: &str) -> usize {
    source.lines().position(|line| line.contains(name)).map_or(1, |index| index + 1)
}

fn refuse_blocks(source: &str, part: &TemplatePart) -> Result<(), FormatError> {
    for (index, _) in source.match_indices("{%") {
        let inside = source[index + 2..].trim_start_matches(['-', '+']).trim_start();
        let word = inside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        if let Some(block) = REFUSED_BLOCKS.into_iter().find(|block| *block == word) {
            let line = 1 + source[..index].matches('\n').count();
            return Err(FormatError::Block { part: part.clone(), line, block });
        }
    }
    Ok(())
}

fn line_of(error: &minijinja::Error) -> usize {
    error.line().unwrap_or(1)
}

/// What is wrong, without the name and line that stand elsewhere.
fn what_of(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn render_error(error: &minijinja::Error, part: TemplatePart, is_full: bool, limit: usize) -> RenderError {
    let line = line_of(error);
    match error.kind() {
        _ if is_full => RenderError::TooLong { part, limit },
        ErrorKind::OutOfFuel => RenderError::TooMuchWork { part, line },
        ErrorKind::BadEscape => RenderError::AfterBackslash { part, line },
        _ => RenderError::Template { part, line, what: what_of(error) },
    }
}
