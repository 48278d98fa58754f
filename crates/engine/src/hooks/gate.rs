//! The gates of a run: asked one after the other, before anything is spent.

use std::sync::Arc;
use std::time::Duration;

use clawhook_model::{ErrorReason, GateDecision, HookCall, HookKind, HookStage, Payload, RunOutcome, fence};
use clawhook_store::{EndHookCall, NewHookCall, StoreError};
use serde_json::{Value, json};

use super::call::{Answer, Asking, perform};
use super::of_job;
use crate::Core;
use crate::control::Control;
use crate::runner::Begun;
use crate::turns;

/// How much of what gates put out is added to a prompt.
const APPENDED: usize = 16 * 1024;
/// How long a write that failed waits before it is tried again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// What the gates say of a run.
pub(crate) enum Gated {
    /// It goes on, and its prompt is followed by this.
    Open(String),
    /// It is over, in this way.
    Shut(Box<RunOutcome>),
    /// It was told to end meanwhile.
    Ended,
}

/// Asks the gates of a run. The first that does not let it go on has the last word. Every call is recorded.
pub(crate) async fn ask(core: &Arc<Core>, begun: &mut Begun, control: &Control) -> Gated {
    begun.gates.clear();
    let gates = of_job(core, &begun.job, HookStage::Pre);
    let mut appended = String::new();
    for gate in gates {
        if let Some(over) = unaffordable(core, begun, &gate, control).await {
            return over;
        }
        let Some(answer) = ask_one(core, begun, &gate, control).await else { return Gated::Ended };
        if control.end.is_cancelled() {
            return Gated::Ended;
        }
        match answer.decision(&gate.hook) {
            GateDecision::Proceed => {
                if let Some(text) = answer.append.filter(|_| gate.hook.append_output) {
                    append(&mut appended, begun, &gate, &text);
                }
            }
            GateDecision::Skip => {
                return Gated::Shut(Box::new(RunOutcome::skipped(ErrorReason::Gate, why(&gate, &answer))));
            }
            GateDecision::Error => {
                return Gated::Shut(Box::new(RunOutcome::error(ErrorReason::Hook, why(&gate, &answer))));
            }
        }
    }
    Gated::Open(appended)
}

/// A gate that is an agent costs money itself; where there is none left, the run could not begin either.
async fn unaffordable(core: &Core, begun: &Begun, gate: &NewHookCall, control: &Control) -> Option<Gated> {
    if !matches!(gate.hook.kind, HookKind::AgentTurn { .. }) {
        return None;
    }
    let why = until_stored(core, control, || turns::over_budget(core, begun)).await?;
    why.map(|why| Gated::Shut(Box::new(RunOutcome::skipped(ErrorReason::Budget, why))))
}

/// Asks one gate; none where the run is told to end before that is written down.
async fn ask_one(core: &Core, begun: &mut Begun, gate: &NewHookCall, control: &Control) -> Option<Answer> {
    let started_at = core.clock.now();
    let (run, job) = (begun.run.id, begun.job.id.clone());
    let id =
        until_stored(core, control, || core.store.begin_gate(run, &job, gate.clone(), started_at)).await?;
    let context = context(core, begun, gate);
    let asking = Asking {
        stage: gate.stage,
        hook: &gate.hook,
        job: &job,
        agent: &begun.run.agent_id,
        context: &context,
    };
    let answer = perform(core, &asking, &control.end).await;
    let ended_at = core.clock.now().max(started_at);
    let report = answer.report.clone();
    let end = EndHookCall { id, state: answer.state, report, at: ended_at, spent: answer.spent.clone() };
    begun.gates.push(HookCall {
        stage: gate.stage,
        name: gate.hook.name.clone(),
        is_global: gate.is_global,
        kind: gate.hook.kind.as_str().to_owned(),
        state: answer.state,
        started_at: Some(started_at),
        ended_at: Some(ended_at),
        delivery: None,
        report: answer.report.clone(),
    });
    until_stored(core, control, || core.store.end_hook_call(end.clone())).await?;
    Some(answer)
}

/// Has something read or written. While the store fails it is tried again, until the run is told to end.
async fn until_stored<T, F>(core: &Core, control: &Control, what: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = RETRY_FIRST;
    loop {
        match what().await {
            Ok(done) => return Some(done),
            Err(error) => tracing::error!(%error, "a gate waits: the store cannot be read or written"),
        }
        tokio::select! {
            biased;
            () = control.end.cancelled() => return None,
            () = core.clock.sleep(wait) => wait = (wait * 2).min(RETRY_MOST),
        }
    }
}

fn context(core: &Core, begun: &Begun, gate: &NewHookCall) -> Value {
    let run = &begun.run;
    let provenance = run.provenance.through(&core.options.instance, &begun.job.id);
    let mut context = json!({
        "stage": gate.stage.as_str(),
        "hook": gate.hook.name,
        "job": begun.job.snapshot_json(),
        "run": {
            "runId": run.id,
            "trigger": begun.trigger,
            "attempt": run.attempt,
            "agentId": run.agent_id,
            "sessionKey": run.session.key,
            "startedAtMs": begun.started_at,
        },
        "provenance": provenance,
    });
    if let Some(due) = run.scheduled_at {
        context["run"]["scheduledAtMs"] = json!(due);
    }
    if let Some(upstream) = run.upstream {
        context["run"]["upstreamRunId"] = json!(upstream);
    }
    context
}

/// Adds what a gate put out to what follows the prompt: as data, and not as orders.
fn append(appended: &mut String, begun: &Begun, gate: &NewHookCall, text: &str) {
    let room = APPENDED.saturating_sub(appended.len());
    let text = &text[..text.floor_char_boundary(room)];
    if text.trim().is_empty() {
        return;
    }
    let unfenced = matches!(&begun.job.definition.payload, Payload::AgentTurn(turn) if turn.allow_unsafe_external_content);
    let told = if unfenced { text.to_owned() } else { fence(text) };
    appended.push_str(&format!("\n\nThe hook `{}` put out:\n{told}", gate.hook.name));
}

fn why(gate: &NewHookCall, answer: &Answer) -> String {
    let report = &answer.report;
    let name = &gate.hook.name;
    let with_reason = |what: String| match &report.reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    };
    match (report.decision, &report.error) {
        (Some(GateDecision::Skip), None) => {
            with_reason(format!("the hook `{name}` says that there is nothing to do"))
        }
        (_, None) => with_reason(format!("the hook `{name}` refuses the run")),
        (_, Some(error)) => {
            let exit = report.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
            format!("the hook `{name}` failed{exit}: {error}")
        }
    }
}
