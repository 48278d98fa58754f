//! The templates of OpenClaw's mappings: text with `{{ … }}` in it, and in the braces a path into the request.
//!
//! What such a path stands for is decided when the configuration is read; what it finds is data from outside and is kept
//! apart from the operator's own words, so that it can be fenced.

use std::borrow::Cow;
use std::fmt;

use clawhook_model::{Fence, UnixMs};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::request::Head;

/// The longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// The most that one template may come to, in bytes.
const MAX_RENDERED_BYTES: usize = 512 * 1024;
/// How deep a path may go.
const MAX_SEGMENTS: usize = 32;
/// Members that every object of JavaScript has.
const REFUSED_MEMBERS: [&str; 3] = ["__proto__", "prototype", "constructor"];

/// A text with places for what a request holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    source: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Own(String),
    Found(Lookup),
}

/// Where in a request something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Path,
    Now,
    Header(String),
    Query(String),
    Payload(Vec<Segment>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Index(usize),
}

/// Why a text is no template, or no path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// Braces that do not close.
    #[error("holds `{{{{` without `}}}}`: {0}")]
    Unclosed(String),
    /// Braces around nothing.
    #[error("holds `{{{{ }}}}` with nothing in it")]
    Empty,
    /// Something in braces that is no path.
    #[error("`{0}` is no path into the request")]
    Path(String),
    /// A member that every object of JavaScript has.
    #[error("`{0}` names `__proto__`, `prototype` or `constructor`, which are refused")]
    Prototype(String),
    /// Too long.
    #[error("is larger than {MAX_TEMPLATE_BYTES} bytes")]
    TooLarge,
}

impl TemplateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Path(_) | Self::Empty => Some(
                "write `payload.a.b[0]`, a bare path such as `a.b`, `headers.x-name`, `query.name`, `path` or `now`; \
                 for conditions and filters use `transform.template`",
            ),
            Self::Unclosed(_) => Some("close it with `}}`"),
            Self::Prototype(_) | Self::TooLarge => None,
        }
    }
}

/// What a template came to more than.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the hook's text would be larger than {MAX_RENDERED_BYTES} bytes")]
pub(crate) struct TooMuchText;

/// What a template sees.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) sub_path: &'a str,
    pub(crate) now: UnixMs,
    pub(crate) payload: &'a Value,
}

impl Context<'_> {
    /// The headers by their names in lower case.
    pub(crate) fn headers(&self) -> Map<String, Value> {
        let headers = self.head.headers.keys();
        let pair = |name: &http::HeaderName| {
            Some((name.as_str().to_owned(), self.head.joined_header(name.as_str())?.into()))
        };
        headers.filter_map(pair).collect()
    }

    /// The members of the query; of those that came twice the first.
    pub(crate) fn query(&self) -> Map<String, Value> {
        let mut members = Map::new();
        for (name, value) in self.head.query_pairs() {
            members.entry(name).or_insert_with(|| value.into());
        }
        members
    }
}

/// What a template came to: the operator's words and what was found, in turns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    is_external: bool,
}

impl Template {
    /// Reads a template.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLarge);
        }
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((own, after)) = rest.split_once("{{") {
            let Some((inside, after)) = after.split_once("}}") else {
                return Err(TemplateError::Unclosed(shortened(after)));
            };
            if !own.is_empty() {
                parts.push(Part::Own(own.to_owned()));
            }
            parts.push(Part::Found(Lookup::parse(inside)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Own(rest.to_owned()));
        }
        Ok(Self { parts, source: source.to_owned() })
    }

    /// The text itself, where nothing of the request is in it.
    pub fn as_fixed(&self) -> Option<&str> {
        let is_own = |part: &Part| matches!(part, Part::Own(_));
        self.parts.iter().all(is_own).then_some(self.source.as_str())
    }

    /// The words before the first place.
    pub fn fixed_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Own(text)) => text,
            _ => "",
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn render(&self, context: &Context<'_>) -> Result<Rendered, TooMuchText> {
        let mut rendered = Rendered::default();
        let mut left = MAX_RENDERED_BYTES;
        for part in &self.parts {
            let (text, is_external) = match part {
                Part::Own(text) => (Cow::Borrowed(text.as_str()), false),
                Part::Found(lookup) => lookup.text(context),
            };
            left = left.checked_sub(text.len()).ok_or(TooMuchText)?;
            rendered.push(&text, is_external);
        }
        Ok(rendered)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

impl Lookup {
    /// Reads a path as it stands in braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.trim();
        let place = match text {
            "" => return Err(TemplateError::Empty),
            "path" => Place::Path,
            "now" => Place::Now,
            _ => match text.split_once('.') {
                Some(("headers", name)) => Place::Header(header_name(text, name)?),
                Some(("query", name)) => Place::Query(query_name(text, name)?),
                Some(("payload", path)) => Place::Payload(segments(text, path)?),
                _ => Place::Payload(segments(text, text)?),
            },
        };
        Ok(Self(place))
    }

    /// What stands there as text, and whether it came from outside and could say something.
    pub(crate) fn text<'a>(&self, context: &Context<'a>) -> (Cow<'a, str>, bool) {
        match &self.0 {
            Place::Path => (Cow::Borrowed(context.sub_path), true),
            Place::Now => (Cow::Owned(context.now.to_rfc3339()), false),
            Place::Header(name) => (Cow::Owned(context.head.joined_header(name).unwrap_or_default()), true),
            Place::Query(name) => (Cow::Owned(context.head.query_value(name).unwrap_or_default()), true),
            Place::Payload(path) => match found(path, context.payload) {
                None | Some(Value::Null) => (Cow::Borrowed(""), false),
                Some(Value::Bool(flag)) => (Cow::Borrowed(if *flag { "true" } else { "false" }), false),
                Some(Value::Number(number)) => (Cow::Owned(number_text(number)), false),
                Some(Value::String(text)) => (Cow::Borrowed(text.as_str()), true),
                Some(other) => (Cow::Owned(other.to_string()), true),
            },
        }
    }
}

