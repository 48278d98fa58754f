//! What turns a request into something else, in place of OpenClaw's modules of JavaScript.

mod jq;
mod text_template;

pub use jq::{JqError, JqProgram};
pub use text_template::{TextTemplate, TextTemplateError};

/// What turns a request into something else: first the payload into another, then the whole into a text. Each may be
/// absent.
#[derive(Debug, Clone, Default)]
pub struct Transform {
    /// A program in the language of jq makes another payload, which templates then see.
    pub jq: Option<JqProgram>,
    /// A template in the language of Jinja makes the text.
    pub template: Option<TextTemplate>,
}
