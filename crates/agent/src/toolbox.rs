//! The tools that a turn may use.

use async_trait::async_trait;
use serde_json::{Map, Value};

/// The tools of one turn: what is listed may be called, and nothing else. It is put together for the turn, by the policy of
/// its agent and of its job, and let go with it.
#[async_trait]
pub trait Toolbox: Send + Sync {
    /// The tools there are, in a stable order.
    fn tools(&self) -> &[ToolSpec];

    /// What is worth a note in the turn's diagnostics: tools that were left out.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// Calls a tool. A tool that is not listed is refused, one that fails or is too slow says so in its answer: neither
    /// ends the turn. Dropping the future gives the call up.
    async fn call(&self, name: &str, arguments: Map<String, Value>) -> ToolAnswer;

    /// How the tools can be reached by an agent that connects to them itself, as ACP agents do.
    fn servers(&self) -> Vec<ServerAddress>;

    /// Ends what was started for the turn, and returns when nothing of it is left. A toolbox that is dropped does the same,
    /// but nobody can wait for it.
    async fn close(self: Box<Self>);
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// `server__tool`, in letters, digits, `_` and `-`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    /// The answer; bounded, and cut with a mark where it is longer.
    pub text: String,
    /// Whether it failed.
    pub is_error: bool,
}

impl ToolAnswer {
    /// The answer to a call of a tool that is not in the box.
    pub(crate) fn no_such_tool(name: &str) -> Self {
        Self { text: format!("there is no tool `{name}`"), is_error: true }
    }
}

/// How a tool server can be reached. Its secrets are in it, so it is never shown.
#[derive(Clone)]
pub enum ServerAddress {
    /// A program that speaks over its standard input and output.
    Program {
        /// The server's name.
        name: String,
        /// The program and its arguments.
        argv: Vec<String>,
        /// Variables.
        env: Vec<(String, String)>,
    },
    /// A streamable HTTP endpoint.
    Http {
        /// The server's name.
        name: String,
        /// Where it is.
        url: String,
        /// Headers.
        headers: Vec<(String, String)>,
    },
}

/// No tools at all.
pub(crate) struct NoTools;

#[async_trait]
impl Toolbox for NoTools {
    fn tools(&self) -> &[ToolSpec] {
        &[]
    }

    async fn call(&self, name: &str, _arguments: Map<String, Value>) -> ToolAnswer {
        ToolAnswer::no_such_tool(name)
    }

    fn servers(&self) -> Vec<ServerAddress> {
        Vec::new()
    }

    async fn close(self: Box<Self>) {}
}
