//! What came of runs since the process began, counted for whoever watches from outside. The store's own sums outlive it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use clawhook_model::{AgentId, RunOutcome, Usage, Usd};

/// How many agents and models are told apart; what is beyond is counted together.
const MOST_MODELS: usize = 500;
/// The name of what is beyond.
const OTHERS: &str = "other";

/// What came of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many runs ended with each status and class of error; the class is empty where there is none.
    pub runs: BTreeMap<(&'static str, &'static str), u64>,
    /// What was used by each agent with each model, `provider/model`.
    pub used: BTreeMap<(String, String), (Usage, Usd)>,
    /// How often a run was put back.
    pub deferrals: u64,
}

/// The counts of a process.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<Tally>);

impl Counted {
    /// Counts a run that has ended.
    pub(crate) fn run(&self, agent: &AgentId, outcome: &RunOutcome) {
        let class = outcome.error.as_ref().map_or("", |error| error.reason.as_str());
        *self.lock().runs.entry((outcome.status.as_str(), class)).or_default() += 1;
        self.used(agent, outcome);
    }

    /// Counts what a run used, where that comes after its end too.
    pub(crate) fn used(&self, agent: &AgentId, outcome: &RunOutcome) {
        let Some(usage) = outcome.usage else { return };
        let mut tally = self.lock();
        let model =
            [&outcome.provider, &outcome.model].map(|name| name.as_deref().unwrap_or_default()).join("/");
        let key = (agent.to_string(), model);
        let is_known = tally.used.contains_key(&key) || tally.used.len() < MOST_MODELS;
        let key = if is_known { key } else { (OTHERS.to_owned(), OTHERS.to_owned()) };
        let (all, usd) = tally.used.entry(key).or_default();
        *all += usage;
        *usd += outcome.cost.unwrap_or_default();
    }

    /// Counts a run that is put back.
    pub(crate) fn deferral(&self) {
        self.lock().deferrals += 1;
    }

    /// The counts as they are now.
    pub(crate) fn now(&self) -> Tally {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use clawhook_model::ErrorReason;

    use super::*;

    #[test]
    fn runs_are_counted_by_how_they_ended_and_models_no_more_than_can_be_told_apart() {
        let counted = Counted::default();
        counted.run(&AgentId::main(), &RunOutcome::error(ErrorReason::Timeout, "slow"));
        for number in 0..MOST_MODELS + 10 {
            let outcome = RunOutcome {
                model: Some(format!("m{number}")),
                usage: Some(Usage::new(1, 1)),
                ..RunOutcome::ok("done")
            };
            counted.run(&AgentId::main(), &outcome);
        }
        let tally = counted.now();
        assert_eq!((tally.runs[&("error", "timeout")], tally.runs[&("ok", "")]), (1, 510));
        assert_eq!(tally.used.len(), MOST_MODELS + 1);
        assert_eq!(tally.used[&(OTHERS.to_owned(), OTHERS.to_owned())].0.total_tokens, 20);
    }
}
