//! The flags that say where the result goes.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Misuse;

/// Where the result goes, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Where to")]
pub(super) struct DeliveryFlags {
    /// Post the result to this address, signed; may be given several times
    #[arg(long, value_name = "URL", conflicts_with_all = ["announce", "no_deliver", "channel", "to", "account", "thread_id"])]
    webhook: Vec<String>,
    /// Post the result to this destination, signed; may be given several times, and beside --webhook
    #[arg(long, value_name = "NAME", conflicts_with_all = ["announce", "no_deliver", "channel", "to", "account", "thread_id"])]
    destination: Vec<String>,
    /// Send the result to a chat channel
    #[arg(long, conflicts_with = "no_deliver")]
    announce: bool,
    /// The chat channel
    #[arg(long, value_name = "CHANNEL", conflicts_with = "no_deliver")]
    channel: Option<String>,
    /// The recipient in the chat channel
    #[arg(long, value_name = "DEST", conflicts_with = "no_deliver")]
    to: Option<String>,
    /// The account that sends to the chat channel
    #[arg(long, value_name = "ID", conflicts_with = "no_deliver")]
    account: Option<String>,
    /// The thread in the chat channel
    #[arg(long, value_name = "ID", conflicts_with = "no_deliver")]
    thread_id: Option<String>,
    /// Count a run as completed even if its result does not arrive
    #[arg(long, conflicts_with = "no_deliver")]
    best_effort_deliver: bool,
    /// Send a result too that comes after its run was given up
    #[arg(long, conflicts_with = "no_deliver")]
    late_results: bool,
    /// Keep the result in the run history and send it nowhere
    #[arg(long)]
    no_deliver: bool,
}

impl DeliveryFlags {
    /// The settings of a new job as the API's JSON; `None` where the flags say nothing.
    pub(super) fn read_new(&self) -> Result<Option<Value>, Misuse> {
        let mut settings = self.read();
        if settings.is_empty() {
            return Ok(None);
        }
        if !settings.contains_key("mode") {
            if settings.keys().all(|key| key == "bestEffort" || key == "lateResults") {
                let flag = if self.best_effort_deliver { "--best-effort-deliver" } else { "--late-results" };
                return Err(Misuse::new(format!("{flag} needs --webhook, --destination or --announce")));
            }
            settings.insert("mode".to_owned(), json!("announce"));
        }
        Ok(Some(Value::Object(settings)))
    }

    /// The part of the settings that is given; empty where the flags say nothing.
    pub(super) fn read(&self) -> Map<String, Value> {
        let receivers = self.receivers();
        let mode = match self {
            _ if !receivers.is_empty() => Some("webhook"),
            Self { announce: true, .. } => Some("announce"),
            Self { no_deliver: true, .. } => Some("none"),
            _ => None,
        };
        let members = [
            ("mode", mode),
            ("to", self.to.as_deref()),
            ("channel", self.channel.as_deref()),
            ("accountId", self.account.as_deref()),
            ("threadId", self.thread_id.as_deref()),
        ];
        let mut settings: Map<String, Value> = members
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key.to_owned(), json!(value))))
            .collect();
        settings.extend(receivers);
        if self.best_effort_deliver {
            settings.insert("bestEffort".to_owned(), json!(true));
        }
        if self.late_results {
            settings.insert("lateResults".to_owned(), json!(true));
        }
        settings
    }

    /// The webhook's receivers: one as it is, several as a list.
    fn receivers(&self) -> Map<String, Value> {
        let urls = self.webhook.iter().map(|url| ("to".to_owned(), json!(url)));
        let named = self.destination.iter().map(|name| ("destination".to_owned(), json!(name)));
        let mut each: Vec<Map<String, Value>> =
            urls.chain(named).map(|member| Map::from_iter([member])).collect();
        if each.len() > 1 {
            return Map::from_iter([("targets".to_owned(), json!(each))]);
        }
        each.pop().unwrap_or_default()
    }
}
