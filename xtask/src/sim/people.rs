//! People and the machine's fate: jobs are added, edited, run by hand and removed, the clock is set, the disk fills up.

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_engine::EngineHandle;
use clawhook_model::{DeliveryState, Job, JobDefinition, JobId, JobState, Lane, Schedule, Standing, UnixMs};
use clawhook_schedule::Timetable;
use clawhook_store::{
    Decider, DeliveryFilter, DestinationFilter, JobEdit, JobUpdated, NextRun, OccurrenceFilter, Store,
    StoreError,
};

use super::World;
use super::climate::Climate;
use super::jobs::{self, Edit, SpanEnd, Watched};
use crate::chance::Chance;

/// The most jobs that there are at a time.
const MOST_JOBS: usize = 15;
/// The longest that people wait for a claim.
const LONGEST_WAIT: Duration = Duration::from_hours(12);

/// Whoever acts on the gateway, through whatever is one of its lives.
#[derive(Debug)]
pub(super) struct People {
    chance: Chance,
    /// Every job that was ever added.
    pub(super) jobs: Vec<Watched>,
}

/// A life of the gateway, as people see it.
pub(super) struct Doors<'a> {
    pub(super) world: &'a World,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) engine: &'a EngineHandle,
}

impl Doors<'_> {
    fn now(&self) -> UnixMs {
        self.world.clock.now()
    }

    /// How the span ends that lasts as `job` was read.
    fn end_of_span(&self, job: &Job) -> SpanEnd {
        SpanEnd { waited_for: job.state.next_run_at, at: self.now(), latest: self.world.clock.latest() }
    }

    fn note(&self, event: impl Into<String>) {
        self.world.trace.note(self.now(), event);
    }
}

impl People {
    pub(super) fn new(chance: Chance) -> Self {
        Self { chance, jobs: Vec::new() }
    }

    /// Finds out what became of the edits that the last death cut short.
    pub(super) async fn return_to(&mut self, store: &Arc<dyn Store>) -> Result<(), StoreError> {
        for watched in &mut self.jobs {
            let Some(edit) = &mut watched.edit else { continue };
            let found = store.job(&watched.id).await?.map(|job| job.definition.to_stored_json());
            let intended = edit.after.as_ref().map(JobDefinition::to_stored_json);
            let went_by_itself = found.is_none() && edit.ends.is_some();
            if went_by_itself {
                edit.begins = None;
            }
            if found == intended || went_by_itself {
                watched.edited();
            } else {
                watched.edit = None;
            }
        }
        Ok(())
    }

