//! What a run is told of the run of another job whose end began it.

use clawhook_agent::Work;
use clawhook_model::{RunOutcome, RunProgress, fence};
use clawhook_store::StoreError;
use serde_json::{Value, json};

use crate::Core;
use crate::runner::Begun;

/// How much of the other run's output is told.
const TOLD: usize = 16 * 1024;

/// What is told.
pub(crate) struct Upstream {
    facts: Value,
    headline: String,
    output: Option<String>,
}

/// What the run is to be told; none where no other run began it, or its job does not want to know.
pub(crate) async fn upstream(core: &Core, begun: &Begun) -> Result<Option<Upstream>, StoreError> {
    let Some(run) = begun.run.upstream else { return Ok(None) };
    let Some(record) = core.store.run(run).await? else { return Ok(None) };
    let run = record.run;
    let wants =
        begun.job.definition.after.iter().any(|after| after.job == run.job_id.as_str() && after.pass_result);
    let RunProgress::Finished { outcome, .. } = &run.progress else { return Ok(None) };
    if !wants {
        return Ok(None);
    }
    let output = said(outcome);
    let mut facts = json!({
        "jobId": run.job_id, "jobName": run.job_name, "runId": run.id, "status": outcome.status,
    });
    if let Some(error) = &outcome.error {
        facts["error"] = json!(error.message);
        facts["errorReason"] = json!(error.reason);
    }
    if let Some(text) = &output {
        facts["summary"] = json!(text);
    }
    let headline = format!("The job `{}` has ended ({}, {}).", run.job_id, outcome.status.as_str(), run.id);
    Ok(Some(Upstream { facts, headline, output }))
}

/// The start of what the other run put out, or why it failed.
fn said(outcome: &RunOutcome) -> Option<String> {
    let error = outcome.error.as_ref().map(|error| error.message.as_str());
    let text = outcome.summary.as_deref().filter(|text| !text.trim().is_empty()).or(error)?;
    let end = text.floor_char_boundary(TOLD);
    Some(if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() })
}

/// Tells a turn of the other run, and what gates put out. A command reads the facts on its standard input, where it has
/// none of its own.
pub(crate) fn tell(work: &mut Work, upstream: Option<&Upstream>, appended: &str) {
    match work {
        Work::Message(message) => {
            if let Some(Upstream { headline, output, .. }) = upstream {
                let told =
                    output.as_ref().map(|text| if message.unfenced { text.clone() } else { fence(text) });
                message.text.push_str(&format!("\n\n{headline}"));
                if let Some(told) = told {
                    message.text.push_str(&format!(" It put out:\n{told}"));
                }
            }
            message.text.push_str(appended);
        }
        Work::Command(command) => {
            if let (None, Some(upstream)) = (&command.input, upstream) {
                command.input = Some(json!({ "upstream": upstream.facts }).to_string());
            }
        }
    }
}
