//! The watchdog: nothing that should happen by the clock fails silently.
//!
//! It is a task of its own that shares no lock with the timer. Every few seconds it asks the store what is later than
//! it should be, and looks whether the timer still looks. What is wrong is an [alarm](crate::Alarms). Whoever is asked how
//! the gateway is compares the watchdog's last beat with a clock that nobody can set: the watchdog is watched, too.
//!
//! After a leap of the clock, or when the machine slept, everything is late for a moment. Nothing is held against the
//! timer then until it had the time to notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clawhook_model::{JobId, RunId, UnixMs, format_duration};
use clawhook_store::{Overdue, StoreError};
use tokio_util::sync::CancellationToken;

use crate::alarms::{Alarm, AlarmKind, Alarms};
use crate::presence::LONGEST_SLEEP;
use crate::{Core, EngineHandle};

/// How often it looks at most.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const READ_PATIENCE: Duration = Duration::from_secs(4);
/// How long its own beat may be old at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);
/// By how much a look may come later than planned without the clock having leapt.
const TARDINESS: Duration = Duration::from_secs(5);
/// What a run's task is called in alarms.
const RUN: &str = "run";
/// How long after the last one the fall of a run's task is an alarm.
const FORGIVEN_AFTER: Duration = Duration::from_mins(5);
/// By how much the clock may lie before the last look without having been set back.
const JITTER: Duration = Duration::from_secs(1);

/// How late things may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogOptions {
    /// How long after it was due an instant may have no record.
    pub grace: Duration,
    /// How long a run that could begin may wait for a slot.
    pub slot_grace: Duration,
}

impl Default for WatchdogOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(30), slot_grace: Duration::from_mins(15) }
    }
}

impl WatchdogOptions {
    fn interval(self) -> Duration {
        (self.grace / 4).max(SHORTEST_INTERVAL)
    }

    fn patience(self) -> Duration {
        self.interval().saturating_mul(3).max(LEAST_PATIENCE)
    }
}

/// The task that watches. A clone goes on where the one before it fell.
#[derive(Clone)]
pub struct Watchdog {
    core: Arc<Core>,
    handle: WatchdogHandle,
    options: WatchdogOptions,
}

/// What a door holds of the watchdog. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WatchdogHandle {
    alarms: Alarms,
    beat: Arc<Beat>,
}

/// When the watchdog was there last.
#[derive(Debug)]
struct Beat {
    origin: Instant,
    /// Milliseconds after the origin.
    last: AtomicU64,
    /// The same by the wall clock, for people.
    last_at: AtomicI64,
    patience: Duration,
}

/// What it keeps from one look to the next.
#[derive(Debug)]
struct Watch {
    last_look: UnixMs,
    /// Before this instant nothing is held against the timer that was not before.
    settled_at: UnixMs,
    /// The timer's last look, and when it was seen first.
    timer: (UnixMs, UnixMs),
    /// How many runs had fallen over a fault of ours, and when that was seen first.
    fallen: (usize, UnixMs),
}

impl Watchdog {
    /// A watchdog and its handle; nothing is watched before [`Watchdog::run`].
    pub fn new(engine: &EngineHandle, alarms: Alarms, options: WatchdogOptions) -> (Self, WatchdogHandle) {
        let core = engine.core.clone();
        let handle =
            WatchdogHandle { alarms, beat: Arc::new(Beat::at(core.clock.now(), options.patience())) };
        (Self { core, handle: handle.clone(), options }, handle)
    }

    /// Watches until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let now = self.core.clock.now();
        let mut watch = Watch::beginning(now, self.core.last_look(), self.options);
        while !shutdown.is_cancelled() {
            let now = self.core.clock.now();
            self.handle.beat.mark(now);
            watch.look(now, self.core.last_look(), self.options);
            self.check_timer(&watch, now);
            self.check_runs(&mut watch, now);
            self.check_store(&watch, now).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.core.clock.sleep(self.options.interval()) => {}
            }
        }
    }

    fn check_timer(&self, watch: &Watch, now: UnixMs) {
        let (looked_at, seen_at) = watch.timer;
        let most = LONGEST_SLEEP.saturating_add(self.options.grace);
        let detail = (now.since(seen_at) > most).then(|| {
            format!(
                "the timer has not looked since {looked_at}, although it should every {}",
                format_duration(LONGEST_SLEEP)
            )
        });
        self.set(AlarmKind::TimerSilent, detail, now);
    }

    fn check_runs(&self, watch: &mut Watch, now: UnixMs) {
        let (known, seen_at) = watch.fallen;
        let fallen = self.core.fallen.load(Ordering::SeqCst);
        if fallen > known {
            watch.fallen = (fallen, now);
            let detail =
                format!("{} runs were ended by a fault of the gateway; its log names them", fallen - known);
            self.set(AlarmKind::TaskPanicked(RUN), Some(detail), now);
        } else if now.since(seen_at) > FORGIVEN_AFTER {
            self.set(AlarmKind::TaskPanicked(RUN), None, now);
        }
    }

    async fn check_store(&self, watch: &Watch, now: UnixMs) {
        let read = self.read_overdue(now).await;
        let fault = self.core.store.fault().map(|fault| fault.to_string());
        self.handle.beat.mark(self.core.clock.now());
        match read {
            Ok(Overdue { job, run }) => {
                let job = job.filter(|_| self.core.options.run_jobs_on_schedule);
                self.set(AlarmKind::Store, fault, now);
                self.set_late(watch, AlarmKind::Overdue, job.map(without_record), now);
                let slots = self.core.options.max_concurrent_runs;
                self.set_late(watch, AlarmKind::Slots, run.map(|run| without_slot(run, slots)), now);
            }
            // What is late cannot be told; what was known stands.
            Err(error) => self.set(AlarmKind::Store, Some(fault.unwrap_or(error)), now),
        }
    }

    /// What is later than it may be, each by its own grace.
    async fn read_overdue(&self, now: UnixMs) -> Result<Overdue, String> {
        let store = &self.core.store;
        let WatchdogOptions { grace, slot_grace } = self.options;
        let read = async {
            let job = store.overdue(before(now, grace)).await?.job;
            let run = store.overdue(before(now, slot_grace)).await?.run;
            Ok(Overdue { job, run })
        };
        match tokio::time::timeout(READ_PATIENCE, read).await {
            Ok(read) => read.map_err(|error: StoreError| error.to_string()),
            Err(_) => Err(format!("the store has not answered within {}", format_duration(READ_PATIENCE))),
        }
    }

    /// Notes something that is late. Before all has settled that raises no alarm.
    fn set_late(&self, watch: &Watch, kind: AlarmKind, detail: Option<String>, now: UnixMs) {
        if detail.is_none() || now >= watch.settled_at || self.handle.alarms.is_raised(kind) {
            self.set(kind, detail, now);
        }
    }

    fn set(&self, kind: AlarmKind, detail: Option<String>, now: UnixMs) {
        match detail {
            Some(detail) => self.handle.alarms.raise(kind, detail, now),
            None => self.handle.alarms.clear(kind),
        }
    }
}