    /// Acts now and then, for ever. A store that cannot be written is no reason to stop.
    pub(super) async fn act(&mut self, doors: &Doors<'_>, climate: Climate) {
        while self.jobs.len() < 5 {
            self.add(doors).await.ok();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        loop {
            let minutes = self.chance.within(1..=climate.people_rest_hours * 60);
            let rest = Duration::from_mins(minutes) + Duration::from_millis(self.chance.within(0..=59_999));
            tokio::time::sleep(rest).await;
            let acted = match self.chance.within(0..=5) {
                0 => self.wait_for_a_claim(doors).await.map(|_| ()),
                1 if climate.people_edit => self.respell(doors).await,
                _ => self.act_once(doors, climate).await,
            };
            if let Err(error) = acted {
                doors.note(format!("in vain: {error}"));
            }
        }
    }

    /// Waits until a moment before the next claim, so that what is done next meets it. Gives the job.
    async fn wait_for_a_claim(&mut self, doors: &Doors<'_>) -> Result<Option<JobId>, StoreError> {
        let before = Duration::from_millis(self.chance.within(0..=20));
        let Some(due) = doors.store.next_wake(Lane::Slot).await?.due_at else { return Ok(None) };
        let moment = due.plus_millis(-i64::try_from(before.as_millis()).unwrap_or(0));
        tokio::time::sleep(moment.since(doors.now()).min(LONGEST_WAIT)).await;
        let due = doors.store.due_jobs(Lane::Slot, due, 1).await?;
        Ok(due.into_iter().next().map(|job| job.id))
    }

    /// Writes a schedule in another way while it is claimed: its instants stay what they are.
    async fn respell(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some(id) = self.wait_for_a_claim(doors).await? else { return Ok(()) };
        let Some(place) = self.jobs.iter().position(|job| job.id == id) else { return Ok(()) };
        let Some(job) = doors.store.job(&id).await? else { return Ok(()) };
        let mut after = job.definition.clone();
        match &mut after.schedule {
            Schedule::Cron { expr, .. } => *expr = expr.replacen(' ', "  ", 1),
            Schedule::Every { every_ms, anchor_ms } => {
                *anchor_ms = anchor_ms.plus_millis(-i64::try_from(*every_ms).unwrap_or(0));
            }
            Schedule::At { .. } => return Ok(()),
        }
        self.edit(doors, place, job, after).await
    }

    async fn act_once(&mut self, doors: &Doors<'_>, climate: Climate) -> Result<(), StoreError> {
        match self.chance.within(0..=12) {
            0 | 1 if climate.people_edit => self.add(doors).await,
            2 if climate.people_edit => self.remove(doors).await,
            3 | 4 if climate.people_edit => self.switch(doors).await,
            5 | 6 if climate.people_edit => self.reschedule(doors).await,
            7 => self.retry_dead(doors).await,
            8 if climate.disk_fills => self.fill_disk(doors).await,
            9 if climate.clock_steps_minutes > 0 => {
                self.set_clock(doors, climate);
                Ok(())
            }
            10 => resume_all(doors).await,
            11 => self.cancel_one(doors).await,
            _ => self.run_by_hand(doors).await,
        }
    }

    fn pick(&mut self) -> Option<usize> {
        let places: Vec<usize> = (0..self.jobs.len()).collect();
        self.chance.pick(&places).copied()
    }

    async fn run_by_hand(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some(place) = self.pick() else { return Ok(()) };
        let id = &self.jobs[place].id;
        doors.note(format!("{id} is run by hand"));
        doors.engine.run_now(id).await.map(|_| ())
    }

    async fn retry_dead(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let filter =
            DeliveryFilter { states: vec![DeliveryState::Dead], limit: 3, ..DeliveryFilter::default() };
        for delivery in doors.store.deliveries(filter).await?.deliveries {
            doors.note(format!("a dead delivery of {} is retried", delivery.job_id));
            doors.store.retry_delivery(delivery.id, doors.now()).await?;
        }
        Ok(())
    }

    /// The disk fills up while something is under way.
    pub(super) async fn fill_disk(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        self.wait_for_a_claim(doors).await?;
        tokio::time::sleep(Duration::from_millis(self.chance.within(0..=10_000))).await;
        let lasting = Duration::from_secs(self.chance.within(1..=1_500));
        doors.note(format!("the disk is full for {lasting:?}"));
        doors.world.disk.fill(lasting);
        Ok(())
    }

    async fn cancel_one(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let states = vec![DeliveryState::Waiting, DeliveryState::Pending];
        let filter = DeliveryFilter { states, limit: 1, ..DeliveryFilter::default() };
        for delivery in doors.store.deliveries(filter).await?.deliveries {
            doors.note(format!("a delivery of {} is cancelled", delivery.job_id));
            doors.store.cancel_delivery(delivery.id, doors.now()).await?;
        }
        Ok(())
    }

    fn set_clock(&mut self, doors: &Doors<'_>, climate: Climate) {
        let most = i64::try_from(climate.clock_steps_minutes * 60_000).unwrap_or(0);
        let by = i64::try_from(self.chance.within(1..=climate.clock_steps_minutes * 120_000)).unwrap_or(0);
        let now = doors.now().plus_millis(by - most);
        doors.note(format!("the clock is set to {now}"));
        doors.world.clock.set(now);
    }

    async fn add(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let live = self.jobs.iter().filter(|job| job.spans.last().is_some_and(|span| span.end.is_none()));
        if live.count() >= MOST_JOBS {
            return Ok(());
        }
        let now = doors.now();
        let Ok(id) = format!("job-{}", self.jobs.len() + 1).parse::<JobId>() else { return Ok(()) };
        let (given, receivers) = jobs::definition(&mut self.chance, &id, now);
        let Ok(definition) = JobDefinition::parse(given, now) else {
            doors.note("a definition is refused");
            return Ok(());
        };
        let first = first_due(doors, &definition.schedule, &id, now);
        doors.note(format!("{id} is added: {}", clawhook_schedule::describe(&definition.schedule, &id)));
        let edit = Edit {
            after: Some(definition.clone()),
            ends: None,
            begins: first.map(|first| (definition.schedule.clone(), first)),
        };
        self.jobs.push(Watched { id: id.clone(), receivers, spans: Vec::new(), edit: Some(edit) });
        let state = JobState { next_run_at: first, ..JobState::default() };
        let job = Job { id, definition, created_at: now, updated_at: now, state };
        let added = doors.store.insert_job(job).await;
        self.settle(self.jobs.len() - 1, added.is_ok());
        added
    }

    /// Switches a job off or on.
    async fn switch(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some(place) = self.pick() else { return Ok(()) };
        let Some(job) = doors.store.job(&self.jobs[place].id).await? else { return Ok(()) };
        let after = JobDefinition { enabled: !job.definition.enabled, ..job.definition.clone() };
        self.edit(doors, place, job, after).await
    }

    async fn reschedule(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some(place) = self.pick() else { return Ok(()) };
        let Some(job) = doors.store.job(&self.jobs[place].id).await? else { return Ok(()) };
        let now = doors.now();
        let given = serde_json::json!({
            "schedule": jobs::schedule(&mut self.chance, now),
            "payload": { "kind": "systemEvent", "text": "x" },
        });
        let Ok(read) = JobDefinition::parse(given, now) else { return Ok(()) };
        let after = JobDefinition { schedule: read.schedule, ..job.definition.clone() };
        self.edit(doors, place, job, after).await
    }

    /// Edits a job as the gateway's doors do: a new schedule begins after the last instant that has a record.
    async fn edit(
        &mut self,
        doors: &Doors<'_>,
        place: usize,
        job: Job,
        after: JobDefinition,
    ) -> Result<(), StoreError> {
        let now = doors.now();
        let last = doors
            .store
            .occurrences(OccurrenceFilter::newest(&job.id, 1))
            .await?
            .first()
            .map(|last| last.due_at);
        let used_up = matches!(&after.schedule, Schedule::At { at } if last.is_some_and(|last| *at <= last));
        if used_up {
            return Ok(());
        }
        let from = last.map_or(now, |last| last.max(now));
        let next = if after.enabled { first_due(doors, &after.schedule, &job.id, from) } else { None };
        doors.note(format!(
            "{} is edited: enabled {}, {}",
            job.id,
            after.enabled,
            clawhook_schedule::describe(&after.schedule, &job.id)
        ));
        self.jobs[place].edit = Some(Edit {
            after: Some(after.clone()),
            ends: Some(doors.end_of_span(&job)),
            begins: next.map(|first| (after.schedule.clone(), first)),
        });
        let forgives = after.enabled && !job.is_enabled();
        let edit = JobEdit { before: job.definition, after, next_run: NextRun::Set(next), forgives };
        let updated = doors.store.update_job(&job.id, edit, now).await;
        let is_done = matches!(updated, Ok(JobUpdated::Done(_)));
        self.settle(place, is_done);
        updated.map(|_| ())
    }

    async fn remove(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some(place) = self.pick() else { return Ok(()) };
        let id = self.jobs[place].id.clone();
        let Some(job) = doors.store.job(&id).await? else { return Ok(()) };
        doors.note(format!("{id} is removed"));
        self.jobs[place].edit = Some(Edit { after: None, ends: Some(doors.end_of_span(&job)), begins: None });
        let removed = doors.store.remove_job(&id, doors.now()).await;
        self.settle(place, removed.is_ok());
        removed.map(|_| ())
    }

    /// An edit was answered.
    fn settle(&mut self, place: usize, is_done: bool) {
        let watched = &mut self.jobs[place];
        if is_done {
            watched.edited();
        } else {
            watched.edit = None;
        }
    }
}

/// Resumes every destination that is halted, as its operator does once a receiver is well again.
pub(super) async fn resume_all(doors: &Doors<'_>) -> Result<(), StoreError> {
    let halted = DestinationFilter { implicit: true, halted_only: true, offset: 0, limit: 100 };
    for found in doors.store.destinations(halted).await?.destinations {
        doors.note(format!("{} is resumed", found.destination.target.shown()));
        let id = found.destination.id;
        doors.store.set_standing(id, Standing::Active, Decider::Person, doors.now()).await?;
    }
    Ok(())
}

fn first_due(doors: &Doors<'_>, schedule: &Schedule, id: &JobId, after: UnixMs) -> Option<UnixMs> {
    match schedule {
        Schedule::At { at } => Some(*at),
        _ => Timetable::new(schedule, id, &doors.world.host_zone).ok()?.next_after(after),
    }
}
