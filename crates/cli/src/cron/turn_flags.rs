//! The flags that say how an agent takes its turn.

use clap::Args;
use clawhook_model::Thinking;
use serde_json::{Map, Value, json};

/// How an agent takes its turn, as it is typed. What is left out is the agent's own.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "How an agent does it")]
pub(super) struct TurnFlags {
    /// The model of the turn, `provider/model`
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["system_event", "command", "command_argv"])]
    model: Option<String>,
    /// The models to ask where that one fails, with commas between them; `""` is none
    #[arg(long, value_name = "LIST", value_parser = list, conflicts_with_all = ["system_event", "command", "command_argv"])]
    fallbacks: Option<List>,
    /// How hard the model is to think
    #[arg(long, value_name = "LEVEL", value_parser = thinking, conflicts_with_all = ["system_event", "command", "command_argv"])]
    thinking: Option<Thinking>,
    /// Which of the agent's tools it may use, with commas between them; `""` is none
    #[arg(long, value_name = "LIST", value_parser = list, conflicts_with_all = ["system_event", "command", "command_argv"])]
    tools: Option<List>,
    /// Leave the files of the agent's workspace out of its prompt
    #[arg(long, conflicts_with_all = ["system_event", "command", "command_argv"])]
    light_context: bool,
}

/// A list as it is typed.
#[derive(Clone)]
struct List(Vec<String>);

impl TurnFlags {
    /// Puts what is given into the payload.
    pub(super) fn put(&self, payload: &mut Map<String, Value>) {
        let members = [
            ("model", self.model.as_ref().map(|model| json!(model))),
            ("fallbacks", self.fallbacks.as_ref().map(|list| json!(list.0))),
            ("thinking", self.thinking.map(|level| json!(level.as_str()))),
            ("toolsAllow", self.tools.as_ref().map(|list| json!(list.0))),
            ("lightContext", self.light_context.then(|| json!(true))),
        ];
        let given = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        payload.extend(given);
    }
}

/// Texts with commas between them; a blank one is none.
#[expect(clippy::unnecessary_wraps, reason = "clap takes parsers that can fail")]
fn list(text: &str) -> Result<List, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Ok(List(entries.map(str::to_owned).collect()))
}

fn thinking(text: &str) -> Result<Thinking, String> {
    text.parse().map_err(|_| {
        let levels = Thinking::ALL.map(Thinking::as_str);
        format!("expected one of {}", levels.join(", "))
    })
}
