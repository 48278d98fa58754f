//! What is asked of the gateway while it lives: everything that makes it write, in an order that the seed decides.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clawhook_clock::{Clock, SystemClock};
use clawhook_model::{DstRule, Schedule, UnixMs};
use clawhook_schedule::Timetable;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::api::{Answer, Api};
use super::destinations::STEADY;
use super::promises::{self, AcceptedRun, Ending, Promises, Role};
use crate::chance::Chance;

/// The rest between two requests: a gateway with nothing but requests to answer would show less.
const REST: Duration = Duration::from_millis(6);
/// How many jobs that run by hand there are: more than there are run slots.
const BY_HAND: usize = 12;
/// How long an edit waits at most for the moment in which its job is due.
const NEAR: Duration = Duration::from_millis(100);
/// Of how many jobs one names a destination; the others name a URL.
const NAMED_EACH: u64 = 3;
const FEW_SPARES: usize = 2;
/// How many one-shots are made in one life, at most.
const ONE_SHOTS_IN_A_LIFE: usize = 4;
/// How many replays are begun in one life, at most.
const REPLAYS_IN_A_LIFE: usize = 12;

/// Who works with the gateway, through all of its lives.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) promises: Promises,
    pub(super) chance: Chance,
    pub(super) hook: String,
    markers: String,
    pub(super) names: u64,
    one_shots_left: usize,
    pub(super) replays_left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Task {
    Run,
    Edit,
    MakeOneShot,
    MakeSpare,
    RemoveSpare,
    RetryDelivery,
    CancelDelivery,
    ReplayDelivery,
    ReplayRun,
    ReplayRange,
    CancelReplay,
    ReplayToWhereNobodyAnswersWell,
    MakeDestination,
    EditDestination,
    RemoveDestination,
    PauseOrResume,
    Look,
}

/// Every task, the frequent ones more than once.
const TASKS: [Task; 23] = [
    Task::Run,
    Task::Run,
    Task::Run,
    Task::Run,
    Task::Edit,
    Task::Edit,
    Task::Edit,
    Task::MakeOneShot,
    Task::MakeSpare,
    Task::RemoveSpare,
    Task::RetryDelivery,
    Task::RetryDelivery,
    Task::CancelDelivery,
    Task::ReplayDelivery,
    Task::ReplayRun,
    Task::ReplayRange,
    Task::CancelReplay,
    Task::MakeDestination,
    Task::EditDestination,
    Task::RemoveDestination,
    Task::PauseOrResume,
    Task::PauseOrResume,
    Task::Look,
];

impl Worker {
    pub(super) fn new(chance: Chance, hook: String, markers: String) -> Self {
        Self {
            promises: Promises::default(),
            chance,
            hook,
            markers,
            names: 0,
            one_shots_left: 0,
            replays_left: 0,
        }
    }

    /// Makes the jobs that last through all lives, and the destination that some of them name.
    pub(super) fn make_the_lasting_jobs(&mut self, api: &Api) -> io::Result<()> {
        self.make_the_steady_destination(api)?;
        let now = SystemClock.now();
        for (every_ms, count) in [(1000, 3), (2000, 2)] {
            for _ in 0..count {
                let schedule = self.every(every_ms, now);
                self.make(api, "event", Role::Grid, schedule, None)?;
            }
        }
        for (every_ms, nap) in [(1000, "0.05"), (1000, "0.1"), (1000, "0.2"), (2000, "0.4"), (2000, "0.6")] {
            let schedule = self.every(every_ms, now);
            self.make(api, "command", Role::Grid, schedule, Some(nap))?;
        }
        for nap in [None, None, Some("0.1")] {
            let schedule = Schedule::Cron {
                expr: "* * * * * *".to_owned(),
                tz: None,
                stagger_ms: None,
                dst: DstRule::default(),
            };
            self.make(api, "cron", Role::Grid, schedule, nap)?;
        }
        for _ in 0..BY_HAND {
            let schedule = self.every(3_600_000, now);
            self.make(api, "by-hand", Role::ByHand, schedule, Some("0.2"))?;
        }
        Ok(())
    }

