//! One call of a hook, whatever its kind.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clawhook_agent::{Command, LiveOutput, Message, Turn, Work};
use clawhook_model::{
    AgentId, ErrorReason, GateDecision, GateVerdict, HookCallState, HookKind, HookReport, HookStage, JobHook,
    JobId, RunOutcome, RunStatus, SessionId, SessionRef, WebhookTarget, fence,
};
use clawhook_store::HookSpending;
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Core, turns};

/// How much of what a command of a hook prints is read.
const OUTPUT_BYTES: usize = 64 * 1024;
/// How much of the context an agent is told.
const CONTEXT_BYTES: usize = 64 * 1024;
/// The exit code by which a gate says that there is nothing to do (0 is to go on; anything else is an error).
const SKIP: i32 = 10;

/// A call that is to be made.
pub(super) struct Asking<'a> {
    pub(super) stage: HookStage,
    pub(super) hook: &'a JobHook,
    pub(super) job: &'a JobId,
    pub(super) agent: &'a AgentId,
    /// What the hook is told.
    pub(super) context: &'a Value,
}

/// What came of a call.
pub(super) struct Answer {
    pub(super) state: HookCallState,
    pub(super) report: HookReport,
    /// What is added to the run's prompt.
    pub(super) append: Option<String>,
    pub(super) spent: Option<HookSpending>,
}

impl Answer {
    fn of(state: HookCallState, report: HookReport) -> Self {
        Self { state, report, append: None, spent: None }
    }

    fn done(report: HookReport) -> Self {
        Self::of(HookCallState::Done, report)
    }

    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self::of(HookCallState::Failed, HookReport::failed(error))
    }

    /// What a gate's call means for its run.
    pub(super) fn decision(&self, hook: &JobHook) -> GateDecision {
        match (self.state, self.report.decision) {
            (HookCallState::Done, decision) => decision.unwrap_or(GateDecision::Proceed),
            _ => hook.on_failure,
        }
    }
}

/// Makes a call, and returns when it is over, out of time or told to end.
pub(super) async fn perform(core: &Core, asking: &Asking<'_>, cancel: &CancellationToken) -> Answer {
    let limit = asking.hook.time_limit(asking.stage);
    let made = AssertUnwindSafe(make(core, asking, limit, cancel)).catch_unwind();
    let limit_of_all = limit.saturating_add(core.options.patience);
    let answer = match tokio::time::timeout(limit_of_all, made).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::failed("the gateway failed unexpectedly in the hook; its log has the details"),
        Err(_) => Answer::failed(format!("it took longer than {limit:?}")),
    };
    if answer.state != HookCallState::Done {
        let (job, name, stage) = (asking.job, &asking.hook.name, asking.stage);
        let error = answer.report.error.as_deref().unwrap_or_default();
        tracing::warn!(%job, hook = %name, %stage, state = answer.state.as_str(), error, "a hook did not do what it should");
    }
    answer
}

async fn make(core: &Core, asking: &Asking<'_>, limit: Duration, cancel: &CancellationToken) -> Answer {
    match &asking.hook.kind {
        HookKind::Command { argv, cwd, env } => {
            let command = Command {
                argv: argv.clone(),
                cwd: cwd.as_ref().map(PathBuf::from),
                env: environment(asking, env),
                input: Some(asking.context.to_string()),
                no_output_timeout: None,
                output_max_bytes: Some(OUTPUT_BYTES),
                output_schema: None,
            };
            let outcome = turn(core, asking, asking.agent, Work::Command(command), limit, cancel).await;
            of_command(asking.stage, &outcome)
        }
        HookKind::Webhook(to) => of_webhook(core, asking, to, limit, cancel).await,
        HookKind::AgentTurn { message, agent, model } => {
            let agent = agent.as_ref().unwrap_or(asking.agent);
            let message = Message {
                text: format!("{message}\n\n{}", fence(&shortened(asking.context, CONTEXT_BYTES))),
                model: model.clone(),
                output_schema: asking.stage.is_gate().then(GateVerdict::schema),
                ..Message::default()
            };
            let work = Work::Message(Box::new(message));
            let outcome = turn(core, asking, agent, work, limit, cancel).await;
            of_turn(core, asking, agent, outcome)
        }
        HookKind::SystemEvent { .. } => {
            Answer::failed("a system event is left with the run's end, and not by itself")
        }
    }
}

async fn turn(
    core: &Core,
    asking: &Asking<'_>,
    agent: &AgentId,
    work: Work,
    limit: Duration,
    cancel: &CancellationToken,
) -> RunOutcome {
    let turn = Turn {
        agent: agent.clone(),
        session: SessionRef::isolated(agent, asking.job, SessionId::random()),
        work,
        timeout: Some(limit),
        live: LiveOutput::default(),
    };
    core.runtime.run_turn(turn, cancel.clone()).await.outcome
}

/// The variables of a command, with what it is called for.
fn environment(asking: &Asking<'_>, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = own.clone();
    let told = [
        ("CLAWHOOK_HOOK", asking.hook.name.clone()),
        ("CLAWHOOK_HOOK_STAGE", asking.stage.to_string()),
        ("CLAWHOOK_JOB_ID", asking.job.to_string()),
    ];
    for (name, value) in told {
        if !value.contains('\0') {
            env.entry(name.to_owned()).or_insert(value);
        }
    }
    env
}