fn before(now: UnixMs, by: Duration) -> UnixMs {
    now.plus_millis(-i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

fn without_record((job, due_at): (JobId, UnixMs)) -> String {
    format!("the job `{job}` was due at {due_at}, and there is no record of it yet")
}

fn without_slot((run, ready_at): (RunId, UnixMs), slots: usize) -> String {
    format!(
        "the run {run} could have begun at {ready_at} and has no slot yet: runs that take long may hold all {slots} of them"
    )
}

impl WatchdogHandle {
    /// The alarms that are raised.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.alarms.raised()
    }

    /// What is wrong, one sentence each, beginning with the watchdog itself; none while all is well.
    pub fn problems(&self) -> Vec<String> {
        let alarms = self.alarms.raised().into_iter().map(|alarm| alarm.detail);
        self.beat.silence().into_iter().chain(alarms).collect()
    }
}

impl Beat {
    fn at(now: UnixMs, patience: Duration) -> Self {
        let last_at = AtomicI64::new(now.as_millis());
        Self { origin: Instant::now(), last: AtomicU64::new(0), last_at, patience }
    }

    fn mark(&self, now: UnixMs) {
        self.last.store(self.elapsed(), Ordering::SeqCst);
        self.last_at.store(now.as_millis(), Ordering::SeqCst);
    }

    fn silence(&self) -> Option<String> {
        let silent_for =
            Duration::from_millis(self.elapsed().saturating_sub(self.last.load(Ordering::SeqCst)));
        let last_at = UnixMs::from_millis(self.last_at.load(Ordering::SeqCst));
        (silent_for > self.patience).then(|| format!("the watchdog is silent since {last_at}"))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Watch {
    fn beginning(now: UnixMs, timer: UnixMs, options: WatchdogOptions) -> Self {
        let settled_at = now.plus(options.grace);
        Self { last_look: now, settled_at, timer: (timer, now), fallen: (0, now) }
    }

    /// Notes what the clock did since the last look, and whether the timer has looked.
    fn look(&mut self, now: UnixMs, timer: UnixMs, options: WatchdogOptions) {
        let on_time = options.interval().saturating_mul(2).saturating_add(TARDINESS);
        let leapt = now.since(self.last_look) > on_time || self.last_look.since(now) > JITTER;
        self.last_look = now;
        if leapt {
            self.settled_at = now.plus(LONGEST_SLEEP.saturating_add(options.grace));
        }
        if leapt || self.timer.0 != timer {
            self.timer = (timer, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: i64) -> UnixMs {
        UnixMs::from_millis(seconds * 1000)
    }

    #[test]
    fn after_a_leap_of_the_clock_the_timer_is_given_its_time_to_notice() {
        let options = WatchdogOptions { grace: Duration::from_secs(8), ..WatchdogOptions::default() };
        let mut watch = Watch::beginning(t(0), t(0), options);
        watch.look(t(2), t(0), options);
        assert_eq!((watch.settled_at, watch.timer), (t(8), (t(0), t(0))));
        watch.look(t(3600), t(0), options);
        assert_eq!((watch.settled_at, watch.timer), (t(3638), (t(0), t(3600))));
        watch.look(t(60), t(3601), options);
        assert_eq!((watch.settled_at, watch.timer), (t(98), (t(3601), t(60))));
        watch.look(t(62), t(3601), options);
        assert_eq!(watch.timer, (t(3601), t(60)), "it has not looked since");
    }

    #[test]
    fn a_watchdog_that_does_not_beat_is_noticed_whatever_the_clock_says() {
        let beat = Beat::at(t(5), Duration::ZERO);
        while beat.elapsed() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(beat.silence().as_deref(), Some("the watchdog is silent since 1970-01-01T00:00:05.000Z"));
        let patient = Beat::at(t(5), LEAST_PATIENCE);
        patient.mark(t(1_000_000));
        assert_eq!(patient.silence(), None);
    }
}
