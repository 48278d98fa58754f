//! How the gateway itself is.

use std::time::Duration;

use clawhook_engine::Alarm;
use clawhook_model::{DestinationName, Target, UnixMs};
use clawhook_store::{Counts, DestinationFilter, DestinationWithQueue, StoreError};

use super::destinations::{open, uses};
use super::{Facts, Verbs};

/// How many halted destinations are looked at, and of how many it is told.
const HALTED: usize = 1_000;
const WARNINGS: usize = 20;
/// How many jobs are asked for, of which a sentence names some.
const JOBS: usize = 4;

/// How the gateway is.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// What does not change.
    pub(crate) facts: Facts,
    /// How long it has been running.
    pub(crate) uptime: Duration,
    /// What is wrong, one sentence each.
    pub(crate) problems: Vec<String>,
    /// What is wrong by the clock; the problems tell it as well.
    pub(crate) alarms: Vec<Alarm>,
    /// How many jobs were made to wait for another instant.
    pub(crate) schedules_corrected: u64,
    /// What asks for the operator and keeps the gateway from nothing, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// The fault of the store's last write.
    pub(crate) store_fault: Option<StoreError>,
    /// How much of what there is.
    pub(crate) counts: Counts,
}

impl Verbs {
    /// What keeps the gateway from doing its work, one sentence each; none while all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let fault = self.with.store.fault().map(|fault| fault.to_string());
        let stopping = self.with.stopping.is_cancelled().then(|| "the gateway is stopping".to_owned());
        let mut problems = Vec::new();
        let watched = self.with.watchdog.problems();
        for problem in fault.into_iter().chain(stopping).chain(self.with.engine.problems()).chain(watched) {
            // What one part of the gateway suffers from, others notice as well.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }

    /// How the gateway is.
    pub(crate) async fn status(&self) -> Result<Status, StoreError> {
        let now = self.with.clock.now();
        let counts = self.with.store.counts(now).await?;
        let mut warnings = self.warnings().await?;
        warnings.extend(switched_off(&counts));
        Ok(Status {
            facts: self.with.facts.clone(),
            uptime: now.since(self.started_at()),
            problems: self.problems(),
            alarms: self.with.watchdog.alarms(),
            schedules_corrected: self.with.audit.corrected(),
            warnings,
            store_fault: self.with.store.fault(),
            counts,
        })
    }

    /// What asks for the operator: destinations that are halted while something waits for them, such as the
    /// configuration declares no more, and a ping that nobody takes.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let filter = DestinationFilter {
            implicit: true,
            halted_only: true,
            limit: HALTED,
            ..DestinationFilter::default()
        };
        let page = self.with.store.destinations(filter).await?;
        let unseen = page.total.saturating_sub(page.destinations.len());
        let mut warnings: Vec<String> = page.destinations.iter().filter_map(halted_with_waiting).collect();
        let more = warnings.len().saturating_sub(WARNINGS);
        warnings.truncate(WARNINGS);
        if more + unseen > 0 {
            warnings.push(format!("{} more destinations are halted", more + unseen));
        }
        warnings.extend(self.with.ping_report.failure());
        warnings.extend(self.with.reaper.warnings());
        warnings.extend(self.alert_warnings().await?);
        for name in self.with.declarations.left_over() {
            if let Some(found) = self.with.store.destination_named(name).await? {
                warnings.push(self.left_over(name, &found).await?);
            }
        }
        Ok(warnings)
    }

    async fn left_over(
        &self,
        name: &DestinationName,
        found: &DestinationWithQueue,
    ) -> Result<String, StoreError> {
        let file = found.destination.declared_in.as_deref().unwrap_or("the configuration");
        let jobs = self.with.store.jobs_naming(name, JOBS).await?;
        let uses = match uses(open(&found.queue), &jobs) {
            none if none.is_empty() => "it goes when the gateway is started again".to_owned(),
            uses => uses,
        };
        Ok(format!("the destination `{name}` is declared in `{file}` no more, and is kept: {uses}"))
    }

    fn started_at(&self) -> UnixMs {
        self.with.facts.started_at
    }
}

/// Says that jobs were switched off, and how to have them run again.
fn switched_off(counts: &Counts) -> Option<String> {
    let jobs = match counts.jobs_switched_off {
        0 => return None,
        1 => "a job was".to_owned(),
        several => format!("{several} jobs were"),
    };
    Some(format!(
        "{jobs} switched off after failures; `clawhook cron list` says why, and `clawhook cron enable ID` lets a job run again"
    ))
}

/// Says that a halted destination is waited for; none where nothing waits.
fn halted_with_waiting(found: &DestinationWithQueue) -> Option<String> {
    let waiting = open(&found.queue);
    let halt = found.destination.standing.halt().filter(|_| waiting > 0)?;
    let (standing, detail) = (found.destination.standing.as_str(), &halt.detail);
    let (shown, handle) = match &found.destination.target {
        Target::Destination(name) => (name.to_string(), name.to_string()),
        implicit => (implicit.shown(), found.destination.id.to_string()),
    };
    let waits = uses(waiting, &[]);
    Some(format!(
        "the destination `{shown}` is {standing} ({detail}), and {waits}; `clawhook destinations resume {handle}` lets go what waits"
    ))
}