fn of_command(stage: HookStage, outcome: &RunOutcome) -> Answer {
    let entries = outcome.diagnostics.iter().flat_map(|diagnostics| &diagnostics.entries);
    let exit_code = entries.filter_map(|entry| entry.exit_code).next_back();
    let printed = outcome.summary.as_deref().unwrap_or_default();
    let report = HookReport { exit_code, ..HookReport::default() }.with_output(printed);
    if outcome.status == RunStatus::Ok {
        let decision = stage.is_gate().then_some(GateDecision::Proceed);
        let append = Some(standard_output(printed).to_owned()).filter(|text| !text.trim().is_empty());
        return Answer { append, ..Answer::done(HookReport { decision, ..report }) };
    }
    let reason = first_line(standard_output(printed));
    match (stage.is_gate(), exit_code) {
        (true, Some(SKIP)) => {
            Answer::done(HookReport { decision: Some(GateDecision::Skip), reason, ..report })
        }
        _ => {
            let error = error_of(outcome, "the command failed");
            let said = first_line(printed.trim_start_matches("stdout:\n"));
            let error = said.map_or(error.clone(), |line| format!("{error}: {line}"));
            Answer::of(state_of(outcome), HookReport { error: Some(error), ..report })
        }
    }
}

/// What a command wrote to its standard output. The runtime puts both streams together where both have something.
fn standard_output(printed: &str) -> &str {
    let both = printed.strip_prefix("stdout:\n").and_then(|rest| rest.rsplit_once("\n\nstderr:\n"));
    both.map_or(printed, |(out, _)| out)
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}

/// A turn that was told to end was not over.
fn state_of(outcome: &RunOutcome) -> HookCallState {
    let reason = outcome.error.as_ref().map(|error| error.reason);
    if reason == Some(ErrorReason::Interrupted) { HookCallState::Interrupted } else { HookCallState::Failed }
}

fn error_of(outcome: &RunOutcome, otherwise: &str) -> String {
    outcome.error.as_ref().map_or_else(|| otherwise.to_owned(), |error| error.message.clone())
}

async fn of_webhook(
    core: &Core,
    asking: &Asking<'_>,
    to: &WebhookTarget,
    limit: Duration,
    cancel: &CancellationToken,
) -> Answer {
    let Some(caller) = &core.options.webhooks.0 else {
        return Answer::failed("nobody here calls webhooks");
    };
    let body = Bytes::from(asking.context.to_string());
    let answer = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            let report = HookReport::failed("the gateway stopped while the webhook was called");
            return Answer::of(HookCallState::Interrupted, report);
        }
        answer = caller.call(to, body, limit) => answer,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Answer::failed(error),
    };
    let report =
        HookReport { status: Some(answer.status), ..HookReport::default() }.with_output(&answer.body);
    if !(200..300).contains(&answer.status) {
        let error = Some(format!("the webhook answered HTTP {}", answer.status));
        return Answer::of(HookCallState::Failed, HookReport { error, ..report });
    }
    if !asking.stage.is_gate() {
        return Answer::done(report);
    }
    match GateVerdict::read(&answer.body) {
        Ok(verdict) => of_verdict(verdict, report),
        Err(error) => {
            Answer::of(HookCallState::Failed, HookReport { error: Some(error.to_string()), ..report })
        }
    }
}

/// A gate that gave no verdict lets the run go on.
fn of_verdict(verdict: Option<GateVerdict>, report: HookReport) -> Answer {
    let Some(GateVerdict { decision, reason, append }) = verdict else {
        return Answer::done(HookReport { decision: Some(GateDecision::Proceed), ..report });
    };
    let append = append.filter(|text| !text.trim().is_empty());
    let reason = reason.and_then(|reason| first_line(&reason));
    Answer { append, ..Answer::done(HookReport { decision: Some(decision), reason, ..report }) }
}

fn of_turn(core: &Core, asking: &Asking<'_>, agent: &AgentId, outcome: RunOutcome) -> Answer {
    let printed = outcome.summary.as_deref().unwrap_or_default();
    let report = HookReport { usage: outcome.usage, ..HookReport::default() }.with_output(printed);
    let mut answer = if outcome.status != RunStatus::Ok {
        let error = Some(error_of(&outcome, "the turn failed"));
        Answer::of(state_of(&outcome), HookReport { error, ..report })
    } else if asking.stage.is_gate() {
        let said = outcome.output.as_ref().map_or_else(|| printed.to_owned(), Value::to_string);
        match GateVerdict::read(&said) {
            Ok(Some(verdict)) => of_verdict(Some(verdict), report),
            Ok(None) | Err(_) => {
                let error = Some(clawhook_model::NoGateVerdict.to_string());
                Answer::of(HookCallState::Failed, HookReport { error, ..report })
            }
        }
    } else {
        Answer::done(report)
    };
    answer.spent = Some(HookSpending {
        job_id: asking.job.clone(),
        agent_id: agent.clone(),
        day: turns::day(core, core.clock.now()),
        outcome,
    });
    answer
}

fn shortened(context: &Value, most: usize) -> String {
    let mut text = format!("{context:#}");
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_streams_of_a_command_the_standard_output_is_told_apart() {
        assert_eq!(standard_output("plain"), "plain");
        assert_eq!(standard_output("stdout:\none\n\nstderr:\nwarn"), "one");
        assert_eq!(standard_output("stdout:\nalone"), "stdout:\nalone");
    }
}
