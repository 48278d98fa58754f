//! `clawhook usage`: what runs cost.

use clap::{Args, ValueEnum};

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::view::{self, UsageView, UsedView};
use crate::{output, table};

/// The flags of `clawhook usage`.
#[derive(Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// A line for each of these
    #[arg(long, value_name = "WHAT", default_value = "day")]
    by: By,
    /// The last so many days, today among them
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Only of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// At most so many lines
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Job,
    Agent,
    Model,
    Day,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    fn column(self) -> Column {
        match self {
            Self::Job => Column::whole("Job"),
            Self::Agent => Column::whole("Agent"),
            Self::Model => Column::whole("Model"),
            Self::Day => Column::whole("Day"),
        }
    }
}

/// Shows it.
pub(crate) async fn run(args: UsageArgs, state_dir: &StateDirArgs) -> Result<(), Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    let call = Call::get(["usage"])
        .query("by", args.by.as_str().to_owned())
        .query("days", args.days)
        .query("limit", args.limit)
        .maybe("jobId", args.job)
        .maybe("agentId", args.agent);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let usage: UsageView = view::read(&answer)?;
    if usage.total.runs == 0 {
        output::message("note", &format!("no run has used tokens from {} to {}", usage.from, usage.to));
        return Ok(());
    }
    let columns = [
        args.by.column(),
        Column::whole("Runs"),
        Column::optional("Read", 6, 2),
        Column::optional("Written", 7, 1),
        Column::whole("Tokens"),
        Column::whole("Cost"),
    ];
    let rows = usage.rows.iter().map(|row| line(row.title(), &row.used));
    let total = line("total".to_owned(), &usage.total);
    output::data(&table::render(&columns, rows.chain([total]).collect()))?;
    if usage.total.unpriced_runs > 0 {
        let (unpriced, runs) = (usage.total.unpriced_runs, usage.total.runs);
        let note = format!(
            "{unpriced} of {runs} runs used a model whose price is not known; their cost is left out"
        );
        output::message("note", &note);
    }
    Ok(())
}

fn line(title: String, used: &UsedView) -> Vec<String> {
    vec![
        title,
        used.runs.to_string(),
        used.input_tokens.to_string(),
        used.output_tokens.to_string(),
        used.total_tokens.to_string(),
        used.cost_usd.map_or_else(|| NONE.to_owned(), view::dollars),
    ]
}
