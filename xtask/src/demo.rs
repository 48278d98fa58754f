//! The whole way of one result, with nothing pretended: the gateway runs the documentation's daily summary with a
//! real model, and a receiver in Express verifies the signed event and answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::model_server::{Installation, ModelError};
use crate::process::{self, ProcessError};
use crate::progress::Progress;
use crate::stage::{self, Place, Stage, StageError};
use crate::workspace::{self, BuiltWith};

const EVENT_WITHIN: Duration = Duration::from_secs(60);
const EVENT_PREFIX: &str = "OpenClaw cron event: ";
const ENGLISH_MESSAGE: &str = "Put together today's highlights and open tasks, and output a concise summary.";
/// How much of a long text is shown.
const SHOWN_CHARS: usize = 240;

/// What the demo is to show.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// Show less and prove more: an English job as well, and the model asked by itself first
    #[arg(long)]
    pub(crate) check: bool,
    /// Leave everything running until Enter is pressed, so that you can look around
    #[arg(long, conflicts_with = "check")]
    pub(crate) keep: bool,
}

/// Why the demo did not show what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("the demo's model can't be used")]
    Model(#[from] ModelError),
    #[error("the demo can't be set up")]
    Stage(#[from] StageError),
    #[error("a command of the demo failed")]
    Process(#[from] ProcessError),
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{what} can't be read: {text}")]
    Unreadable { what: &'static str, text: String },
    #[error("{promise}; but {instead}")]
    Broken { promise: &'static str, instead: String },
}

/// Runs the demo. What it wrote is kept only when it fails.
pub(crate) fn run(options: Options) -> Result<(), DemoError> {
    let progress = Progress::start();
    let folder = tempfile::Builder::new()
        .prefix("clawhook-demo-")
        .tempdir()
        .map_err(|source| DemoError::File { path: std::env::temp_dir(), source })?;
    let outcome = play(options, progress, folder.path());
    if outcome.is_err() {
        progress.step(format_args!(
            "Not as it should be. State and logs are kept in {}",
            folder.keep().display()
        ));
    }
    outcome
}

fn play(options: Options, progress: Progress, folder: &Path) -> Result<(), DemoError> {
    progress.step("Building clawhook");
    workspace::build_clawhook(if options.check { BuiltWith::AllTests } else { BuiltWith::Nothing })?;

    progress.step("Setting up a small real model: SmolLM2, and llama.cpp to serve it");
    let installation = Installation::find_or_make(progress)?;

    progress.step("Installing the receiver's packages");
    stage::install_receiver(progress)?;

    progress.step("Starting model, receiver and gateway");
    let stage = Stage::set(folder, &installation)?;
    progress.note(format_args!("model     {}", stage.model.base_url()));
    progress.note(format_args!("receiver  {}", stage.receiver_url));
    progress.note(format_args!("gateway   {}", stage.gateway_url));

    let mut demo = Demo { stage, progress, job: DocumentedJob::read()?, arrived: Vec::new() };
    if options.check {
        demo.ask_the_model_by_itself()?;
        demo.add_and_run("daily-summary-in-english", ENGLISH_MESSAGE)?;
    }
    let (name, message) = (demo.job.name.clone(), demo.job.message.clone());
    demo.add_and_run(&name, &message)?;
    if !options.check {
        demo.show_the_last_run()?;
    }
    if options.keep {
        demo.wait_for_enter();
    }
    demo.end_and_count()?;
    progress.step("Done");
    Ok(())
}

/// A demo under way.
struct Demo {
    stage: Stage,
    progress: Progress,
    job: DocumentedJob,
    arrived: Vec<ArrivedRun>,
}

impl Demo {
    fn ask_the_model_by_itself(&self) -> Result<(), DemoError> {
        for message in [ENGLISH_MESSAGE, &self.job.message] {
            self.progress.step(format_args!("Asking the model by itself: {message}"));
            self.progress.note(shortened(self.stage.model.check(message)?.trim()));
        }
        Ok(())
    }

    /// Adds a job, runs it now, and waits for its event.
    fn add_and_run(&mut self, name: &str, message: &str) -> Result<(), DemoError> {
        self.progress.step(format_args!("Adding the job '{name}'"));
        let job = &self.job;
        let mut add = vec!["cron", "add", "--name", name, "--cron", &job.expression, "--tz", &job.zone];
        add.extend(["--message", message, "--timeout-seconds", &job.timeout_seconds]);
        add.extend(["--webhook", &self.stage.receiver_url, "--json"]);
        let added = self.clawhook(&add)?;
        let job_id = text_at(&added, "/id").ok_or_else(|| unreadable("the added job", &added))?;

        self.progress.step("Running it now, until its result is delivered");
        self.clawhook(&["cron", "run", &job_id, "--wait", "--json"])?;

        let line = self.stage.receiver.wait_for_line(EVENT_PREFIX, EVENT_WITHIN)?;
        let run = ArrivedRun::read(&job_id, &line)?;
        self.progress
            .note("its event has arrived and its signature was verified; the model, a tiny one, says:");
        self.progress.note(shortened(run.text("/summary")));

        let delivery = self.delivery_of(&run)?;
        let state = text_at(&delivery, "/state").unwrap_or_default();
        promise(state == "delivered", "a delivery that was answered with 200 is 'delivered'", || {
            format!("the gateway says '{state}'")
        })?;
        self.arrived.push(run);
        Ok(())
    }

    /// What the gateway has written down about the delivery of a run.
    fn delivery_of(&self, run: &ArrivedRun) -> Result<Value, DemoError> {
        let listed = self.clawhook(&["deliveries", "list", "--run", run.text("/runId"), "--json"])?;
        match listed["deliveries"].as_array().map(Vec::as_slice) {
            Some([delivery]) => Ok(delivery.clone()),
            _ => Err(unreadable("the list of the run's deliveries, which should be one,", &listed)),
        }
    }

    fn show_the_last_run(&self) -> Result<(), DemoError> {
        let Some(run) = self.arrived.last() else { return Ok(()) };
        self.progress.step("The event as it arrived, without the job's definition");
        self.progress.note(run.shown());

        self.progress.step("The delivery and its attempts, as the gateway has written them down");
        let delivery = self.delivery_of(run)?;
        if let Some(id) = text_at(&delivery, "/id") {
            let mut show = self.stage.place.clawhook();
            self.progress.note(process::capture(show.args(["deliveries", "show", &id]))?);
        }
        self.progress.step("To look around while all of it runs: cargo xtask demo --keep");
        Ok(())
    }

    fn wait_for_enter(&self) {
        let Place { state, .. } = &self.stage.place;
        self.progress.step("All of it keeps running. In another terminal:");
        self.progress.note(format_args!("export CLAWHOOK_STATE_DIR={}", state.display()));
        for words in ["cron list", "cron runs", "deliveries list"] {
            self.progress.note(format_args!("{} {words}", workspace::clawhook().display()));
        }
        self.progress.note(format_args!("tail -f {}", self.stage.place.request_log().display()));
        self.progress.note("Press Enter here to end it.");
        std::io::stdin().read_line(&mut String::new()).ok();
    }

    /// Ends all three and counts: from then on no further request can come.
    fn end_and_count(self) -> Result<(), DemoError> {
        self.progress.step("Ending all three; the receiver has written down these requests:");
        let Stage { gateway, receiver, model, place, .. } = self.stage;
        gateway.stop();
        receiver.stop();
        drop(model);

        let requests = read_lines(&place.request_log())?;
        promise(requests.len() == self.arrived.len(), "each run sends one request", || {
            format!("{} runs sent {} requests", self.arrived.len(), requests.len())
        })?;
        for request in &requests {
            let verified = request["status"] == 200 && request["signature"] == "verified";
            promise(verified, "each request is signed, and answered with 200", || request.to_string())?;
            self.progress.note(request);
        }
        Ok(())
    }

    /// Runs a command of clawhook's and reads the JSON it prints.
    fn clawhook(&self, words: &[&str]) -> Result<Value, DemoError> {
        let mut command = self.stage.place.clawhook();
        command.args(words);
        self.progress.note(format_args!("$ clawhook {}", process::words_of(&command)));
        let text = process::capture(&mut command)?;
        serde_json::from_str(&text).map_err(|_| DemoError::Unreadable { what: "the command's answer", text })
    }
}

/// The job of the documentation, `receivers/daily-summary.json`.
struct DocumentedJob {
    name: String,
    expression: String,
    zone: String,
    message: String,
    timeout_seconds: String,
}

impl DocumentedJob {
    fn read() -> Result<Self, DemoError> {
        let path = workspace::root().join("receivers/daily-summary.json");
        let text = std::fs::read_to_string(&path).map_err(|source| DemoError::File { path, source })?;
        Self::parse(&text).ok_or(DemoError::Unreadable { what: "receivers/daily-summary.json", text })
    }

    fn parse(text: &str) -> Option<Self> {
        let job: Value = serde_json::from_str(text).ok()?;
        Some(Self {
            name: text_at(&job, "/name")?,
            expression: text_at(&job, "/schedule/expr")?,
            zone: text_at(&job, "/schedule/tz")?,
            message: text_at(&job, "/payload/message")?,
            timeout_seconds: job.pointer("/payload/timeoutSeconds")?.as_u64()?.to_string(),
        })
    }
}

/// A run whose event the receiver has verified and printed.
#[derive(Debug)]
struct ArrivedRun {
    event: Value,
}

impl ArrivedRun {
    fn read(job_id: &str, line: &str) -> Result<Self, DemoError> {
        let event = serde_json::from_str(line)
            .map_err(|_| DemoError::Unreadable { what: "the event", text: line.to_owned() })?;
        let run = Self { event };
        let found = |path: &str| run.text(path).to_owned();
        promise(run.text("/jobId") == job_id, "the event names its job", || found("/jobId"))?;
        promise(!run.text("/runId").is_empty(), "the event names its run", || {
            "there is no runId".to_owned()
        })?;
        promise(run.text("/status") == "ok", "the run went well", || shortened(&run.event.to_string()))?;
        promise(!run.text("/summary").trim().is_empty(), "the model said something", || line.to_owned())?;
        Ok(run)
    }

    fn text(&self, path: &str) -> &str {
        self.event.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn shown(&self) -> String {
        let mut event = self.event.clone();
        if let Some(fields) = event.as_object_mut() {
            fields.remove("job");
            for value in fields.values_mut() {
                if let Value::String(text) = value {
                    *text = shortened(text);
                }
            }
        }
        format!("{event:#}")
    }
}

fn read_lines(path: &Path) -> Result<Vec<Value>, DemoError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| DemoError::File { path: path.to_owned(), source })?;
    text.lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|_| DemoError::Unreadable { what: "the receiver's log of requests", text: text.clone() })
}

fn promise(kept: bool, promise: &'static str, instead: impl FnOnce() -> String) -> Result<(), DemoError> {
    if kept { Ok(()) } else { Err(DemoError::Broken { promise, instead: instead() }) }
}

fn text_at(value: &Value, place: &str) -> Option<String> {
    Some(value.pointer(place)?.as_str()?.to_owned())
}

fn unreadable(what: &'static str, value: &Value) -> DemoError {
    DemoError::Unreadable { what, text: shortened(&value.to_string()) }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_job_is_used_as_it_stands() {
        let job = DocumentedJob::parse(include_str!("../../receivers/daily-summary.json")).unwrap();
        assert_eq!((job.name.as_str(), job.expression.as_str()), ("daily-summary", "0 9 * * *"));
        assert_eq!((job.zone.as_str(), job.timeout_seconds.as_str()), ("America/New_York", "120"));
        assert!(job.message.starts_with("整理今日重點"));
    }

    #[test]
    fn an_event_of_another_job_or_without_words_is_not_taken_for_the_result() {
        let good = r#"{"jobId":"j","runId":"r","status":"ok","summary":"Two tasks."}"#;
        assert!(ArrivedRun::read("j", good).is_ok());
        for bad in [
            good.replace(r#""j""#, r#""k""#),
            good.replace(r#""r""#, r#""""#),
            good.replace("ok", "error"),
            good.replace("Two tasks.", " "),
        ] {
            assert!(ArrivedRun::read("j", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "整".repeat(SHOWN_CHARS + 1);
        assert_eq!(shortened(&long), format!("{} …", "整".repeat(SHOWN_CHARS)));
        assert_eq!(shortened("short"), "short");
    }
}
