//! `clawhook sessions list`.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize;

use super::SessionView;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::{moment, output, table, view};

/// The flags of `clawhook sessions list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// Only those of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Only those in which this job ran last
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only those that are kept from run to run
    #[arg(long, conflicts_with = "own")]
    kept: bool,
    /// Only the own ones of single runs
    #[arg(long)]
    own: bool,
    /// Only those whose key holds this text
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on behind another page: what it says at its end
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 5] = [
    Column::whole("Session"),
    Column::whole("Kept"),
    Column::cut("Waiting", 7),
    Column::optional("Last used", 9, 1),
    Column::optional("Job", 12, 2),
];

/// A page of sessions, of the API's answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionsPage {
    sessions: Vec<SessionView>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Lists them.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let kept = if args.kept { Some(true) } else { args.own.then_some(false) };
    let call = Call::get(["sessions"])
        .maybe("agentId", args.agent)
        .maybe("jobId", args.job)
        .maybe("kept", kept)
        .maybe("query", args.query)
        .query("limit", args.limit)
        .maybe("after", args.after);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: SessionsPage = view::read(&answer)?;
    if page.sessions.is_empty() {
        output::message("note", "no sessions");
    } else {
        let rows = page.sessions.iter().map(|session| row(session, now)).collect();
        output::data(&table::render(&COLUMNS, rows))?;
    }
    if let Some(next) = page.next_cursor {
        output::message("note", &format!("there may be more; --after {next} goes on"));
    }
    Ok(())
}

fn row(session: &SessionView, now: UnixMs) -> Vec<String> {
    let none = || NONE.to_owned();
    vec![
        session.session_key.clone(),
        if session.kept { "yes" } else { "no" }.to_owned(),
        if session.events_waiting > 0 { session.events_waiting.to_string() } else { none() },
        session.updated_at_ms.map_or_else(none, |used| moment::relative(used, now)),
        session.job_id.clone(),
    ]
}
