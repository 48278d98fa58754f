//! What a turn tells while it goes on, for whoever watches. Nothing depends on its being heard.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// Where a turn tells what it brings. Telling never waits and never fails; nobody may be listening.
#[derive(Clone, Default)]
pub struct LiveOutput(Option<Arc<dyn Fn(LivePiece) + Send + Sync>>);

/// A piece of what a turn brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LivePiece {
    /// A model is asked, the first one or the next after one that failed.
    Asked {
        /// Its provider.
        provider: String,
        /// Its name there.
        model: String,
    },
    /// The agent says something more.
    Text {
        /// What is added.
        text: String,
    },
    /// The agent thinks.
    Thinking {
        /// What is added.
        text: String,
    },
    /// The agent uses a tool.
    ToolCall {
        /// The tool.
        name: String,
        /// What it is given.
        arguments: Value,
    },
    /// A tool has answered.
    ToolResult {
        /// The tool.
        name: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// A command printed something.
    Output {
        /// What is added.
        text: String,
    },
    /// Something worth knowing: a model failed and another is asked, a permission was refused.
    Note {
        /// What.
        text: String,
    },
}

impl LiveOutput {
    /// Tells `listener`, which must neither block nor panic.
    pub fn to(listener: impl Fn(LivePiece) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells a piece; it is made only where somebody listens.
    pub fn tell(&self, piece: impl FnOnce() -> LivePiece) {
        if let Some(listener) = &self.0 {
            listener(piece());
        }
    }
}

impl fmt::Debug for LiveOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveOutput").field(&self.0.is_some()).finish()
    }
}
