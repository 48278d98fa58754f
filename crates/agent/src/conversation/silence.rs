//! The one tool of our own: an agent says, as a fact and not in words, that there is nothing to report.

use serde_json::{Map, Value, json};

use crate::toolbox::ToolSpec;

/// Its name. Names of servers' tools have two underscores after the server, so it is none of theirs.
pub(crate) const NOTHING_TO_REPORT: &str = "nothing_to_report";

/// The text of a silent result that gives no reason; OpenClaw's word for it (contract §2.5).
const NO_REPLY: &str = "NO_REPLY";

/// The longest reason that is kept.
const LONGEST_REASON: usize = 2_000;

/// The tool as a model is told of it.
pub(crate) fn tool() -> ToolSpec {
    ToolSpec {
        name: NOTHING_TO_REPORT.to_owned(),
        description:
            "Ends this run in silence: nobody is told anything. Call it instead of answering only where your \
                      instructions say not to report in this case. In every other case answer in words."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": { "reason": { "type": "string", "description": "Why there is nothing to report." } },
            "additionalProperties": false,
        }),
    }
}

/// The text of the result.
pub(crate) fn text(arguments: &Map<String, Value>) -> String {
    let reason =
        arguments.get("reason").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    reason.map_or_else(|| NO_REPLY.to_owned(), |reason| reason.chars().take(LONGEST_REASON).collect())
}
