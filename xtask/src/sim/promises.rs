//! What must be so when everything has come to its end, whatever went wrong before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{
    Delivery, DeliveryState, ErrorReason, JobDefinition, MisfirePolicy, OpenRuns, Overlap, RunOutcome,
    RunProgress, RunStatus, SessionId, Trigger, UnixMs,
};
use clawhook_schedule::MISFIRE_TOLERANCE;
use clawhook_store::{
    Occurrence, OccurrenceFilter, OccurrenceOutcome, RunFilter, RunRecord, Store, StoreError,
};

use super::World;
use super::agents::{Begun, MAIN_SESSION};
use super::failures::{Streak, happenings};
use super::jobs::{Span, Watched, off_since};
use super::network::Received;
use super::told::Texts;

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
}

/// Everything that is looked at.
struct Evidence<'a> {
    world: &'a World,
    store: &'a dyn Store,
    /// From then on nothing went wrong, and what was late had been made up for.
    calm_since: UnixMs,
    begun: HashMap<SessionId, Begun>,
    received: BTreeMap<(String, String), Received>,
    /// The sessions of all runs.
    sessions: HashSet<SessionId>,
    /// What was left for the main session, and what was told there.
    texts: Texts,
    told_by: HashMap<String, Vec<String>>,
    broken: Vec<String>,
    tally: Tally,
}

/// Holds what is known against the promises, and tells which are broken.
pub(super) async fn check(
    world: &World,
    store: &dyn Store,
    jobs: &[Watched],
    calm_since: UnixMs,
    forgotten_after: Option<Duration>,
) -> Result<(Vec<String>, Tally), StoreError> {
    let mut evidence = Evidence {
        world,
        store,
        calm_since,
        begun: world.agents.begun(),
        received: world.network.received(),
        sessions: HashSet::new(),
        texts: Texts::default(),
        told_by: world.agents.told(),
        broken: world.network.broken(),
        tally: Tally::default(),
    };
    for job in jobs {
        evidence.look_at(job).await?;
    }
    evidence.nothing_came_from_nowhere();
    let texts = evidence.texts.check(store, world.clock.now(), forgotten_after).await?;
    evidence.broken.extend(texts);
    Ok((evidence.broken, evidence.tally))
}

