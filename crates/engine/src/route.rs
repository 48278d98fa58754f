//! Where the results of a job are announced: resolved when a run has ended, from what is configured and where something
//! was last announced.

use clawhook_model::{
    DeliveryBegin, DeliveryMode, DeliveryPlan, DeliverySettings, Job, Route, RunOutcome, Target,
    plan_deliveries,
};

use crate::Core;

/// A route, or why there is none.
pub(crate) type Resolved = Result<Route, String>;

/// Where a job's result is announced; none where it is not to be announced.
pub(crate) async fn of(core: &Core, job: &Job) -> Option<Resolved> {
    let DeliveryMode::Announce(target) = &job.definition.delivery.mode else { return None };
    let agent = job.definition.agent();
    let last = match core.store.last_route(&agent).await {
        Ok(last) => last,
        Err(error) => {
            tracing::error!(%agent, %error, "it cannot be read where something was last announced");
            None
        }
    };
    Some(core.options.routes.resolve(target, last.as_ref()).map_err(|error| error.to_string()))
}

/// What a run with this outcome asks of the outbox. An announcement that has no way is given up at once, in plain sight.
pub(crate) fn plan(
    settings: &DeliverySettings,
    outcome: &RunOutcome,
    route: Option<&Resolved>,
) -> Vec<DeliveryPlan> {
    let mut plans = plan_deliveries(settings, outcome);
    for plan in &mut plans {
        match (&plan.target, route) {
            (Target::Announce(_), Some(Ok(route))) => plan.target = Target::Announce(route.target()),
            (Target::Announce(_), Some(Err(why))) if plan.begin == DeliveryBegin::Pending => {
                plan.begin = DeliveryBegin::Dead(why.clone());
            }
            _ => {}
        }
    }
    plans
}
