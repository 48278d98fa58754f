//! Hooks around runs: gates that are asked before a run's turn, and what follows when it has ended.
//!
//! A gate is asked within its run (`gate`), and its answer decides whether the turn is taken. What follows a run is written in
//! the transaction that ends it and done by a task of its own, the [`HookRunner`]: neither a hook that hangs nor one that fails
//! can reach the run. A call that a dead process had begun is recorded as interrupted and not repeated; one that it had not
//! begun is done after the restart. The turns of hooks are no runs, and fire no hooks.
//!
//! This crate knows no HTTP: who calls webhooks is told to it as a [`WebhookCaller`].

mod call;
mod creation;
mod gate;
mod runner;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_model::{HookKind, HookStage, Job, RunOutcome, SessionRef, WebhookTarget};
use clawhook_store::{LeftWithSessions, NewHookCall};

use crate::Core;

pub use creation::CreationRefused;
pub(crate) use gate::{Gated, ask};
pub use runner::HookRunner;

/// Calls webhooks, by the guarded way of deliveries.
#[async_trait]
pub trait WebhookCaller: Send + Sync + 'static {
    /// Posts `body`, signed, and tells what was answered; or why there is no answer, in words without secrets.
    async fn call(&self, to: &WebhookTarget, body: Bytes, limit: Duration) -> Result<WebhookAnswer, String>;
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The start of the body.
    pub body: String,
}

/// Who calls webhooks; nobody by default.
#[derive(Clone, Default)]
pub struct WebhookCalls(Option<Arc<dyn WebhookCaller>>);

impl WebhookCalls {
    /// This caller.
    pub fn by(caller: Arc<dyn WebhookCaller>) -> Self {
        Self(Some(caller))
    }
}

impl fmt::Debug for WebhookCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookCalls").field(&self.0.is_some()).finish()
    }
}

/// The hooks of a job at a stage, in their order.
pub(crate) fn of_job(core: &Core, job: &Job, stage: HookStage) -> Vec<NewHookCall> {
    core.options
        .hooks
        .of_job(job, stage)
        .into_iter()
        .map(|(hook, is_global)| NewHookCall { stage, hook: hook.clone(), is_global })
        .collect()
}

/// What follows a run of `job` that ended so. A text for the main session is left there with what else the run leaves.
pub(crate) fn after(
    core: &Core,
    job: &Job,
    outcome: &RunOutcome,
    left: &mut LeftWithSessions,
) -> Vec<NewHookCall> {
    let calls: Vec<NewHookCall> = HookStage::OF_RUNS
        .into_iter()
        .filter(|stage| stage.follows(outcome.status))
        .flat_map(|stage| of_job(core, job, stage))
        .collect();
    let main = SessionRef::main(&job.definition.agent());
    for call in &calls {
        if let HookKind::SystemEvent { text } = &call.hook.kind {
            left.elsewhere.push((main.clone(), text.clone()));
        }
    }
    calls
}
