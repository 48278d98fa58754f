//! People and the machine's fate: jobs are added, edited, run by hand and removed, the clock is set, the disk fills up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_engine::EngineHandle;
use clawhook_model::{DeliveryState, Job, JobDefinition, JobId, JobState, Lane, Schedule, Standing, UnixMs};
use clawhook_schedule::{Passed, Timetable, passed};
use clawhook_store::{
    Decider, DeliveryFilter, DestinationFilter, JobEdit, JobRemoved, JobUpdated, Left, NextRun,
    OccurrenceFilter, OccurrenceOutcome, Store, StoreError,
};

use super::World;
use super::climate::Climate;
use super::jobs::{self, Edit, SpanEnd, Watched};
use crate::chance::Chance;

/// The most jobs that there are at a time.
const MOST_JOBS: usize = 15;
/// The longest that people wait for a claim.
const LONGEST_WAIT: Duration = Duration::from_hours(12);

/// How often an edit is made again on a job that is claimed at the same time.
const EDIT_ATTEMPTS: usize = 16;
/// The most instants that one backfill asks for.
const MOST_BACKFILLED: usize = 6;

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
    pub(super) fn now(&self) -> UnixMs {
        self.world.clock.now()
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
            let job = store.job(&watched.id).await?;
            let still_off = edit.forgives && job.as_ref().is_some_and(|job| !job.is_enabled());
            let found = job.filter(|_| !still_off).map(|job| job.definition.to_stored_json());
            let intended = edit.after.as_ref().map(JobDefinition::to_stored_json);
            let went_by_itself = found.is_none() && !still_off && edit.ends.is_some();
            if went_by_itself {
                edit.begins = None;
            }
            if found == intended || went_by_itself {
                watched.edited();
            } else {
                watched.not_edited();
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
            Schedule::At { .. } | Schedule::Event { .. } => return Ok(()),
        }
        self.edit(doors, place, after).await
    }

    async fn act_once(&mut self, doors: &Doors<'_>, climate: Climate) -> Result<(), StoreError> {
        match self.chance.within(0..=15) {
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
            12 => self.backfill(doors).await,
            13 if climate.people_edit => self.change_policies(doors).await,
            _ => self.run_by_hand(doors).await,
        }
    }

    /// One of the jobs that were ever added.
    pub(super) fn anybody(&mut self) -> Option<&Watched> {
        let place = self.pick()?;
        self.jobs.get(place)
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
            at: now,
            forgives: false,
            after: Some(definition.clone()),
            ends: None,
            begins: first.map(|first| (definition.schedule.clone(), first)),
        };
        self.jobs.push(Watched {
            id: id.clone(),
            receivers,
            spans: Vec::new(),
            definitions: vec![(now, definition.clone())],
            forgiven: Vec::new(),
            backfilled: BTreeSet::new(),
            edit: Some(edit),
        });
        let state = JobState { next_run_at: first, ..JobState::default() };
        let job = Job { id, definition, created_at: now, updated_at: now, state };
        let added = doors.store.insert_job(job).await;
        self.settle(self.jobs.len() - 1, added.is_ok());
        added
    }

    /// Switches a job off or on.
    async fn switch(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some((place, job)) = self.pick_live(doors).await? else { return Ok(()) };
        let after = JobDefinition { enabled: !job.is_enabled(), ..job.definition.clone() };
        self.edit(doors, place, after).await
    }

    async fn reschedule(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some((place, job)) = self.pick_live(doors).await? else { return Ok(()) };
        let given = serde_json::json!({ "schedule": jobs::schedule(&mut self.chance, doors.now()) });
        let Ok(after) = job.definition.patched(given, doors.now()) else { return Ok(()) };
        self.edit(doors, place, after).await
    }

    /// Has other policies hold from now on.
    async fn change_policies(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some((place, job)) = self.pick_live(doors).await? else { return Ok(()) };
        let given = jobs::policies(&mut self.chance);
        let Ok(after) = job.definition.patched(given, doors.now()) else { return Ok(()) };
        self.edit(doors, place, after).await
    }

    /// Asks for instants of the past after all.
    async fn backfill(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some((place, job)) = self.pick_live(doors).await? else { return Ok(()) };
        let now = doors.now();
        let from = now.plus_millis(-i64::try_from(self.chance.within(1..=172_800_000)).unwrap_or(0));
        let Some(timetable) = timetable(doors, &job) else { return Ok(()) };
        let instants: Vec<UnixMs> = timetable.due_between(from, now).take(MOST_BACKFILLED).collect();
        doors.note(format!("{} is backfilled: {} instants", job.id, instants.len()));
        self.jobs[place].backfilled.extend(&instants);
        doors.engine.backfill(&job.id, &instants, false).await.map(|_| ())
    }

    /// Edits a job as the gateway's doors do: it is tried again where the job was claimed in the meantime.
    async fn edit(
        &mut self,
        doors: &Doors<'_>,
        place: usize,
        after: JobDefinition,
    ) -> Result<(), StoreError> {
        let id = self.jobs[place].id.clone();
        for _ in 0..EDIT_ATTEMPTS {
            let Some(job) = doors.store.job(&id).await? else { return Ok(()) };
            let now = doors.now();
            let Some(next_run) = next_after_edit(doors, &job, &after, now).await? else { return Ok(()) };
            let Some(left) = leave(doors, &job, now).await? else { continue };
            let forgives = switches_on(&job, &after);
            let moved = match next_run {
                NextRun::Keep => None,
                NextRun::Set(next) => Some(next),
            };
            doors.note(format!(
                "{id} is edited: enabled {}, {}",
                after.enabled,
                clawhook_schedule::describe(&after.schedule, &id)
            ));
            self.jobs[place].definitions.push((now, after.clone()));
            self.jobs[place].edit = Some(Edit {
                at: now,
                forgives,
                after: Some(after.clone()),
                ends: moved.map(|_| SpanEnd::of(&job, now, doors.world.clock.latest())),
                begins: moved.flatten().map(|first| (after.schedule.clone(), first)),
            });
            let edit = JobEdit {
                before: job.definition,
                after: after.clone(),
                next_run,
                left,
                forgives,
                tells: Vec::new(),
            };
            let updated = doors.store.update_job(&id, edit, now).await;
            self.settle(place, matches!(updated, Ok(JobUpdated::Done(_))));
            if !matches!(updated?, JobUpdated::Changed) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn remove(&mut self, doors: &Doors<'_>) -> Result<(), StoreError> {
        let Some((place, job)) = self.pick_live(doors).await? else { return Ok(()) };
        let now = doors.now();
        let Some(left) = leave(doors, &job, now).await? else { return Ok(()) };
        doors.note(format!("{} is removed", job.id));
        let ends = Some(SpanEnd::of(&job, now, doors.world.clock.latest()));
        self.jobs[place].edit = Some(Edit { at: now, forgives: false, after: None, ends, begins: None });
        let removed = doors.store.remove_job(&job.id, left, now).await;
        self.settle(place, matches!(removed, Ok(JobRemoved::Done)));
        removed.map(|_| ())
    }

    async fn pick_live(&mut self, doors: &Doors<'_>) -> Result<Option<(usize, Job)>, StoreError> {
        let Some(place) = self.pick() else { return Ok(None) };
        Ok(doors.store.job(&self.jobs[place].id).await?.map(|job| (place, job)))
    }

    /// An edit was answered.
    fn settle(&mut self, place: usize, is_done: bool) {
        let watched = &mut self.jobs[place];
        if is_done {
            watched.edited();
        } else {
            watched.not_edited();
        }
    }
}

fn switches_on(job: &Job, after: &JobDefinition) -> bool {
    let only_the_switch = after.schedule == job.definition.schedule
        && after.misfire == job.definition.misfire
        && after.overlap == job.definition.overlap;
    after.enabled && !job.is_enabled() && only_the_switch
}

/// What an edit does to the next instant, as the gateway's doors decide it; none where the edit would be refused. A new
/// schedule begins after the last instant that has a record.
async fn next_after_edit(
    doors: &Doors<'_>,
    job: &Job,
    after: &JobDefinition,
    now: UnixMs,
) -> Result<Option<NextRun>, StoreError> {
    let switches_on = switches_on(job, after);
    if !switches_on && after.schedule == job.definition.schedule && after.enabled == job.definition.enabled {
        return Ok(Some(NextRun::Keep));
    }
    if !after.enabled || (job.state.auto_disabled.is_some() && !switches_on) {
        return Ok(Some(NextRun::Set(None)));
    }
    let last = doors.store.occurrences(OccurrenceFilter::newest(&job.id, 1)).await?;
    let last = last.first().map(|last| last.due_at);
    let used_up =
        matches!(&after.schedule, Schedule::At { at } if *at <= now || last.is_some_and(|last| *at <= last));
    if used_up {
        return Ok(None);
    }
    let from = last.map_or(now, |last| last.max(now));
    Ok(Some(NextRun::Set(first_due(doors, &after.schedule, &job.id, from))))
}

/// What is left where a person moves the instant that a job waits for; none where some of it had to be claimed first.
async fn leave(doors: &Doors<'_>, job: &Job, now: UnixMs) -> Result<Option<Left>, StoreError> {
    let waited_for = job.state.next_run_at;
    let Passed { instants, next } = passed(timetable(doors, job).as_ref(), waited_for, now);
    let skipped = |due_at| (due_at, OccurrenceOutcome::Skipped("moved by a person".to_owned()));
    Ok(next.is_none().then(|| Left { waited_for, passed: instants.into_iter().map(skipped).collect() }))
}

fn timetable(doors: &Doors<'_>, job: &Job) -> Option<Timetable> {
    Timetable::new(&job.definition.schedule, &job.id, &doors.world.host_zone).ok()
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
