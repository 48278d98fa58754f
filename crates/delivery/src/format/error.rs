//! Why a format cannot be used, and why an event cannot be rendered.

use std::fmt;

use thiserror::Error;

/// A text of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// The body's.
    Body,
    /// The one of this header.
    Header(String),
}

impl fmt::Display for TemplatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the template's body"),
            Self::Header(name) => write!(f, "the template's header `{name}`"),
        }
    }
}

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The template does not compile.
    #[error("{part}, line {line}: {what}")]
    Syntax {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The template uses a block that cannot be escaped in place.
    #[error(
        "{part}, line {line}: `{{% {block} %}}` is not served; use `{{% set name = value %}}` and filters"
    )]
    Block {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
        /// The block's word.
        block: &'static str,
    },
    /// The template uses a name that does not exist.
    #[error("{part}, line {line}: there is no `{name}`; {advice}")]
    UnknownName {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
        /// The name.
        name: String,
        /// What may be meant.
        advice: String,
    },
    /// The name of a header, or the content type, cannot be sent.
    #[error("`{0}` cannot be sent in a header")]
    Unsendable(String),
    /// The template fails on a sample event.
    #[error("on a sample event of status `{status}`: {error}")]
    Sample {
        /// The sample's status.
        status: &'static str,
        /// What happened.
        error: RenderError,
    },
}

/// Why an event cannot be rendered. Messages are for the destination's owner; only what the engine says of a failing
/// filter may quote the value that it failed on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The stored event cannot be read.
    #[error("the event is not the JSON of an event: {0}")]
    Event(String),
    /// The template fails.
    #[error("{part}, line {line}: {what}")]
    Template {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
        /// What happened.
        what: String,
    },
    /// A value stands where it could change the meaning of what follows.
    #[error(
        "{part}, line {line}: a value stands right after a backslash, which would escape its first character"
    )]
    AfterBackslash {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
    },
    /// The template puts out too much.
    #[error("{part} puts out more than {limit} bytes; cut long values with `truncate`")]
    TooLong {
        /// Which text.
        part: TemplatePart,
        /// The limit.
        limit: usize,
    },
    /// The template works too long.
    #[error("{part}, line {line}: the template does more work than one event may cost; loop over less")]
    TooMuchWork {
        /// Which text.
        part: TemplatePart,
        /// Where in it.
        line: usize,
    },
    /// The body is declared to be JSON and is not.
    #[error("what the template's body puts out is not JSON: {0}")]
    NotJson(String),
    /// A header's value cannot be sent.
    #[error(
        "the template's header `{name}` puts out a line break or another control character; add the filter `one_line`"
    )]
    HeaderValue {
        /// The header.
        name: String,
    },
}
