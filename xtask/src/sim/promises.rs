//! What must be so when everything has come to its end, whatever went wrong before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clawhook_clock::Clock;
use clawhook_model::{Delivery, DeliveryState, RunId, RunProgress, SessionId, Trigger, UnixMs};
use clawhook_store::{
    Occurrence, OccurrenceFilter, OccurrenceOutcome, RunFilter, RunRecord, Store, StoreError,
};

use super::World;
use super::jobs::{Span, Watched};
use super::network::Received;

/// The most records that are read of one job.
const ALL: usize = 1_000_000;
/// How long after its instant a job may still be unclaimed when nothing holds it up.
const CLAIMED_WITHIN_MS: i64 = 60_000;
/// How late a job may be where nothing goes wrong: as long as all others have the slots before it.
const LATE_BY_MS: i64 = 30 * 60_000;

/// What was counted on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) occurrences: usize,
    pub(super) runs: usize,
    pub(super) deliveries: usize,
    pub(super) requests: u64,
    /// Instants that had come, and whose job was edited before they were claimed.
    pub(super) passed_over: usize,
}

/// Everything that is looked at.
struct Evidence<'a> {
    world: &'a World,
    store: &'a dyn Store,
    /// From then on nothing went wrong, and what was late had been made up for.
    calm_since: UnixMs,
    begun: HashMap<SessionId, u64>,
    received: BTreeMap<(String, String), Received>,
    broken: Vec<String>,
    tally: Tally,
}

/// Holds what is known against the promises, and tells which are broken.
pub(super) async fn check(
    world: &World,
    store: &dyn Store,
    jobs: &[Watched],
    calm_since: UnixMs,
) -> Result<(Vec<String>, Tally), StoreError> {
    let mut evidence = Evidence {
        world,
        store,
        calm_since,
        begun: world.agents.begun(),
        received: world.network.received(),
        broken: world.network.broken(),
        tally: Tally::default(),
    };
    for job in jobs {
        evidence.look_at(job).await?;
    }
    evidence.nothing_came_from_nowhere();
    Ok((evidence.broken, evidence.tally))
}

