//! The proof that agents keep their promises where nothing is pretended: a real model, a real MCP server, the real gateway
//! behind its command line, and a receiver that verifies what arrives.

mod house;
mod time_server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::house::{CLOCK, House, text};
use crate::model_server::{Installation, MODEL, ModelError};
use crate::process::ProcessError;
use crate::progress::{Progress, seconds};
use crate::stage::StageError;
use crate::workspace::{self, BuiltWith};

/// How soon after a cancellation the model must be free for others.
const FREE_WITHIN: Duration = Duration::from_secs(5);
/// How long the model may take until it begins to answer.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);
/// How many pieces of an answer must have come one by one: far fewer than a streamed answer has, and more than one.
const FEWEST_PIECES: usize = 3;
/// A model this small repeats what it has before its eyes.
const ASK_THE_TIME: &str = concat!(
    "user: What time is it in Asia/Tokyo?\nassistant: <tool_call>\n",
    "{\"name\": \"time__get_current_time\", \"arguments\": {\"timezone\": \"Asia/Tokyo\"}}\n</tool_call>\n",
    "user: What time is it in Europe/Paris?\nassistant:",
);

/// Why the agents could not be tried, or do not do what is promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentsError {
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the MCP server could not be installed")]
    Install(#[source] ProcessError),
    #[error("the model can't be used")]
    Model(#[from] ModelError),
    #[error("the gateway and what it needs can't be set up")]
    Stage(#[from] StageError),
    #[error("a process failed")]
    Process(#[from] ProcessError),
    #[error("`{command}` could not be run")]
    Command { command: String, source: std::io::Error },
    #[error("what `{command}` printed can't be read: {text}")]
    Unreadable { command: String, text: String },
    #[error("{promise}; but: {instead}")]
    Broken { promise: &'static str, instead: String },
}

/// What is promised, and how it is looked at.
type Case = (&'static str, fn(&mut House) -> Result<(), AgentsError>);

const CASES: [Case; 8] = [
    ("an answer is followed while it is written, and its tokens are counted", streams),
    ("a schema forces a result that fits, and the event carries it", fits_its_schema),
    ("a tool of a real MCP server is called, and its answer recorded", calls_a_tool),
    ("what is not there is said before a run, and a chain goes past it", falls_back),
    ("a run that is cancelled frees the model", cancels),
    ("a kept session is told what was said in it", remembers),
    ("a system event wakes the main session, and the reply arrives", wakes_main),
    ("a budget that is used up keeps the next run from beginning", keeps_to_its_budget),
];

/// Goes through all cases. What was written is kept only if one fails.
pub(crate) fn check(progress: Progress) -> Result<(), AgentsError> {
    workspace::build_clawhook(BuiltWith::AllTests)?;
    progress.note("a small real model: SmolLM2, and llama.cpp to serve it");
    let installation = Installation::find_or_make(progress)?;
    progress.note("a real MCP server: mcp-server-time");
    let time_server = time_server::find_or_install(progress)?;

    let folder = tempfile::Builder::new()
        .prefix("clawhook-agents-")
        .tempdir()
        .map_err(|source| AgentsError::File { path: std::env::temp_dir(), source })?;
    let outcome = go_through(progress, folder.path(), &installation, &time_server);
    if outcome.is_err() {
        progress.note(format_args!("state and logs are kept in {}", folder.keep().display()));
    }
    outcome
}

fn go_through(
    progress: Progress,
    folder: &Path,
    installation: &Installation,
    time_server: &Path,
) -> Result<(), AgentsError> {
    let mut house = House::open(folder, installation, time_server)?;
    for (promise, case) in CASES {
        let started = Instant::now();
        case(&mut house)?;
        progress.note(format_args!("{} {promise}", seconds(started.elapsed())));
    }
    Ok(())
}

fn streams(house: &mut House) -> Result<(), AgentsError> {
    let job = house.add("streamed", &["--message", "Say hello in one short sentence."])?;
    let pieces = house.follow(&job)?;
    let before_the_end = pieces.iter().take_while(|piece| !piece.contains("run: run_")).count();
    hold(before_the_end >= FEWEST_PIECES, "an answer comes in pieces before the run ends", || {
        format!("{pieces:?}")
    })?;
    let all = pieces.concat();
    let id = all.lines().find_map(|line| line.strip_prefix("run: ")).unwrap_or_default();
    let event = house.event(&json!({ "runId": id }))?;
    let said = text(&event, "/summary");
    hold(!said.is_empty() && all.contains(&said), "what was followed is the result", || all.clone())?;
    let tokens = event["usage"]["output_tokens"].as_u64().unwrap_or_default();
    hold(tokens > 0, "the tokens are counted", || event.to_string())
}

fn fits_its_schema(house: &mut House) -> Result<(), AgentsError> {
    let schema = json!({
        "type": "object", "required": ["city", "country"], "additionalProperties": false,
        "properties": { "city": { "type": "string" }, "country": { "type": "string" } },
    });
    let message = "Name a city and the country it is in.";
    let job = house.add("city", &["--message", message, "--output-schema", &schema.to_string()])?;
    let run = house.run(&job)?;
    let event = house.event(&run)?;
    let output = &event["output"];
    let fits = output["city"].is_string() && output["country"].is_string();
    hold(fits, "the event carries a result that fits the schema", || event.to_string())
}

fn calls_a_tool(house: &mut House) -> Result<(), AgentsError> {
    let job = house.add("time", &["--agent", CLOCK, "--message", ASK_THE_TIME])?;
    let run = house.run(&job)?;
    hold(run["status"] == "ok", "a run that calls a tool ends well", || run.to_string())?;
    let id = text(&run, "/runId");
    let transcript = house.json(&["cron", "transcript", &id, "--json"])?;
    let entries = transcript["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let called = entries.iter().any(|entry| {
        let detail = &entry["detail"];
        detail["kind"] == "toolCall"
            && detail["name"] == "time__get_current_time"
            && detail["arguments"]["timezone"] == "Europe/Paris"
    });
    hold(called, "the transcript has the call with its arguments", || transcript.to_string())?;
    let answered = entries.iter().any(|entry| {
        let well = entry["detail"]["kind"] == "toolResult" && entry["detail"]["isError"] == false;
        // Only the server knows of daylight saving time.
        well && text(entry, "/text").contains("is_dst")
    });
    hold(answered, "the transcript has the server's answer", || transcript.to_string())
}

fn falls_back(house: &mut House) -> Result<(), AgentsError> {
    let hello = ["--message", "Say hello in one short sentence."];
    let unknown = ["cron", "add", "every 24h", "hi", "--model", "local/unknown", "--no-deliver"];
    let (_, refusal) = house.said(&unknown)?;
    hold(refusal.contains("has no model `unknown`"), "an unknown model is refused with its name", || {
        refusal
    })?;

    let job = house.add("skipped", &[&hello[..], &["--model", "stopped/any"]].concat())?;
    let run = house.run(&job)?;
    let says_why = text(&run, "/error").contains("stopped/any could not be reached");
    let skipped = run["status"] == "skipped" && run["errorReason"] == "unavailable";
    hold(skipped && says_why, "a run whose model's server is stopped is skipped with the reason", || {
        run.to_string()
    })?;

    let real = format!("local/{MODEL}");
    let chain = ["--model", "stopped/any", "--fallbacks", &format!("refusing/any,{real}")];
    let job = house.add("chain", &[&hello[..], &chain].concat())?;
    let run = house.run(&job)?;
    let event = house.event(&run)?;
    let notes = event["diagnostics"].to_string();
    let noted = notes.contains("stopped/any") && notes.contains("refusing/any");
    hold(
        event["status"] == "ok" && noted,
        "a chain that ends at a real model is ok, and notes each try",
        || event.to_string(),
    )?;

    let chain = ["--model", "stopped/any", "--fallbacks", "refusing/any"];
    let job = house.add("failing-chain", &[&hello[..], &chain].concat())?;
    let run = house.run(&job)?;
    let error = text(&run, "/error");
    let named = error.contains("stopped/any") && error.contains("refusing/any");
    hold(run["status"] == "error" && named, "a chain that fails names each try in one error", || {
        run.to_string()
    })
}

fn cancels(house: &mut House) -> Result<(), AgentsError> {
    let job = house.add("endless", &["--message", "Count from 1 to 1000, one number a line."])?;
    let run = house.begin(&job)?;
    let began = comes_to(BEGUN_WITHIN, || house.model.is_busy())?;
    hold(began, "the model is asked", || "it was never busy".to_owned())?;
    house.said(&["cron", "cancel", &run, "--wait"])?;
    let free = comes_to(FREE_WITHIN, || house.model.is_busy().map(|busy| !busy))?;
    hold(free, "the model is free soon after the run was cancelled", || "it still answers".to_owned())?;
    let event = house.event(&json!({ "runId": run }))?;
    hold(event["errorReason"] == "cancelled", "the event says that the run was cancelled", || {
        event.to_string()
    })
}

fn remembers(house: &mut House) -> Result<(), AgentsError> {
    let words = ["--session", "session:diary", "--message", "My name is Ada. Answer in one short sentence."];
    let job = house.add("diary", &words)?;
    let (first, second) = (house.run(&job)?, house.run(&job)?);
    let tokens = |run: &Value, kind: &str| run["usage"][kind].as_u64().unwrap_or_default();
    let told = tokens(&second, "input_tokens") > tokens(&first, "total_tokens");
    hold(told, "the second run is told what was said in the first", || format!("{first}\n{second}"))
}

fn wakes_main(house: &mut House) -> Result<(), AgentsError> {
    let words = ["--system-event", "The backup is done.", "--session", "main", "--wake", "now"];
    let job = house.add("woken", &words)?;
    let run = house.run(&job)?;
    let event = house.event(&run)?;
    let replied = event["status"] == "ok" && event["usage"]["output_tokens"].as_u64() > Some(0);
    hold(replied && event["sessionKey"] == "agent:main:main", "the main session's reply arrives", || {
        event.to_string()
    })
}

fn keeps_to_its_budget(house: &mut House) -> Result<(), AgentsError> {
    let job = house.add("thrifty", &["--budget-tokens", "1", "--message", "Say hello."])?;
    let (first, second) = (house.run(&job)?, house.run(&job)?);
    hold(first["status"] == "ok", "the run that uses the budget up goes on", || first.to_string())?;
    let skipped = second["status"] == "skipped" && second["errorReason"] == "budget";
    hold(skipped, "the next one is skipped for the budget", || second.to_string())?;
    let usage = house.json(&["usage", "--by", "job", "--job", &job, "--json"])?;
    let counted = usage["total"]["totalTokens"] == first["usage"]["total_tokens"];
    hold(counted && usage["total"]["runs"] == 1, "what was used is shown", || usage.to_string())
}

/// Whether it becomes so within this time.
fn comes_to<E>(within: Duration, mut so: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let deadline = Instant::now() + within;
    loop {
        if so()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hold(kept: bool, promise: &'static str, instead: impl FnOnce() -> String) -> Result<(), AgentsError> {
    if kept { Ok(()) } else { Err(AgentsError::Broken { promise, instead: instead() }) }
}