    /// Looks whether everything is as it was promised before the gateway died.
    pub(super) fn look_around(&mut self, api: &Api) -> io::Result<()> {
        let answer = api.get("/api/v1/jobs?includeDisabled=true&limit=200")?;
        match answer.body["jobs"].as_array() {
            Some(jobs) if answer.status == 200 && answer.body["hasMore"] == false => {
                self.promises.compare(jobs);
            }
            _ => self.wonder_at("the list of jobs", &answer),
        }
        self.look_at_destinations(api)
    }

    /// Works until told to stop, or until the gateway is gone. Every second task is one that has `operation` done.
    /// Gives when and how the gateway was gone, if it was.
    pub(super) fn work(
        &mut self,
        api: &Api,
        operation: Option<&str>,
        stop: &AtomicBool,
    ) -> Result<(), (Instant, io::Error)> {
        let gone = |error| (Instant::now(), error);
        self.one_shots_left = ONE_SHOTS_IN_A_LIFE;
        self.replays_left = REPLAYS_IN_A_LIFE;
        let favourite = operation.and_then(task_for);
        self.look_around(api).map_err(gone)?;
        while !stop.load(Ordering::SeqCst) {
            let task = match favourite {
                Some(task) if self.chance.within(0..=1) == 0 => task,
                _ => *self.chance.pick(&TASKS).unwrap_or(&Task::Look),
            };
            self.do_one(api, task).map_err(gone)?;
            std::thread::sleep(REST);
        }
        Ok(())
    }

    fn do_one(&mut self, api: &Api, task: Task) -> io::Result<()> {
        match task {
            Task::Run => self.run_by_hand(api),
            Task::Edit => self.edit(api),
            Task::MakeOneShot => self.make_one_shot(api),
            Task::MakeSpare => self.make_spare(api),
            Task::RemoveSpare => self.remove_spare(api),
            Task::RetryDelivery => self.retry_delivery(api),
            Task::CancelDelivery => self.cancel_delivery(api),
            Task::ReplayDelivery => self.replay_delivery(api),
            Task::ReplayRun => self.replay_run(api),
            Task::ReplayRange => self.replay_range(api),
            Task::CancelReplay => self.cancel_replay(api),
            Task::ReplayToWhereNobodyAnswersWell => self.replay_to_where_nobody_answers_well(api),
            Task::MakeDestination => self.make_spare_destination(api),
            Task::EditDestination => self.edit_destination(api),
            Task::RemoveDestination => self.remove_spare_destination(api),
            Task::PauseOrResume => self.pause_or_resume(api),
            Task::Look => api.get("/api/v1/status").map(|answer| self.expect("the status", 200, &answer)),
        }
    }

    /// Runs some of the jobs that have commands, all at once: some begin, and some must wait for a slot.
    fn run_by_hand(&mut self, api: &Api) -> io::Result<()> {
        let mut jobs = self.promises.present(Role::ByHand);
        jobs.extend(self.promises.present(Role::Grid));
        self.chance.shuffle(&mut jobs);
        let count = usize::try_from(self.chance.within(1..=5)).unwrap_or(1);
        for (job, id) in jobs.into_iter().take(count) {
            let answer = api.post(&format!("/api/v1/jobs/{id}/run"), None)?;
            match (answer.status, answer.body["runId"].as_str()) {
                (202, Some(run_id)) => {
                    self.promises.accepted_runs.push(AcceptedRun { run_id: run_id.to_owned(), job });
                }
                (200, Some(_)) if answer.body["reason"] == "already-running" => {}
                _ => self.wonder_at("a request for a run", &answer),
            }
        }
        Ok(())
    }

    fn edit(&mut self, api: &Api) -> io::Result<()> {
        let Some((name, id)) = self.chance.pick(&self.promises.present(Role::Grid)).cloned() else {
            return Ok(());
        };
        self.wait_until_nearly_due(&name, &id);
        let Some(promise) = self.promises.jobs.get_mut(&name) else { return Ok(()) };
        promise.asked_revision += 1;
        let revision = promise.asked_revision;
        let patch = json!({ "description": revision.to_string() });
        let answer = api.send("PATCH", &format!("/api/v1/jobs/{id}"), Some(&patch))?;
        self.expect("an edit", 200, &answer);
        if let Some(promise) = self.promises.jobs.get_mut(&name) {
            promise.kept_revision = revision;
        }
        Ok(())
    }

