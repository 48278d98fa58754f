//! What a job would do over a stretch of time: the engine's own decision, driven by a clock that is only imagined.

use std::collections::VecDeque;
use std::time::Duration;

use clawhook_model::{
    AutoDisabled, ErrorReason, Failure, FailureRules, Misfire, OpenRuns, Overlap, RunError, Trigger, UnixMs,
    counts_against_job,
};

use crate::decision::{Fate, MissReason, Situation, SkipReason, Start, decide};
use crate::timetable::Timetable;

/// The job that is imagined, and the rules that hold for it.
#[derive(Debug, Clone)]
pub struct Simulation<'a> {
    /// When it is due.
    pub timetable: &'a Timetable,
    /// Whether it is due once.
    pub one_shot: bool,
    /// What becomes of instants at which nobody is there.
    pub misfire: Misfire,
    /// What becomes of instants while a run is not over.
    pub overlap: Overlap,
    /// What follows from failures.
    pub failure: FailureRules,
    /// What is assumed of the world.
    pub world: World,
}

/// What is assumed of the world.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// How long each run takes.
    pub takes: Duration,
    /// When the gateway is down: from the first instant to just before the second, in order and apart.
    pub outages: Vec<(UnixMs, UnixMs)>,
    /// How every run fails; none succeeds then.
    pub fails: Option<ErrorReason>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happens.
    pub at: UnixMs,
    /// The instant that it is about.
    pub due_at: UnixMs,
    /// What happens.
    pub what: Happening,
}

/// What happens to an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Its run begins.
    Begins {
        /// What makes it happen.
        trigger: Trigger,
        /// Which try it is, from 1.
        attempt: u32,
    },
    /// Its run has to wait for those before it.
    Waits,
    /// Its run is held until the job no longer backs off.
    Held {
        /// Until when.
        until: UnixMs,
    },
    /// It is deliberately not run.
    Skipped(SkipReason),
    /// It could not be run when it was due.
    Missed(MissReason),
    /// Its run is ended, because the next one is due.
    Cancelled,
    /// Its run is cut off by the end of the gateway; it is not repeated.
    Interrupted,
    /// Its run fails.
    Failed {
        /// When it is tried again.
        retry_at: Option<UnixMs>,
        /// Until when the job backs off.
        backoff_until: Option<UnixMs>,
    },
    /// The job is switched off, and nothing more happens.
    Disabled(AutoDisabled),
}

/// A run that has not begun.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due_at: UnixMs,
    ready_at: Option<UnixMs>,
    trigger: Trigger,
    attempt: u32,
}

/// A run that is under way.
#[derive(Debug, Clone, Copy)]
struct Running {
    due_at: UnixMs,
    ends_at: UnixMs,
    attempt: u32,
}

/// The imagined gateway.
struct Walk<'a> {
    with: &'a Simulation<'a>,
    until: UnixMs,
    next: Option<UnixMs>,
    running: Vec<Running>,
    waiting: VecDeque<Waiting>,
    present_since: UnixMs,
    outages: VecDeque<(UnixMs, UnixMs)>,
    in_a_row: u32,
    backoff_until: Option<UnixMs>,
    entries: Vec<Entry>,
}

impl Simulation<'_> {
    /// What happens from `from` on, up to and including `until`, in order, and `most` entries at most. The job is new: it
    /// waits for its first instant after `from`, and the gateway has been there for long.
    pub fn run(&self, from: UnixMs, until: UnixMs, most: usize) -> Vec<Entry> {
        let mut walk = Walk {
            with: self,
            until,
            next: self.timetable.next_after(from),
            running: Vec::new(),
            waiting: VecDeque::new(),
            present_since: from,
            outages: self.world.outages.iter().copied().filter(|(_, end)| *end > from).collect(),
            in_a_row: 0,
            backoff_until: None,
            entries: Vec::new(),
        };
        while walk.entries.len() < most && walk.step() {}
        walk.entries.truncate(most);
        walk.entries
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A run ends.
    End,
    /// The gateway goes down.
    Outage,
    /// A run that waits begins.
    Ready,
    /// The job is due.
    Due,
}

