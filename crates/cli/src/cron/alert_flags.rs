//! The flags that say when trouble of a job is told, and where.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clawhook_model::parse_duration;
use serde_json::{Map, Value, json};

/// When trouble is told, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Alerts")]
pub(super) struct AlertFlags {
    /// Tell of trouble, by the gateway's rules where none is given here
    #[arg(long, conflicts_with = "no_failure_alert")]
    failure_alert: bool,
    /// Tell nobody of trouble
    #[arg(long, conflicts_with_all = ["failure_alert_after", "failure_alert_channel", "failure_alert_to", "failure_alert_destination", "failure_alert_cooldown", "failure_alert_mode", "failure_alert_account_id", "failure_alert_include_skipped", "failure_alert_exclude_skipped", "failure_alert_fallback"])]
    no_failure_alert: bool,
    /// Tell after so many failures in a row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    failure_alert_after: Option<u32>,
    /// The shortest time between two alerts
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    failure_alert_cooldown: Option<Duration>,
    /// The way alerts take
    #[arg(long, value_name = "MODE")]
    failure_alert_mode: Option<Mode>,
    /// The chat channel of alerts
    #[arg(long, value_name = "CHANNEL")]
    failure_alert_channel: Option<String>,
    /// The URL or the recipient of alerts
    #[arg(long, value_name = "DEST", conflicts_with = "failure_alert_destination")]
    failure_alert_to: Option<String>,
    /// The destination of alerts
    #[arg(long, value_name = "NAME")]
    failure_alert_destination: Option<String>,
    /// The account that sends alerts to the channel
    #[arg(long, value_name = "ID")]
    failure_alert_account_id: Option<String>,
    /// Where an alert goes next, a URL or a destination; may be given several times
    #[arg(long, value_name = "URL|NAME")]
    failure_alert_fallback: Vec<String>,
    /// Count skipped runs, too
    #[arg(long, conflicts_with = "failure_alert_exclude_skipped")]
    failure_alert_include_skipped: bool,
    /// Count no skipped runs
    #[arg(long)]
    failure_alert_exclude_skipped: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Announce,
    Webhook,
}

impl AlertFlags {
    /// What the job is to say of alerts, as the API's JSON; `None` where the flags say nothing.
    pub(super) fn read(&self) -> Option<Value> {
        if self.no_failure_alert {
            return Some(json!(false));
        }
        let mut out = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        };
        put("after", self.failure_alert_after.map(|after| json!(after)));
        let ms = |cooldown: Duration| json!(u64::try_from(cooldown.as_millis()).unwrap_or(u64::MAX));
        put("cooldownMs", self.failure_alert_cooldown.map(ms));
        let mode = self.failure_alert_mode.map(|mode| match mode {
            Mode::Announce => json!("announce"),
            Mode::Webhook => json!("webhook"),
        });
        put("mode", mode);
        put("channel", self.failure_alert_channel.as_ref().map(|channel| json!(channel)));
        put("to", self.failure_alert_to.as_ref().map(|to| json!(to)));
        put("destination", self.failure_alert_destination.as_ref().map(|name| json!(name)));
        put("accountId", self.failure_alert_account_id.as_ref().map(|account| json!(account)));
        let several = (!self.failure_alert_fallback.is_empty()).then(|| json!(self.failure_alert_fallback));
        put("fallback", several);
        let counts = match (self.failure_alert_include_skipped, self.failure_alert_exclude_skipped) {
            (true, _) => Some(json!(true)),
            (_, true) => Some(json!(false)),
            _ => None,
        };
        put("includeSkipped", counts);
        (self.failure_alert || !out.is_empty()).then_some(Value::Object(out))
    }
}