    /// An edit is most dangerous in the moment in which its job is due: where that is near, the moment is waited for.
    fn wait_until_nearly_due(&mut self, name: &str, id: &str) {
        let (Some(promise), Ok(id)) = (self.promises.jobs.get(name), id.parse()) else { return };
        let Ok(timetable) = Timetable::new(&promise.schedule, &id, &TimeZone::UTC) else { return };
        let now = SystemClock.now();
        let wait = timetable.next_after(now).map(|due| due.since(now)).filter(|wait| *wait < NEAR);
        let lead = Duration::from_millis(self.chance.within(0..=4));
        std::thread::sleep(wait.unwrap_or_default().saturating_sub(lead));
    }

    fn make_one_shot(&mut self, api: &Api) -> io::Result<()> {
        if self.one_shots_left == 0 {
            return Ok(());
        }
        self.one_shots_left -= 1;
        let wait = i64::try_from(self.chance.within(100..=1500)).unwrap_or(100);
        let schedule = Schedule::At { at: SystemClock.now().plus_millis(wait) };
        let nap = *self.chance.pick(&[None, Some("0.05"), Some("0.3")]).unwrap_or(&None);
        self.make(api, "once", Role::Once, schedule, nap)
    }

    fn make_spare(&mut self, api: &Api) -> io::Result<()> {
        if self.promises.present(Role::Spare).len() > FEW_SPARES {
            return self.remove_spare(api);
        }
        let schedule = self.every(500, SystemClock.now());
        let nap = *self.chance.pick(&[None, Some("0.1")]).unwrap_or(&None);
        self.make(api, "spare", Role::Spare, schedule, nap)
    }

    fn remove_spare(&mut self, api: &Api) -> io::Result<()> {
        match self.chance.pick(&self.promises.present(Role::Spare)).cloned() {
            Some((name, id)) => self.remove(api, &name, &id),
            None => self.make_spare(api),
        }
    }

    fn remove(&mut self, api: &Api, name: &str, id: &str) -> io::Result<()> {
        self.note_end(name, None);
        let answer = api.send("DELETE", &format!("/api/v1/jobs/{id}"), None)?;
        self.expect("a removal", 200, &answer);
        self.note_end(name, Some(SystemClock.now()));
        Ok(())
    }

    /// Has a delivery tried again at once: one that waits, where there is one.
    pub(super) fn retry_delivery(&mut self, api: &Api) -> io::Result<()> {
        let waiting = api.get("/api/v1/deliveries?state=waiting&limit=20")?;
        let mut deliveries = ids(&waiting.body["deliveries"]);
        if deliveries.is_empty() {
            deliveries = ids(&api.get("/api/v1/deliveries?limit=20")?.body["deliveries"]);
        }
        let Some(id) = self.chance.pick(&deliveries).cloned() else { return Ok(()) };
        let answer = api.post(&format!("/api/v1/deliveries/{id}/retry"), None)?;
        // In the meantime it may have been sent: then there is nothing to try again.
        if !matches!(answer.status, 202 | 409) {
            self.wonder_at("a retry", &answer);
        }
        Ok(())
    }

    fn every(&mut self, every_ms: u64, now: UnixMs) -> Schedule {
        let offset = i64::try_from(self.chance.within(0..=every_ms)).unwrap_or(0);
        Schedule::Every { every_ms, anchor_ms: now.plus_millis(-offset) }
    }

