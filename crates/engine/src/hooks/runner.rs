//! The task that does what follows runs.

use std::sync::Arc;
use std::time::Duration;

use clawhook_model::{AgentId, HookCallState, HookKind, HookStage};
use clawhook_store::{BegunHookCall, EndHookCall, StoreError, Topic};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{Answer, Asking, perform};
use crate::{Core, EngineHandle, turns};

/// How long the runner waits where the store cannot be read or written, and how often it looks in any case.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(30);

/// Does what follows runs: the commands and the turns of `post`, `onError` and `always` hooks, and what follows the making of
/// jobs. It talks to the store alone, and has slots of its own, so that neither runs nor hooks wait for each other.
#[derive(Clone)]
pub struct HookRunner {
    core: Arc<Core>,
}

impl HookRunner {
    /// A runner; nothing happens before [`HookRunner::run`].
    pub fn new(engine: &EngineHandle) -> Self {
        Self { core: engine.core.clone() }
    }

    /// Does what is to be done, until `shutdown`; then what is under way may end within the engine's grace.
    pub async fn run(self, shutdown: CancellationToken) {
        let core = &self.core;
        let places = Arc::new(Semaphore::new(core.options.hooks_at_once.max(1)));
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let mut changes = core.store.subscribe(Topic::Hooks);
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            let free = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                place = places.clone().acquire_owned() => place,
            };
            let Ok(first) = free else { break };
            let wait = match self.begin(first, &places, &tasks, &end).await {
                Ok(true) => continue,
                Ok(false) => LOOK,
                Err(error) => {
                    tracing::error!(%error, "hooks wait: the store cannot be read or written");
                    PAUSE
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = changes.changed() => {}
                () = core.clock.sleep(wait) => {}
            }
        }
        tasks.close();
        if tokio::time::timeout(core.options.shutdown_grace, tasks.wait()).await.is_err() {
            end.cancel();
            tokio::time::timeout(core.options.patience, tasks.wait()).await.ok();
        }
    }

    /// Begins what there is place for; false where nothing waits.
    async fn begin(
        &self,
        first: OwnedSemaphorePermit,
        places: &Arc<Semaphore>,
        tasks: &TaskTracker,
        end: &CancellationToken,
    ) -> Result<bool, StoreError> {
        if !self.core.store.has_hook_calls().await? {
            return Ok(false);
        }
        let more = std::iter::from_fn(|| places.clone().try_acquire_owned().ok());
        let held: Vec<OwnedSemaphorePermit> = std::iter::once(first).chain(more).collect();
        let begun = self.core.store.claim_hook_calls(held.len(), self.core.clock.now()).await?;
        let any = !begun.is_empty();
        for (call, place) in begun.into_iter().zip(held) {
            let (core, end) = (self.core.clone(), end.clone());
            tasks.spawn(async move {
                carry_out(&core, call, &end).await;
                drop(place);
            });
        }
        Ok(any)
    }
}

/// One call, to the commit of what came of it.
async fn carry_out(core: &Core, begun: BegunHookCall, end: &CancellationToken) {
    let answer = match prepare(core, &begun).await {
        Ok(Some((agent, context))) => call(core, &begun, &agent, &context, end).await,
        Ok(None) => Answer::failed("what it was to be told of is not kept any more"),
        Err(error) => Answer::failed(format!("what it is told of cannot be read: {error}")),
    };
    let Answer { state, report, spent, .. } = answer;
    let ended = EndHookCall { id: begun.id, state, report, at: core.clock.now(), spent };
    loop {
        match core.store.end_hook_call(ended.clone()).await {
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, "what a hook brought waits: the store cannot be written");
                core.clock.sleep(PAUSE).await;
            }
        }
    }
}

async fn call(
    core: &Core,
    begun: &BegunHookCall,
    agent: &AgentId,
    context: &Value,
    end: &CancellationToken,
) -> Answer {
    let hook = &begun.call.hook;
    if matches!(hook.kind, HookKind::AgentTurn { .. }) {
        match turns::gateway_over_budget(core).await {
            Ok(None) => {}
            Ok(Some(why)) => return Answer::failed(why),
            Err(error) => return Answer::failed(format!("the budget cannot be read: {error}")),
        }
    }
    let asking = Asking { stage: begun.call.stage, hook, job: &begun.job_id, agent, context };
    let mut answer = perform(core, &asking, end).await;
    if answer.state == HookCallState::Interrupted {
        answer.report.error =
            Some("the gateway stopped while the hook was under way; it is not repeated".to_owned());
    }
    answer
}

/// As whom a hook is called, and what it is told; none where that is gone.
async fn prepare(core: &Core, begun: &BegunHookCall) -> Result<Option<(AgentId, Value)>, StoreError> {
    let (stage, name) = (begun.call.stage, &begun.call.hook.name);
    let Some(run) = begun.run_id else {
        let Some(job) = core.store.job(&begun.job_id).await? else { return Ok(None) };
        let context = json!({
            "stage": stage.as_str(), "hook": name, "job": job.snapshot_json(),
        });
        return Ok(Some((job.definition.agent(), context)));
    };
    let (record, event) = (core.store.run(run).await?, core.store.run_event(run).await?);
    let (Some(record), Some(event)) = (record, event) else { return Ok(None) };
    let event: Value = serde_json::from_slice(&event.body).unwrap_or_default();
    let mut context = json!({ "stage": stage.as_str(), "hook": name });
    context["provenance"] = event["provenance"].clone();
    if stage == HookStage::OnError || stage == HookStage::Always {
        context["failed"] = json!(event["status"] == "error");
    }
    context["event"] = event;
    Ok(Some((record.run.agent_id, context)))
}
