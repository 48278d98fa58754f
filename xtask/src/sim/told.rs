//! System events: each is told by one turn that ended well, and none is lost.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use clawhook_model::{AgentId, JobId, RunStatus, SessionRef, UnixMs};
use clawhook_store::{RunRecord, Store, StoreError};
use jiff::Timestamp;

use super::agents::MAIN_SESSION;
use super::promises::finished;

/// How many wait in a session before the oldest are dropped.
const MOST_WAITING: usize = 1000;

/// What is known of the texts for the main session.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// When each was left, and how often at that instant.
    left: BTreeMap<String, (UnixMs, usize)>,
    /// How often each was told by a turn that ended well.
    told: BTreeMap<String, usize>,
}

/// How a turn is told of a text, but for the text.
pub(super) fn label(at: UnixMs, job: &JobId) -> String {
    let at = Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.to_string(), |at| at.to_string());
    format!("[{at}, cron:{job}]")
}

impl Texts {
    /// Notes a run: where its result is the reply of a turn, that turn told what it was told of; else it left a text.
    pub(super) fn note(&mut self, record: &RunRecord, told_by: &HashMap<String, Vec<String>>) {
        let Some((_, ended_at, outcome)) = finished(record) else { return };
        if !record.run.session.key.ends_with(MAIN_SESSION) || outcome.status != RunStatus::Ok {
            return;
        }
        match outcome.summary.as_ref().and_then(|reply| told_by.get(reply)) {
            Some(told) => {
                for label in told {
                    *self.told.entry(label.clone()).or_default() += 1;
                }
            }
            None => {
                let label = label(ended_at, &record.run.job_id);
                self.left.entry(label).or_insert((ended_at, 0)).1 += 1;
            }
        }
    }

    /// What is broken. What is older than `forgotten_after` may have been forgotten.
    pub(super) async fn check(
        &self,
        store: &dyn Store,
        now: UnixMs,
        forgotten_after: Option<Duration>,
    ) -> Result<Vec<String>, StoreError> {
        let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
        let main = SessionRef::main(&AgentId::main());
        for event in store.system_events(main.id, usize::MAX).await? {
            *waiting.entry(label(event.at, &event.job_id)).or_default() += 1;
        }
        let mut broken = Vec::new();
        let was_dropped = self.left.values().map(|(_, count)| count).sum::<usize>() > MOST_WAITING;
        for (label, (at, left)) in &self.left {
            let told = self.told.get(label).copied().unwrap_or(0);
            let accounted = told + waiting.get(label).copied().unwrap_or(0);
            let may_be_forgotten = was_dropped || forgotten_after.is_some_and(|age| now.since(*at) >= age);
            if accounted > *left {
                broken.push(format!(
                    "the text {label} was told or waits {accounted} times, and was left {left}"
                ));
            } else if accounted < *left && !may_be_forgotten {
                broken.push(format!(
                    "the text {label} was left {left} times, and is told or waits {accounted}"
                ));
            }
        }
        let unknown = self.told.keys().chain(waiting.keys()).find(|label| !self.left.contains_key(*label));
        broken.extend(unknown.map(|label| format!("the text {label} was left by nobody")));
        Ok(broken)
    }
}
