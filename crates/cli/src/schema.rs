//! `clawhook schema`: the schemas of what webhooks are sent. They are part of the program; no gateway is asked.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_model::RUN_FINISHED_SCHEMA;

use crate::failure::Failure;
use crate::output;

/// The arguments of `clawhook schema`.
#[derive(Args)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    which: Which,
}

/// The schemas.
#[derive(Subcommand)]
enum Which {
    /// Print the JSON Schema of the event that is sent when a run has finished
    Event,
}

/// Prints it.
pub(crate) fn run(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    match args.which {
        Which::Event => output::data(RUN_FINISHED_SCHEMA)?,
    }
    Ok(ExitCode::SUCCESS)
}