/// A number as JavaScript writes it, which knows no difference between 1 and 1.0.
fn number_text(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < EXACT => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

fn found<'v>(path: &[Segment], payload: &'v Value) -> Option<&'v Value> {
    path.iter().try_fold(payload, |value, segment| match (segment, value) {
        (Segment::Member(name), Value::Object(members)) => members.get(name),
        (Segment::Index(index), Value::Array(elements)) => elements.get(*index),
        _ => None,
    })
}

fn header_name(whole: &str, name: &str) -> Result<String, TemplateError> {
    match name.parse::<http::HeaderName>() {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(TemplateError::Path(shortened(whole))),
    }
}

fn query_name(whole: &str, name: &str) -> Result<String, TemplateError> {
    if is_member(name) { Ok(name.to_owned()) } else { Err(TemplateError::Path(shortened(whole))) }
}

fn is_member(name: &str) -> bool {
    let is_fit = |c: char| c.is_alphanumeric() || "_-$@:/#+*~".contains(c);
    !name.is_empty() && name.chars().all(is_fit)
}

/// `a.b[0].c`.
fn segments(whole: &str, path: &str) -> Result<Vec<Segment>, TemplateError> {
    let wrong = || TemplateError::Path(shortened(whole));
    let mut segments = Vec::new();
    for part in path.split('.') {
        let (name, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        if REFUSED_MEMBERS.contains(&name) {
            return Err(TemplateError::Prototype(shortened(whole)));
        }
        match name {
            // `[0]` may stand at the very beginning only, where the whole is taken for a list.
            "" if segments.is_empty() && !indices.is_empty() => {}
            name if is_member(name) => segments.push(Segment::Member(name.to_owned())),
            _ => return Err(wrong()),
        }
        while !indices.is_empty() {
            let (index, rest) =
                indices.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
            segments.push(Segment::Index(index.parse().map_err(|_| wrong())?));
            indices = rest;
        }
    }
    if segments.len() > MAX_SEGMENTS { Err(wrong()) } else { Ok(segments) }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Rendered {
    /// Adds a piece, unless it is empty.
    pub(crate) fn push(&mut self, text: &str, is_external: bool) {
        if !text.is_empty() {
            self.pieces.push(Piece { text: text.to_owned(), is_external });
        }
    }

    /// Text that came from outside as a whole.
    pub(crate) fn external(text: String) -> Self {
        Self { pieces: vec![Piece { text, is_external: true }] }
    }

    /// Text of the operator.
    pub(crate) fn own(text: String) -> Self {
        Self { pieces: vec![Piece { text, is_external: false }] }
    }

    /// All of it as it is.
    pub(crate) fn plain(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// Whether there is nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.pieces.iter().all(|piece| piece.text.trim().is_empty())
    }

    /// The text with what came from outside in a fence, each piece in lines of its own.
    pub(crate) fn fenced(&self) -> String {
        let external = || self.pieces.iter().filter(|piece| piece.is_external);
        let fence = Fence::of(external().map(|piece| piece.text.as_str()));
        let mut out = String::new();
        let mut after_fence = false;
        for piece in &self.pieces {
            let begins_line = out.is_empty() || out.ends_with('\n');
            if piece.is_external {
                if !begins_line {
                    out.push('\n');
                }
                out.push_str(&fence.around(&piece.text));
            } else {
                if after_fence && !piece.text.starts_with('\n') {
                    out.push('\n');
                }
                out.push_str(&piece.text);
            }
            after_fence = piece.is_external;
        }
        out
    }
}

#[cfg(test)]
mod tests;
