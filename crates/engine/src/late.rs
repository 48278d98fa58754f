//! What a run still brings after it was given up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clawhook_agent::TurnResult;
use clawhook_model::{DeliveryId, EventId, Finished, Job, RunOutcome, RunStatus, UnixMs};
use clawhook_store::{LateEvent, LateResult, NewDelivery, NewRun};
use tokio::task::JoinHandle;

use crate::Core;
use crate::route;
use crate::runner::finished;
use crate::turns;

/// How long a run that was given up is still listened to.
const LISTENED: Duration = Duration::from_hours(1);

/// A run that was given up, and the turn that goes on.
pub(crate) struct GivenUp {
    pub(crate) run: NewRun,
    pub(crate) job: Job,
    pub(crate) started_at: UnixMs,
    pub(crate) turn: JoinHandle<TurnResult>,
}

/// Waits for what the turn still brings, and records it with its own run.
pub(crate) fn listen(core: &Arc<Core>, given_up: GivenUp) {
    let core = core.clone();
    tokio::spawn(async move {
        let GivenUp { run, job, started_at, mut turn } = given_up;
        let ended = tokio::select! {
            biased;
            () = core.end_listening.cancelled() => None,
            ended = tokio::time::timeout(LISTENED, &mut turn) => ended.ok().and_then(Result::ok),
        };
        turn.abort();
        let Some(TurnResult { outcome, .. }) = ended.filter(|result| is_worth_keeping(&result.outcome))
        else {
            return;
        };
        record(&core, &run, &job, started_at, outcome).await;
    });
}

fn is_worth_keeping(outcome: &RunOutcome) -> bool {
    outcome.status == RunStatus::Ok || outcome.summary.as_deref().is_some_and(|text| !text.trim().is_empty())
}

async fn record(core: &Core, run: &NewRun, job: &Job, started_at: UnixMs, outcome: RunOutcome) {
    let at = core.clock.now();
    let route = route::of(core, job).await;
    let event = job.definition.delivery.late_results.then(|| {
        let id = EventId::new(at);
        let provenance = run.provenance.through(&core.options.instance, &job.id);
        let told_route = route.as_ref().map(|route| route.as_ref().map_err(String::as_str));
        let told = Finished {
            late: true,
            route: told_route,
            ..finished(run, job, &outcome, &provenance, id, (started_at, at))
        };
        LateEvent {
            id,
            body: Bytes::from(told.to_bytes()),
            deliveries: route::plan(&job.definition.delivery, &outcome, route.as_ref())
                .into_iter()
                .map(|plan| NewDelivery { id: DeliveryId::new(at), plan })
                .collect(),
        }
    });
    let used = outcome.clone();
    let late = LateResult {
        run_id: run.id,
        job_id: job.id.clone(),
        agent_id: run.agent_id.clone(),
        at,
        outcome,
        event,
        day: turns::day(core, at),
    };
    match core.store.record_late(late).await {
        Ok(_) => {
            core.counted.used(&run.agent_id, &used);
            tracing::warn!(job = %job.id, run = %run.id, "a result came after its run had been given up");
        }
        Err(error) => {
            tracing::error!(job = %job.id, run = %run.id, %error, "a late result could not be recorded");
        }
    }
}
