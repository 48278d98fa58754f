//! Texts made by a template in the language of Jinja, with conditions, loops and filters.
//!
//! What an expression writes is marked, so that it can be fenced apart from the operator's own words. A template reads
//! nothing but its request; its work and its memory (both by fuel), its depth and its output are bounded.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
};
use serde::Deserialize as _;
use thiserror::Error;

use crate::template::{Context, MAX_TEMPLATE_BYTES, Rendered};

/// What one text may cost: so many steps, or sixty-four times as many bytes.
const FUEL: u64 = 100_000;
/// How deep calls may go.
const MAX_DEPTH: usize = 32;
/// The most that one text may have, in bytes.
const MAX_BYTES: usize = 512 * 1024;
/// The name that the text is compiled under.
const NAME: &str = "text";
/// The names that a template knows.
const NAMES: [&str; 5] = ["payload", "headers", "query", "path", "now"];

/// What stands before and after what an expression wrote: code points that are no characters.
const BEGIN: char = '\u{fdd0}';
const END: char = '\u{fdd1}';
/// What stands for them where they come from outside.
const REPLACEMENT: &str = "\u{fffd}";

/// A compiled template.
#[derive(Clone)]
pub struct TextTemplate(Arc<Environment<'static>>);

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextTemplateError {
    /// It cannot be read.
    #[error("cannot be read in line {line}: {what}")]
    Syntax {
        /// The line.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A name that there is not.
    #[error("names `{name}`; there are payload, headers, query, path and now")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// Too long, or with a code point in it that is no character.
    #[error("is larger than {MAX_TEMPLATE_BYTES} bytes, or holds a code point that is no character")]
    Form,
}

impl TextTemplate {
    /// Compiles a template, and holds its names against those there are.
    pub fn parse(source: &str) -> Result<Self, TextTemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES || source.contains([BEGIN, END]) {
            return Err(TextTemplateError::Form);
        }
        let mut environment = environment();
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            TextTemplateError::Syntax { line: error.line().unwrap_or(1), what: what_of(&error) }
        })?;
        if let Ok(template) = environment.get_template(NAME) {
            let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
            names.sort_unstable();
            let known = |name: &str| NAMES.contains(&name) || ["range", "dict"].contains(&name);
            if let Some(name) = names.into_iter().find(|name| !known(name)) {
                return Err(TextTemplateError::UnknownName { name });
            }
        }
        let template = Self(Arc::new(environment));
        template.try_out()?;
        Ok(template)
    }

    /// Runs it over a request with nothing in it. Filters and functions that there are not show themselves only so, where the
    /// way leads by them; what else goes wrong may be for want of a payload.
    fn try_out(&self) -> Result<(), TextTemplateError> {
        let nothing = context! {
            payload => Value::from_pairs([] as [(&str, Value); 0]), headers => Value::from_pairs([] as [(&str, Value); 0]),
            query => Value::from_pairs([] as [(&str, Value); 0]), path => "", now => "",
        };
        let Ok(template) = self.0.get_template(NAME) else { return Ok(()) };
        match template.render_captured_to(nothing, &mut Gathered(Vec::new())).map(drop) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
                ) =>
            {
                Err(TextTemplateError::Syntax { line: error.line().unwrap_or(1), what: what_of(&error) })
            }
            _ => Ok(()),
        }
    }

    /// What the template makes of a request.
    pub(crate) fn render(&self, request: &Context<'_>) -> Result<Rendered, String> {
        let read = |error: serde_json::Error| format!("the request cannot be given to the template: {error}");
        let values = context! {
            payload => Value::deserialize(request.payload).map_err(read)?,
            headers => Value::deserialize(serde_json::Value::Object(request.headers())).map_err(read)?,
            query => Value::deserialize(serde_json::Value::Object(request.query())).map_err(read)?,
            path => request.sub_path,
            now => request.now.to_rfc3339(),
        };
        let mut gathered = Gathered(Vec::new());
        let template = self.0.get_template(NAME).map_err(|error| what_of(&error))?;
        template.render_captured_to(values, &mut gathered).map_err(|error| {
            format!("the template failed in line {}: {}", error.line().unwrap_or(1), what_of(&error))
        })?;
        Ok(parted(&String::from_utf8_lossy(&gathered.0)))
    }
}

impl fmt::Debug for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextTemplate")
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, state, value| write_marked(out, state, value));
    for name in ["debug", "namespace"] {
        environment.remove_global(name);
    }
    for name in ["safe", "escape", "e", "pprint"] {
        environment.remove_filter(name);
    }
    environment.add_filter("tojson", |value: &Value| json_of(value));
    environment.add_filter("truncate", |value: &Value, characters: usize| -> Result<String, Error> {
        let text = text_of(value)?;
        let cut: String = text.chars().take(characters).collect();
        Ok(if cut.len() < text.len() { format!("{cut}…") } else { cut })
    });
    environment
}

/// Writes what an expression came to between marks, unless it is a number or a truth value, which can say nothing.
fn write_marked(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    const BYTES_PER_FUEL: usize = 64;
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        ValueKind::Number | ValueKind::Bool => Ok(out.write_str(&json_of(value)?)?),
        _ => {
            let text = text_of(value)?.replace([BEGIN, END], REPLACEMENT);
            state.consume_fuel((text.len() / BYTES_PER_FUEL) as u64)?;
            out.write_char(BEGIN)?;
            out.write_str(&text)?;
            Ok(out.write_char(END)?)
        }
    }
}

fn text_of(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() || value.is_none() => Ok(String::new()),
        None => json_of(value),
    }
}

fn json_of(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, format!("a value is not JSON: {error}")))
}

/// The operator's words and what expressions wrote, in turns.
fn parted(marked: &str) -> Rendered {
    let mut rendered = Rendered::default();
    let mut rest = marked;
    while let Some((own, after)) = rest.split_once(BEGIN) {
        rendered.push(own, false);
        let (external, after) = after.split_once(END).unwrap_or((after, ""));
        rendered.push(external, true);
        rest = after;
    }
    rendered.push(rest, false);
    rendered
}

/// Output up to a limit.
struct Gathered(Vec<u8>);

impl io::Write for Gathered {
    fn write(&mut self, output: &[u8]) -> io::Result<usize> {
        if self.0.len() + output.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(output);
        Ok(output.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn what_of(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
