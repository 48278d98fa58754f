//! `clawhook hooks list`.

use clap::Args;
use serde::Deserialize;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::Column;
use crate::{output, table, view};

/// The flags of `clawhook hooks list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 7] = [
    Column::whole("Hook"),
    Column::cut("Path", 16),
    Column::optional("Does", 11, 2),
    Column::optional("Proof", 9, 1),
    Column::whole("State"),
    Column::whole("Running"),
    Column::whole("Waiting"),
];

/// A hook, of the API's answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HookView {
    pub(super) id: String,
    path: String,
    action: String,
    proof: String,
    pub(super) state: String,
    max_concurrent_runs: u32,
    queue_depth: u32,
    running: u32,
    pub(super) waiting: u32,
}

#[derive(Deserialize)]
struct Hooks {
    hooks: Vec<HookView>,
}

/// Lists them.
pub(super) async fn run(client: &Client, args: &ListArgs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["hooks"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let Hooks { hooks } = view::read(&answer)?;
    if hooks.is_empty() {
        output::message("note", "no hooks; `hooks.enabled` and `hooks.token` in the configuration open them");
        return Ok(());
    }
    let rows = hooks
        .into_iter()
        .map(|hook| {
            let HookView {
                id,
                path,
                action,
                proof,
                state,
                max_concurrent_runs,
                queue_depth,
                running,
                waiting,
            } = hook;
            let running = format!("{running} of {max_concurrent_runs}");
            vec![id, path, action, proof, state, running, format!("{waiting} of {queue_depth}")]
        })
        .collect();
    output::data(&table::render(&COLUMNS, rows))?;
    Ok(())
}
