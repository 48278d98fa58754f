//! What turns a request into the fields of a hook's action, in place of OpenClaw's modules of JavaScript.

mod text_template;

pub use text_template::{TextTemplate, TextTemplateError};

/// What turns a request into the fields of a hook's action.
#[derive(Debug, Clone)]
pub enum Transform {
    /// A template in the language of Jinja makes the text.
    Template(TextTemplate),
}
