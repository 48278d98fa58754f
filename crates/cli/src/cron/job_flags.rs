//! The flags that `add` and `edit` have in common, beside when, what and where to.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

/// What a job is called and how it runs, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
pub(super) struct JobFlags {
    /// The job's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A label for people, where the name is not enough
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// What the job is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The agent it runs as
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The session it runs in: main, isolated, current or session:NAME
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// The conversation that a `current` session continues, such as agent:main:main
    #[arg(long, value_name = "KEY")]
    session_key: Option<String>,
    /// When a text for the main session wakes it
    #[arg(long, value_name = "WHEN")]
    wake: Option<Wake>,
    /// Remove a one-shot job once it has completed (the default)
    #[arg(long, conflicts_with = "keep_after_run")]
    delete_after_run: bool,
    /// Keep a one-shot job once it has completed
    #[arg(long)]
    keep_after_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wake {
    Now,
    NextHeartbeat,
}

impl JobFlags {
    /// The session that was named.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref().map(str::trim)
    }

    /// The members of the API's JSON that are given.
    pub(super) fn read(&self) -> Map<String, Value> {
        let wake = self.wake.map(|wake| match wake {
            Wake::Now => "now",
            Wake::NextHeartbeat => "next-heartbeat",
        });
        let texts = [
            ("name", self.name.as_deref()),
            ("displayName", self.display_name.as_deref()),
            ("description", self.description.as_deref()),
            ("agentId", self.agent.as_deref()),
            ("sessionTarget", self.session()),
            ("sessionKey", self.session_key.as_deref()),
            ("wakeMode", wake),
        ];
        let mut members: Map<String, Value> = texts
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key.to_owned(), json!(value))))
            .collect();
        if self.delete_after_run || self.keep_after_run {
            members.insert("deleteAfterRun".to_owned(), json!(self.delete_after_run));
        }
        members
    }
}