    fn make(
        &mut self,
        api: &Api,
        kind: &str,
        role: Role,
        schedule: Schedule,
        nap: Option<&str>,
    ) -> io::Result<()> {
        self.names += 1;
        let name = format!("{kind}-{}", self.names);
        let delivery = match self.names % NAMED_EACH {
            0 => json!({ "mode": "webhook", "destination": STEADY }),
            _ => json!({ "mode": "webhook", "to": self.hook }),
        };
        let mut job = match nap {
            None => promises::system_event(&name, &schedule, &delivery),
            Some(nap) => promises::command(&name, &schedule, nap, &self.markers, &delivery),
        };
        job["enabled"] = json!(role != Role::ByHand);
        self.promises.ask_for(&name, role, schedule, nap.is_some());
        let answer = api.post("/api/v1/jobs", Some(&job))?;
        self.expect("a new job", 201, &answer);
        if let Some(promise) = self.promises.jobs.get_mut(&name) {
            promise.id = answer.body["id"].as_str().map(str::to_owned);
            promise.created_at = answer.body["createdAtMs"].as_i64().map(UnixMs::from_millis);
        }
        Ok(())
    }

    /// Has everything come to its end: jobs on a grid are due no more, spares go.
    pub(super) fn end_the_jobs(&mut self, api: &Api) -> io::Result<()> {
        let spares: Vec<(String, String)> = self
            .promises
            .jobs
            .iter()
            .filter(|(_, job)| {
                job.role == Role::Spare && job.ending.is_none_or(|end| end.answered_at.is_none())
            })
            .filter_map(|(name, job)| Some((name.clone(), job.id.clone()?)))
            .collect();
        for (name, id) in spares {
            self.note_end(&name, None);
            let answer = api.send("DELETE", &format!("/api/v1/jobs/{id}"), None)?;
            // An earlier removal may have been done and not answered.
            if !matches!(answer.status, 200 | 404) {
                self.wonder_at("a removal", &answer);
            }
            self.note_end(&name, Some(SystemClock.now()));
        }
        for (name, id) in self.promises.present(Role::Grid) {
            self.note_end(&name, None);
            let answer = api.post(&format!("/api/v1/jobs/{id}/disable"), None)?;
            self.expect("switching a job off", 200, &answer);
            self.note_end(&name, Some(SystemClock.now()));
        }
        Ok(())
    }

    fn note_end(&mut self, name: &str, answered_at: Option<UnixMs>) {
        if let Some(promise) = self.promises.jobs.get_mut(name) {
            let asked_at = promise.ending.map_or_else(|| SystemClock.now(), |ending| ending.asked_at);
            promise.ending = Some(Ending { asked_at, answered_at });
        }
    }

    pub(super) fn expect(&mut self, what: &str, status: u16, answer: &Answer) {
        if answer.status != status {
            self.wonder_at(what, answer);
        }
    }

    pub(super) fn wonder_at(&mut self, what: &str, answer: &Answer) {
        self.promises.broken.push(format!("{what} was answered {}: {}", answer.status, answer.body));
    }
}

pub(super) fn ids(list: &Value) -> Vec<String> {
    let id = |entry: &Value| entry["id"].as_str().map(str::to_owned);
    list.as_array().map(|list| list.iter().filter_map(id).collect()).unwrap_or_default()
}

/// The task that has an operation done; the others happen by themselves.
fn task_for(operation: &str) -> Option<Task> {
    match operation {
        "insert_job" => Some(Task::MakeSpare),
        "update_job" => Some(Task::Edit),
        "remove_job" => Some(Task::RemoveSpare),
        "start_run" | "claim_queued" | "finish_run" => Some(Task::Run),
        "retry_delivery" => Some(Task::RetryDelivery),
        "cancel_delivery" => Some(Task::CancelDelivery),
        "replay_delivery" => Some(Task::ReplayDelivery),
        "replay_run" => Some(Task::ReplayRun),
        "start_replay" | "advance_replay" => Some(Task::ReplayRange),
        "cancel_replay" => Some(Task::CancelReplay),
        "insert_destination" => Some(Task::MakeDestination),
        "update_destination" => Some(Task::EditDestination),
        "remove_destination" => Some(Task::RemoveDestination),
        "set_standing" => Some(Task::PauseOrResume),
        "note_failing" => Some(Task::ReplayToWhereNobodyAnswersWell),
        _ => None,
    }
}