impl Evidence<'_> {
    async fn look_at(&mut self, job: &Watched) -> Result<(), StoreError> {
        let records = self.store.occurrences(OccurrenceFilter::newest(&job.id, ALL)).await?;
        let filter = RunFilter { job_id: Some(job.id.clone()), limit: ALL, ..RunFilter::default() };
        let runs = self.store.runs(filter).await?.runs;
        self.tally.occurrences += records.len();
        self.tally.runs += runs.len();
        if let Some(found) = self.store.job(&job.id).await?
            && found.state.open_runs.any()
        {
            self.broken
                .push(format!("{} counts open runs, and there is none: {:?}", job.id, found.state.open_runs));
        }
        self.i01_each_due_instant_has_one_record(job, &records).await?;
        self.i02_each_instant_was_tried_in_order(job, &records, &runs);
        self.policies_were_kept(job, &runs);
        self.failures_had_their_consequences(job, &runs).await?;
        self.sessions.extend(runs.iter().map(|record| record.run.session.id));
        for run in &runs {
            self.texts.note(run, &self.told_by);
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
                Some(end) => (end.recorded_before, end.latest),
                None => (self.waits_for(job, span).await?, latest),
            };
            let possible_now = self.instants(job, span, possible_until.max(required_before).plus_millis(1));
            let missing: Vec<UnixMs> = possible_now
                .iter()
                .filter(|due| (span.first..required_before).contains(*due) && !recorded.contains(due))
                .copied()
                .collect();
            if let Some(first) = missing.first() {
                self.broken.push(format!("i01: {id} has no record of {first} ({} missing)", missing.len()));
            }
            possible.extend(possible_now);
        }
        for record in records {
            let due = record.due_at;
            if !possible.contains(&due) && !job.backfilled.contains(&due) {
                self.broken.push(format!("i01: {id} has a record of {due}, when it was not due"));
            }
            if due > self.calm_since
                && !job.backfilled.contains(&due)
                && record.recorded_at > due.plus_millis(LATE_BY_MS)
            {
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
            (Some(found), None) if found.is_enabled() => {
                self.broken.push(format!("i01: {} is enabled and waits for nothing", job.id));
                Ok(now)
            }
            (Some(found), None) => Ok(off_since(&found).map_or(span.first, |off_at| off_at.plus_millis(1))),
            (None, None) => {
                self.broken.push(format!("i01: {} is gone, and nobody removed it", job.id));
                Ok(now)
            }
        }
    }

    fn instants(&mut self, job: &Watched, span: &Span, until: UnixMs) -> Vec<UnixMs> {
        let since = if self.time_is_straight() { span.since } else { self.world.clock.earliest() };
        match span.instants(&job.id, &self.world.host_zone, (since, until)) {
            Ok(instants) => instants,
            Err(error) => {
                self.broken.push(format!("{}: {error}", job.id));
                Vec::new()
            }
        }
    }

    /// What is known of a run's turn; none where it never began.
    fn turn_of(&self, record: &RunRecord) -> Option<Begun> {
        self.begun.get(&record.run.session.id).copied()
    }

    /// Whether a run was cancelled before its turn began: it is an error, and its instant was skipped. Turns in a main
    /// session are not told apart by it, so that there the instant's record is believed.
    fn was_called_off(&self, record: &RunRecord, instant: &OccurrenceOutcome) -> bool {
        let error = finished(record).and_then(|(_, _, outcome)| outcome.error.as_ref());
        let is_cancelled = error.is_some_and(|error| error.reason == ErrorReason::Cancelled);
        let is_untold = record.run.session.key.ends_with(MAIN_SESSION);
        let never_began = self.turn_of(record).is_none();
        is_cancelled && never_began && !(is_untold && matches!(instant, OccurrenceOutcome::Ran(_)))
    }

    fn i02_each_instant_was_tried_in_order(
        &mut self,
        job: &Watched,
        records: &[Occurrence],
        runs: &[RunRecord],
    ) {
        let id = &job.id;
        let mut tries: BTreeMap<UnixMs, Vec<&RunRecord>> = BTreeMap::new();
        for record in runs.iter().rev() {
            let run = &record.run;
            let turns = self.turn_of(record).map_or(0, |begun| begun.turns);
            if turns > 1 || (turns > 0 && !was_executed(record)) {
                self.broken.push(format!("i02, i08: a run of {id} began {turns} turns"));
            }
            match (run.trigger, run.scheduled_at) {
                (Trigger::Manual, None) => {}
                (_, Some(due)) => tries.entry(due).or_default().push(record),
                (trigger, None) => {
                    self.broken.push(format!("i02: a run of {id} ({trigger:?}) has no instant"));
                }
            }
        }
        for record in records {
            let tries = tries.remove(&record.due_at).unwrap_or_default();
            let is_begun = |run: &RunRecord| was_executed(run) && !self.was_called_off(run, &record.outcome);
            if let Some(fault) = fault_of_tries(&record.outcome, &tries, is_begun) {
                self.broken.push(format!("i02: {id} at {}: {fault}", record.due_at));
            }
        }
        if let Some(due) = tries.keys().next() {
            self.broken.push(format!("i02: {id} was run for {due}, which has no record"));
        }
    }

    fn policies_were_kept(&mut self, job: &Watched, runs: &[RunRecord]) {
        let id = &job.id;
        let never_beside = job.always(|wanted| wanted.overlap != Some(Overlap::AllowAll));
        if never_beside && self.world.agents.beside().contains(id.as_str()) {
            self.broken.push(format!("i02: a turn of {id} was begun beside another"));
        }
        let firsts = || runs.iter().rev().filter(|record| is_first_try(record) && was_executed(record));
        let places: Vec<u64> =
            firsts().filter_map(|record| self.turn_of(record)).map(|begun| begun.place).collect();
        if never_beside && !places.is_sorted() {
            self.broken.push(format!("runs of {id} began in another order than they were due"));
        }
        for record in firsts() {
            let (Some(due), Some((began, _, _))) = (record.run.scheduled_at, finished(record)) else {
                continue;
            };
            let late_by = began.since(due);
            if self.all_wanted(job, began, |wanted| {
                wanted.misfire.max_lateness.is_some_and(|most| late_by > most)
            }) {
                self.broken.push(format!("{id} began {late_by:?} after {due}, later than it may"));
            }
            let claimed = record.run.queued_at;
            let skips =
                self.all_wanted(job, claimed, |wanted| wanted.misfire.policy == Some(MisfirePolicy::Skip));
            let missed = claimed.since(due) > MISFIRE_TOLERANCE && self.world.was_away_between(due, claimed);
            if skips && missed && self.time_is_straight() {
                self.broken.push(format!("{id} ran for {due}, when nobody was there, at {claimed}"));
            }
        }
    }

    /// Whether the clock never went back, so that instants tell what was before what.
    fn time_is_straight(&self) -> bool {
        self.world.climate.clock_steps_minutes == 0
    }

    /// Whether something is so of all that a job's owner may have wanted at an instant.
    fn all_wanted(&self, job: &Watched, at: UnixMs, is_so: impl Fn(&JobDefinition) -> bool) -> bool {
        if self.time_is_straight() { job.wanted_at(at).all(is_so) } else { job.always(is_so) }
    }

    /// Follows the failures of a job whose runs come one after the other: it backs off, and is switched off.
    async fn failures_had_their_consequences(
        &mut self,
        job: &Watched,
        runs: &[RunRecord],
    ) -> Result<(), StoreError> {
        let follows =
            job.always(|wanted| wanted.overlap != Some(Overlap::AllowAll) && !wanted.schedule.is_one_shot());
        if !follows || !self.time_is_straight() || (self.world.climate.disk_fills && !job.forgiven.is_empty())
        {
            return Ok(());
        }
        let mut streak = Streak::default();
        for happening in happenings(job, runs) {
            if let Some(fault) = streak.follow(job, runs, happening) {
                self.broken.push(format!("{}: {fault}", job.id));
            }
        }
        if let Some(found) = self.store.job(&job.id).await?
            && found.state.consecutive_errors != streak.failures
        {
            let (counted, failures) = (found.state.consecutive_errors, streak.failures);
            self.broken.push(format!("{} counts {counted} failures in a row instead of {failures}", job.id));
        }
        Ok(())
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
        for delivery in record.deliveries.iter().filter(|delivery| !delivery.required) {
            let place = (target(delivery), delivery.event_id.to_string());
            let received = self.received.remove(&place).unwrap_or_default();
            self.tally.requests += received.seen;
            if record.late.is_none() || job.always(|wanted| !wanted.delivery.late_results) {
                self.broken.push(format!("i03: a delivery of {id} was asked for by nobody"));
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
        self.begun.retain(|session, _| !self.sessions.contains(session));
        if !self.begun.is_empty() {
            self.broken.push(format!("i08: {} turns were begun for no run", self.begun.len()));
        }
        for (url, event) in self.received.keys() {
            self.broken.push(format!("i03: {url} got {event}, which is the event of no run"));
        }
    }
}

/// What is wrong with the tries of one instant, in the order in which they were made.
fn fault_of_tries(
    outcome: &OccurrenceOutcome,
    tries: &[&RunRecord],
    is_begun: impl Fn(&RunRecord) -> bool,
) -> Option<String> {
    let executed: Vec<_> = tries.iter().filter(|record| is_begun(record)).collect();
    let firsts = executed.iter().filter(|record| record.run.attempt == 1).count();
    if firsts > 1 {
        return Some(format!("{firsts} first tries were begun"));
    }
    let numbers: Vec<u32> =
        tries.iter().filter(|record| record.run.attempt > 1).map(|record| record.run.attempt).collect();
    if !numbers.iter().copied().eq((2..).take(numbers.len())) || (firsts == 0 && !numbers.is_empty()) {
        return Some(format!("{firsts} first try was followed by {numbers:?}"));
    }
    match (outcome, tries.last()) {
        (OccurrenceOutcome::Ran(_), None) => Some("its record names a run, and there is none".to_owned()),
        (OccurrenceOutcome::Ran(named), Some(last)) if *named != last.run.id => {
            Some("its record does not name the last try".to_owned())
        }
        (OccurrenceOutcome::Ran(_), Some(_)) if executed.is_empty() => {
            Some("its record names a run that was never executed".to_owned())
        }
        (OccurrenceOutcome::Skipped(_) | OccurrenceOutcome::Missed(_), _) if !executed.is_empty() => {
            Some(format!("it is {}, and it was run", outcome.as_str()))
        }
        _ => None,
    }
}

/// Whether the counters of a job are right, as a process finds them that begins.
pub(super) async fn counters(store: &dyn Store, job: Option<&Watched>) -> Result<Option<String>, StoreError> {
    let Some(job) = job else { return Ok(None) };
    let Some(found) = store.job(&job.id).await? else { return Ok(None) };
    let filter = RunFilter { job_id: Some(job.id.clone()), limit: ALL, ..RunFilter::default() };
    let runs = store.runs(filter).await?.runs;
    let count = |is: fn(&RunProgress) -> bool| runs.iter().filter(|record| is(&record.run.progress)).count();
    let open = OpenRuns {
        running: u32::try_from(count(|progress| matches!(progress, RunProgress::Running { .. })))
            .unwrap_or(0),
        waiting: u32::try_from(count(|progress| matches!(progress, RunProgress::Queued(_)))).unwrap_or(0),
    };
    let counted = found.state.open_runs;
    Ok((open != counted).then(|| format!("{} counts {counted:?}, and there are {open:?}", job.id)))
}

/// When a run that is over began and ended, and how.
pub(super) fn finished(record: &RunRecord) -> Option<(UnixMs, UnixMs, &RunOutcome)> {
    match &record.run.progress {
        RunProgress::Finished { started_at, ended_at, outcome } => Some((*started_at, *ended_at, outcome)),
        _ => None,
    }
}

/// Whether a run was begun in earnest, rather than passed over when its turn came.
pub(super) fn was_executed(record: &RunRecord) -> bool {
    finished(record).is_some_and(|(_, _, outcome)| outcome.status != RunStatus::Skipped)
}

/// Whether the schedule brought a run about, and no failure.
pub(super) fn is_first_try(record: &RunRecord) -> bool {
    matches!(record.run.trigger, Trigger::Schedule | Trigger::CatchUp)
}

fn target(delivery: &Delivery) -> String {
    match &delivery.target {
        clawhook_model::Target::Webhook(url) => url.expose().to_owned(),
        other => other.shown(),
    }
}
