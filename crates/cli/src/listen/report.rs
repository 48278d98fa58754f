//! What is shown and logged of a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use clawhook_model::UnixMs;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::moment;
use crate::output::{self, printable, printable_lines};

/// How many lines of a result are shown to a person.
const MOST_LINES: usize = 20;

/// A request, and what was answered.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) at: UnixMs,
    pub(super) status: u16,
    pub(super) verdict: Verdict,
    pub(super) signature: Signature,
    pub(super) why: Option<String>,
    /// The path without its query, in which a token may stand.
    pub(super) path: String,
    pub(super) bytes: usize,
    pub(super) sha256: String,
    pub(super) webhook_id: Option<String>,
    pub(super) attempt: Option<String>,
    /// The body's JSON, where it is genuine.
    pub(super) event: Option<Value>,
}

/// What was made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Handled.
    Accepted,
    /// Handled before.
    Duplicate,
    /// Answered with an error on purpose.
    Failed,
    /// Not genuine, or not a webhook.
    Refused,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// What the signature was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Signature {
    /// Right.
    Valid,
    /// Wrong or missing.
    Wrong,
    /// Not looked at.
    Unverified,
}

impl Signature {
    fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "signature valid",
            Self::Wrong => "signature wrong",
            Self::Unverified => "not verified",
        }
    }
}

impl Report {
    /// A line of the request log.
    fn log_line(&self) -> Value {
        let mut line = json!({
            "time": self.at.to_rfc3339(),
            "status": self.status,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "path": self.path,
            "verdict": self.verdict,
            "signature": self.signature,
        });
        let id = |name: &str| self.event.as_ref().and_then(|event| event[name].as_str());
        let more = [
            ("error", self.why.as_deref()),
            ("webhookId", self.webhook_id.as_deref()),
            ("attempt", self.attempt.as_deref()),
            ("jobId", id("jobId")),
            ("runId", id("runId")),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                line[key] = json!(value);
            }
        }
        line
    }

    /// The same with the event whole, for programs.
    fn json_line(&self) -> Value {
        let mut line = self.log_line();
        line["event"] = json!(self.event);
        line
    }

    /// For people: a headline, the ids, and the result.
    fn text(&self) -> String {
        let Self { at, status, verdict, signature, bytes, .. } = self;
        let mut text = format!("{at}  {status} {}  {}\n", verdict.as_str(), self.headline());
        let attempt = self.attempt.as_ref().map(|attempt| format!("try {}, ", printable(attempt)));
        text.push_str(&format!(
            "    {}{}, {bytes} bytes, sha256 {}\n",
            attempt.unwrap_or_default(),
            signature.as_str(),
            self.sha256
        ));
        let Some(event) = &self.event else { return text };
        if let (Some(job), Some(run)) = (event["jobId"].as_str(), event["runId"].as_str()) {
            text.push_str(&format!("    job {}, run {}\n", printable(job), printable(run)));
        }
        if *verdict == Verdict::Accepted {
            text.push_str(&result(event));
        }
        text
    }

    fn headline(&self) -> String {
        let Some(event) = &self.event else {
            return printable(self.why.as_deref().unwrap_or("no JSON"));
        };
        let member = |name: &str| event[name].as_str().map(printable);
        let name =
            member("jobName").or_else(|| member("jobId")).unwrap_or_else(|| "no job's event".to_owned());
        let status = member("status").or_else(|| member("action")).unwrap_or_default();
        let took = event["durationMs"].as_u64().map(|took| format!(" in {}", moment::length(took)));
        format!("{name}: {status}{}", took.unwrap_or_default())
    }
}

/// What came of the run, a few lines of it.
fn result(event: &Value) -> String {
    let lines = |name: &str| event[name].as_str().map(printable_lines).unwrap_or_default();
    let (error, summary) = (lines("error"), lines("summary"));
    let all: Vec<&str> = error.lines().chain(summary.lines()).collect();
    let mut text: String = all.iter().take(MOST_LINES).map(|line| format!("    | {line}\n")).collect();
    if all.len() > MOST_LINES {
        text.push_str(&format!("    | … and {} lines more\n", all.len() - MOST_LINES));
    }
    text
}

/// Shows and logs what has arrived, in order.
pub(super) struct Printer {
    json: bool,
    log: Option<File>,
}

impl Printer {
    /// A printer that appends to `log`.
    pub(super) fn open(json: bool, log: Option<&Path>) -> Result<Self, Failure> {
        let open = |path: &Path| {
            OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                Failure::error(format!("cannot append to the request log `{}`: {error}", path.display()))
            })
        };
        Ok(Self { json, log: log.map(open).transpose()? })
    }

    /// Prints until nothing can come any more.
    pub(super) fn run(mut self, mut reports: mpsc::Receiver<Report>) -> Result<(), Failure> {
        while let Some(report) = reports.blocking_recv() {
            self.log(&report).map_err(|error| Failure::error(format!("the request log: {error}")))?;
            output::data(&if self.json { report.json_line().to_string() } else { report.text() })?;
        }
        Ok(())
    }

    fn log(&mut self, report: &Report) -> io::Result<()> {
        match &mut self.log {
            // One write for each line, so that lines of several processes never mix.
            Some(log) => log.write_all(format!("{}\n", report.log_line()).as_bytes()),
            None => Ok(()),
        }
    }
}
