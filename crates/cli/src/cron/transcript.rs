//! `clawhook cron transcript`.

use clap::Args;
use serde::Deserialize;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::sessions::transcript::{EntryView, Length, lines};
use crate::{output, view};

/// The flags of `clawhook cron transcript`.
#[derive(Args)]
pub(super) struct TranscriptArgs {
    /// The run's id, `run_…`
    #[arg(value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run: String,
    /// Show long texts whole
    #[arg(long)]
    full: bool,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// What was said in a run, of the API's answers.
#[derive(Deserialize)]
struct TranscriptView {
    entries: Vec<EntryView>,
}

/// Shows it.
pub(super) async fn run(client: &Client, args: &TranscriptArgs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["runs", &args.run, "transcript"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let said: TranscriptView = view::read(&answer)?;
    if said.entries.is_empty() {
        output::message("note", "nothing was said, or the run is not over, or what was said is kept no more");
        return Ok(());
    }
    Ok(output::data(&lines(&said.entries, if args.full { Length::Whole } else { Length::Cut }))?)
}
