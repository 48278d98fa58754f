//! The flags that say what else happens around a job's runs, and after which jobs it begins.

use std::path::Path;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::document;

/// Hooks and chains, as they are typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Hooks and chains")]
pub(super) struct HookFlags {
    /// The hooks as the API's JSON: the JSON itself, or `@` and a file, where `@-` is standard input
    #[arg(long, value_name = "JSON|@FILE", value_parser = json_or_file)]
    hooks: Option<Value>,
    /// A gate: this line for `sh -lc` is run before each run (exit 0 goes on, 10 skips); may be given several times
    #[arg(long, value_name = "LINE", conflicts_with = "hooks")]
    hook_pre_command: Vec<String>,
    /// Run this line after a run that succeeded; may be given several times
    #[arg(long, value_name = "LINE", conflicts_with = "hooks")]
    hook_post_command: Vec<String>,
    /// Run this line after a run that failed; may be given several times
    #[arg(long, value_name = "LINE", conflicts_with = "hooks")]
    hook_error_command: Vec<String>,
    /// Run this line after every run; may be given several times
    #[arg(long, value_name = "LINE", conflicts_with = "hooks")]
    hook_always_command: Vec<String>,
    /// Begin when this job has ended: its id or name, then `:success` (the default), `:failure` or `:always`; may be given
    /// several times, and all of them together replace the old ones
    #[arg(long, value_name = "JOB[:END]", value_parser = after)]
    after: Vec<Value>,
    /// Tell the run nothing of what those jobs brought
    #[arg(long, requires = "after")]
    no_result: bool,
}

impl HookFlags {
    /// Whether the job begins when others have ended.
    pub(super) fn follows_jobs(&self) -> bool {
        !self.after.is_empty()
    }

    /// The members of the API's JSON that are given.
    pub(super) fn read(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let commands = [
            ("pre", &self.hook_pre_command),
            ("post", &self.hook_post_command),
            ("onError", &self.hook_error_command),
            ("always", &self.hook_always_command),
        ];
        let typed: Map<String, Value> = commands
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .map(|(stage, lines)| (stage.to_owned(), lines.iter().map(|line| command(line)).collect()))
            .collect();
        if let Some(hooks) = &self.hooks {
            members.insert("hooks".to_owned(), hooks.clone());
        } else if !typed.is_empty() {
            members.insert("hooks".to_owned(), Value::Object(typed));
        }
        if !self.after.is_empty() {
            let mut after = self.after.clone();
            for entry in after.iter_mut().filter(|_| self.no_result) {
                entry["passResult"] = json!(false);
            }
            members.insert("after".to_owned(), Value::Array(after));
        }
        members
    }
}

fn command(line: &str) -> Value {
    json!({ "kind": "command", "argv": ["sh", "-lc", line] })
}

fn json_or_file(text: &str) -> Result<Value, String> {
    match text.strip_prefix('@') {
        Some(path) => document::parse(Path::new(path)),
        None => serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}")),
    }
}

fn after(text: &str) -> Result<Value, &'static str> {
    let (job, on) = match text.rsplit_once(':') {
        Some((job, end @ ("success" | "failure" | "always"))) => (job, end),
        _ => (text, "success"),
    };
    if job.trim().is_empty() { Err("it names no job") } else { Ok(json!({ "job": job.trim(), "on": on })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_to_follow_is_read_with_and_without_its_end() {
        assert_eq!(after("daily").unwrap(), json!({ "job": "daily", "on": "success" }));
        assert_eq!(after("daily:always").unwrap(), json!({ "job": "daily", "on": "always" }));
        assert_eq!(after("team:daily").unwrap(), json!({ "job": "team:daily", "on": "success" }));
        assert_eq!(after(":failure"), Err("it names no job"));
    }
}
