//! `clawhook sessions show`.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize;
use serde_json::json;

use super::transcript::{EntryView, Length, lines};
use super::{OneArgs, SessionView};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::NONE;
use crate::{moment, output, table, view};

/// The flags of `clawhook sessions show`.
#[derive(Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The last so many entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only what was said before: what an earlier page says at its end
    #[arg(long, value_name = "PLACE")]
    before: Option<u64>,
    /// Show long texts whole
    #[arg(long)]
    full: bool,
}

/// A part of what was said, of the API's answers.
#[derive(Deserialize)]
struct SpokenPage {
    entries: Vec<EntryView>,
    #[serde(default)]
    before: Option<u64>,
}

/// Shows it.
pub(super) async fn run(client: &Client, args: ShowArgs, now: UnixMs) -> Result<(), Failure> {
    let ShowArgs { one, limit, before, full } = args;
    let session = client.call(Call::get(["sessions", &one.session])).await?;
    let said = Call::get(["sessions", &one.session, "transcript"]).query("limit", limit);
    let said = client.call(said.maybe("before", before)).await?;
    if one.json {
        return Ok(output::json(&json!({ "session": session, "transcript": said }))?);
    }
    let session: SessionView = view::read(&session)?;
    let said: SpokenPage = view::read(&said)?;
    let mut text = facts(&session, now);
    if !said.entries.is_empty() {
        text.push('\n');
        text.push_str(&lines(&said.entries, if full { Length::Whole } else { Length::Cut }));
    }
    output::data(&text)?;
    if let Some(before) = said.before {
        output::message("note", &format!("more was said before; --before {before} shows it"));
    }
    Ok(())
}

fn facts(session: &SessionView, now: UnixMs) -> String {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    table::known_facts([
        ("session", session.session_key.clone()),
        ("id", session.session_id.clone()),
        ("agent", session.agent_id.clone()),
        ("kept", if session.kept { "yes" } else { "no, it is one run's own" }.to_owned()),
        ("run", session.run_id.clone().unwrap_or_else(|| NONE.to_owned())),
        ("last job", session.job_id.clone()),
        ("events waiting", session.events_waiting.to_string()),
        ("began", at(session.created_at_ms)),
        ("last used", at(session.updated_at_ms)),
    ])
}