impl Evidence<'_> {
    async fn look_at(&mut self, job: &Watched) -> Result<(), StoreError> {
        let records = self.store.occurrences(OccurrenceFilter::newest(&job.id, ALL)).await?;
        let filter = RunFilter { job_id: Some(job.id.clone()), limit: ALL, ..RunFilter::default() };
        let runs = self.store.runs(filter).await?.runs;
        self.tally.occurrences += records.len();
        self.tally.runs += runs.len();
        self.i01_each_due_instant_has_one_record(job, &records).await?;
        self.i02_each_claim_led_to_one_run(job, &records, &runs);
        for run in &runs {
            self.i03_a_finished_run_has_its_event_and_deliveries(job, run).await?;
        }
        Ok(())
    }

    async fn i01_each_due_instant_has_one_record(
        &mut self,
        job: &Watched,
        records: &[Occurrence],
    ) -> Result<(), StoreError> {
        let id = &job.id;
        let recorded: BTreeSet<UnixMs> = records.iter().map(|record| record.due_at).collect();
        if recorded.len() != records.len() {
            self.broken.push(format!("i01: {id} has two records of one instant"));
        }
        let latest = self.world.clock.latest();
        let mut possible = BTreeSet::new();
        for span in &job.spans {
            let (required_before, possible_until) = match span.end {
                Some(end) => (end.waited_for.unwrap_or(end.latest), end.latest),
                None => (self.waits_for(job, span).await?, latest),
            };
            let possible_now = self.instants(job, span, possible_until.max(required_before).plus_millis(1));
            let missing: Vec<UnixMs> = possible_now
                .iter()
                .filter(|due| **due < required_before && !recorded.contains(due))
                .copied()
                .collect();
            let edited_at = span.end.map(|end| end.at);
            self.tally.passed_over += possible_now
                .iter()
                .filter(|due| **due >= required_before && edited_at.is_some_and(|at| **due <= at))
                .filter(|due| !recorded.contains(due))
                .count();
            if let Some(first) = missing.first() {
                self.broken.push(format!("i01: {id} has no record of {first} ({} missing)", missing.len()));
            }
            possible.extend(possible_now);
        }
        for record in records {
            let due = record.due_at;
            if !possible.contains(&due) {
                self.broken.push(format!("i01: {id} has a record of {due}, when it was not due"));
            }
            if due > self.calm_since && record.recorded_at > due.plus_millis(LATE_BY_MS) {
                self.broken.push(format!("{id} was due at {due} and claimed at {}", record.recorded_at));
            }
            if record.recorded_at < due {
                self.broken
                    .push(format!("i01: {id} recorded {due} at {}, before it came", record.recorded_at));
            }
        }
        Ok(())
    }

    /// What an enabled job waits for now; what was due before has its record.
    async fn waits_for(&mut self, job: &Watched, span: &Span) -> Result<UnixMs, StoreError> {
        let now = self.world.clock.now();
        let found = self.store.job(&job.id).await?;
        let next = found.as_ref().and_then(|found| found.state.next_run_at);
        match (found, next) {
            (_, Some(next)) => {
                if next.plus_millis(CLAIMED_WITHIN_MS) < now {
                    self.broken.push(format!("i01: {} was due at {next}, and nobody claims it", job.id));
                }
                Ok(next)
            }
            // A one-shot is over once it was due.
            _ if span.schedule.is_one_shot() => Ok(span.first.plus_millis(1)),
            (Some(found), None) if found.definition.enabled => {
                self.broken.push(format!("i01: {} is enabled and waits for nothing", job.id));
                Ok(now)
            }
            (Some(_), None) => Ok(span.first),
            (None, None) => {
                self.broken.push(format!("i01: {} is gone, and nobody removed it", job.id));
                Ok(now)
            }
        }
    }

    fn instants(&mut self, job: &Watched, span: &Span, until: UnixMs) -> Vec<UnixMs> {
        match span.instants(&job.id, &self.world.host_zone, until) {
            Ok(instants) => instants,
            Err(error) => {
                self.broken.push(format!("{}: {error}", job.id));
                Vec::new()
            }
        }
    }

    fn i02_each_claim_led_to_one_run(&mut self, job: &Watched, records: &[Occurrence], runs: &[RunRecord]) {
        let id = &job.id;
        let mut claimed: BTreeMap<RunId, UnixMs> = BTreeMap::new();
        for record in records {
            if let OccurrenceOutcome::Ran(run) = record.outcome
                && claimed.insert(run, record.due_at).is_some()
            {
                self.broken.push(format!("i02: one run of {id} stands for two instants"));
            }
        }
        for RunRecord { run, .. } in runs {
            let stands_for = claimed.remove(&run.id);
            match run.trigger {
                Trigger::Manual => {}
                _ if stands_for.is_some() && stands_for == run.scheduled_at => {}
                _ => self.broken.push(format!("i02: a run of {id} for {:?} has no claim", run.scheduled_at)),
            }
            if let Some(turns) = self.begun.remove(&run.session.id)
                && turns > 1
            {
                self.broken.push(format!("i02, i08: a run of {id} began {turns} turns"));
            }
        }
        if let Some(due) = claimed.values().next() {
            self.broken.push(format!("i02: {id} was claimed for {due}, and there is no such run"));
        }
    }

    async fn i03_a_finished_run_has_its_event_and_deliveries(
        &mut self,
        job: &Watched,
        record: &RunRecord,
    ) -> Result<(), StoreError> {
        let (id, run) = (&job.id, &record.run);
        if !matches!(run.progress, RunProgress::Finished { .. }) {
            self.broken.push(format!("i03: a run of {id} never ended: {:?}", run.progress));
            return Ok(());
        }
        let required: Vec<&Delivery> =
            record.deliveries.iter().filter(|delivery| delivery.required).collect();
        self.tally.deliveries += required.len();
        if required.len() != job.receivers {
            let (found, wanted) = (required.len(), job.receivers);
            self.broken.push(format!("i03: a run of {id} has {found} deliveries instead of {wanted}"));
        }
        let Some(event) = self.store.run_event(run.id).await? else {
            self.broken.push(format!("i03: a finished run of {id} has no event"));
            return Ok(());
        };
        for delivery in required {
            let place = (target(delivery), event.id.to_string());
            let received = self.received.remove(&place).unwrap_or_default();
            self.tally.requests += received.seen;
            if delivery.event_id != event.id {
                self.broken.push(format!("i03: a delivery of {id} carries another run's event"));
            }
            if received.seen > 0 && received.body != event.body {
                self.broken.push(format!("i09: a receiver got other bytes than the event of {id}"));
            }
            self.i04_it_ended_visibly(job, delivery, &received);
        }
        Ok(())
    }

    fn i04_it_ended_visibly(&mut self, job: &Watched, delivery: &Delivery, received: &Received) {
        let (id, state) = (&job.id, delivery.state);
        match state {
            DeliveryState::Delivered if received.accepted == 0 => {
                self.broken
                    .push(format!("i10: a delivery of {id} is `delivered`, and nobody has accepted it"));
            }
            DeliveryState::Suppressed if received.seen > 0 => {
                self.broken.push(format!("i04: what was to stay silent was sent, for {id}"));
            }
            DeliveryState::Dead if delivery.reason.is_none() => {
                self.broken.push(format!("i04: a delivery of {id} is dead without a reason"));
            }
            _ if !state.is_settled() => {
                self.broken.push(format!("i04: a delivery of {id} never ended: it is {}", state.as_str()));
            }
            _ => {}
        }
        if u64::from(delivery.attempts) < received.seen {
            let (attempts, seen) = (delivery.attempts, received.seen);
            self.broken.push(format!("i05: {seen} requests came of {attempts} attempts, for {id}"));
        }
    }

    /// What is left belongs to no run.
    fn nothing_came_from_nowhere(&mut self) {
        if !self.begun.is_empty() {
            self.broken.push(format!("i08: {} turns were begun for no run", self.begun.len()));
        }
        for (url, event) in self.received.keys() {
            self.broken.push(format!("i03: {url} got {event}, which is the event of no run"));
        }
    }
}

fn target(delivery: &Delivery) -> String {
    match &delivery.target {
        clawhook_model::Target::Webhook(url) => url.expose().to_owned(),
        other => other.shown(),
    }
}