impl Walk<'_> {
    /// Lets the next thing happen; false where nothing more does.
    fn step(&mut self) -> bool {
        let ends = self.running.iter().map(|run| run.ends_at).min();
        let ready = self.waiting.iter().filter_map(|run| run.ready_at).min();
        let outage = self.outages.front().map(|(begin, _)| *begin);
        let steps = [(ends, Step::End), (outage, Step::Outage), (ready, Step::Ready), (self.next, Step::Due)];
        let next = steps.into_iter().filter_map(|(at, step)| Some((at?, step))).min();
        let Some((at, step)) = next.filter(|(at, _)| at.max(&self.present_since) <= &self.until) else {
            return false;
        };
        let now = at.max(self.present_since);
        match step {
            Step::End => self.end_run(now),
            Step::Outage => self.go_down(),
            Step::Ready => self.begin_ready(now),
            Step::Due => self.claim(at, now),
        }
        true
    }

    fn tell(&mut self, at: UnixMs, due_at: UnixMs, what: Happening) {
        self.entries.push(Entry { at, due_at, what });
    }

    /// What is under way dies with the gateway; what waits is kept.
    fn go_down(&mut self) {
        let Some((begin, end)) = self.outages.pop_front() else { return };
        for run in std::mem::take(&mut self.running) {
            self.tell(begin, run.due_at, Happening::Interrupted);
        }
        self.present_since = end;
        self.release(end);
    }

    fn claim(&mut self, due: UnixMs, now: UnixMs) {
        let with = self.with;
        let decision = decide(&Situation {
            timetable: with.timetable,
            due,
            now,
            present_since: self.present_since,
            misfire: with.misfire,
            overlap: with.overlap,
            open: self.open(),
            backoff_until: self.backoff_until,
        });
        self.next = decision.next_run_at;
        for (due_at, fate) in decision.fates {
            match fate {
                Fate::Skipped(reason) => self.tell(now, due_at, Happening::Skipped(reason)),
                Fate::Missed(reason) => self.tell(now, due_at, Happening::Missed(reason)),
                Fate::Run { start, catch_up } => self.queue(now, due_at, start, catch_up),
            }
        }
        if decision.cancels {
            for run in std::mem::take(&mut self.running) {
                self.tell(now, run.due_at, Happening::Cancelled);
            }
        }
        self.release(now);
        self.begin_ready(now);
    }

    fn open(&self) -> OpenRuns {
        let count = |runs: usize| u32::try_from(runs).unwrap_or(u32::MAX);
        OpenRuns { running: count(self.running.len()), waiting: count(self.waiting.len()) }
    }

    fn queue(&mut self, now: UnixMs, due_at: UnixMs, start: Start, catch_up: bool) {
        let trigger = if catch_up { Trigger::CatchUp } else { Trigger::Schedule };
        let ready_at = match start {
            Start::Now => Some(now),
            Start::At(until) => {
                self.tell(now, due_at, Happening::Held { until });
                Some(until)
            }
            Start::AfterOthers => {
                self.tell(now, due_at, Happening::Waits);
                None
            }
        };
        self.waiting.push_back(Waiting { due_at, ready_at, trigger, attempt: 1 });
    }

    /// Lets the first run that waits for others begin, where none is under way or ready.
    fn release(&mut self, now: UnixMs) {
        let nobody = self.running.is_empty() && self.waiting.iter().all(|run| run.ready_at.is_none());
        if let (true, Some(first)) = (nobody, self.waiting.front_mut()) {
            first.ready_at = Some(now);
        }
    }

    fn begin_ready(&mut self, now: UnixMs) {
        while let Some(place) = self.waiting.iter().position(|run| run.ready_at.is_some_and(|at| at <= now)) {
            let Some(Waiting { due_at, trigger, attempt, .. }) = self.waiting.remove(place) else { return };
            let most = self.with.misfire.max_lateness.filter(|_| trigger != Trigger::Retry);
            if let Some(most) = most.filter(|most| now.since(due_at) > *most) {
                self.tell(now, due_at, Happening::Missed(MissReason::TooLate { most }));
                self.release(now);
                continue;
            }
            self.tell(now, due_at, Happening::Begins { trigger, attempt });
            let ends_at = now.plus(self.with.world.takes);
            self.running.push(Running { due_at, ends_at, attempt });
        }
    }

    fn end_run(&mut self, now: UnixMs) {
        let Some(place) = self.running.iter().position(|run| run.ends_at <= now) else { return };
        let run = self.running.remove(place);
        match self.with.world.fails {
            None => (self.in_a_row, self.backoff_until) = (0, None),
            Some(reason) => self.fail(run, reason, now),
        }
        self.release(now);
        self.begin_ready(now);
    }

    fn fail(&mut self, run: Running, reason: ErrorReason, now: UnixMs) {
        self.in_a_row += u32::from(counts_against_job(reason));
        let error = RunError { reason, message: format!("the run fails ({}), as assumed", reason.as_str()) };
        let follows = self.with.failure.aftermath(Failure {
            error: &error,
            ended_at: now,
            attempt: run.attempt,
            in_a_row: self.in_a_row,
            one_shot: self.with.one_shot,
            next_run_at: self.next,
        });
        let (retry_at, backoff_until) = (follows.retry_at, follows.backoff_until);
        self.tell(now, run.due_at, Happening::Failed { retry_at, backoff_until });
        self.backoff_until = backoff_until.or(self.backoff_until);
        if let Some(ready_at) = retry_at {
            let attempt = run.attempt + 1;
            let again =
                Waiting { due_at: run.due_at, ready_at: Some(ready_at), trigger: Trigger::Retry, attempt };
            self.waiting.push_front(again);
        }
        if let Some(disabled) = follows.disabled {
            self.tell(now, run.due_at, Happening::Disabled(disabled));
            self.next = None;
            self.waiting.clear();
        }
    }
}
