//! What becomes of the instants at which a job is due: a pure decision, the same for the engine and the simulator.

use std::fmt;
use std::time::Duration;

use clawhook_model::{Misfire, MisfirePolicy, OpenRuns, Overlap, UnixMs, format_duration};

use crate::timetable::Timetable;

/// How many instants one decision leaves behind at most; a longer absence is worked off in several.
pub(crate) const MOST_AT_ONCE: usize = 1000;

/// How late an instant may be that came while nobody was there, and still not be a misfire: a restart at the wrong moment
/// costs nobody a day's run.
pub const MISFIRE_TOLERANCE: Duration = Duration::from_secs(60);

/// All that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// When the job is due.
    pub timetable: &'a Timetable,
    /// The instant that the job waits for; it is not after `now`.
    pub due: UnixMs,
    /// The present instant.
    pub now: UnixMs,
    /// Since when somebody has been there to run what is due.
    pub present_since: UnixMs,
    /// What becomes of instants at which nobody was there.
    pub misfire: Misfire,
    /// What becomes of instants while a run is not over.
    pub overlap: Overlap,
    /// The job's runs that are not over.
    pub open: OpenRuns,
    /// Until when what is due is not run, because runs failed.
    pub backoff_until: Option<UnixMs>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of each instant, in order; there is at least one.
    pub fates: Vec<(UnixMs, Fate)>,
    /// Whether the runs under way are to be cancelled.
    pub cancels: bool,
    /// The next instant to wait for.
    pub next_run_at: Option<UnixMs>,
}

/// What becomes of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is run.
    Run {
        /// When its run begins.
        start: Start,
        /// Whether it stands for instants that were missed, or was missed itself.
        catch_up: bool,
    },
    /// It was due, and is deliberately not run.
    Skipped(SkipReason),
    /// It could not be run when it was due.
    Missed(MissReason),
}

/// When a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// At this instant.
    At(UnixMs),
    /// When the job's runs before it are over.
    AfterOthers,
}

/// Why an instant is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// A run before it is not over.
    StillRunning,
    /// As many runs wait as may.
    BufferFull {
        /// How many.
        most: u32,
    },
    /// A run waits already to take the place of another.
    SuccessorWaits,
    /// The job's runs failed, and it backs off.
    BackingOff {
        /// Until when.
        until: UnixMs,
    },
}

/// Why an instant is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissReason {
    /// Nobody was there, and the job's policy is to skip.
    NobodyThere,
    /// A later instant is run in its place.
    CaughtUp {
        /// Which.
        by: UnixMs,
    },
    /// So many instants were missed that a later one will stand for it.
    LongAbsence,
    /// More were missed than the job's policy runs.
    BeyondMost {
        /// How many it runs.
        most: u32,
    },
    /// It is later than the job allows.
    TooLate {
        /// How late it may be.
        most: Duration,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillRunning => f.write_str("the job's previous run was still under way"),
            Self::BufferFull { most: 1 } => f.write_str("a run of the job waits already"),
            Self::BufferFull { most } => write!(f, "{most} runs of the job wait already"),
            Self::SuccessorWaits => {
                f.write_str("a run of the job waits already to take the place of another")
            }
            Self::BackingOff { until } => write!(f, "the job's runs failed, and it backs off until {until}"),
        }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyThere => f.write_str("the gateway was not running; the misfire policy is skip"),
            Self::CaughtUp { by } => write!(f, "caught up by the run for {by}"),
            Self::LongAbsence => f.write_str("the gateway was not running; a later instant stands for it"),
            Self::BeyondMost { most } => {
                write!(f, "the gateway was not running; the misfire policy runs the last {most} instants")
            }
            Self::TooLate { most } => {
                write!(f, "it would have been later than the {} that the job allows", format_duration(*most))
            }
        }
    }
}

/// Decides what becomes of every instant from the one that the job waits for up to now (invariant 1).
///
/// 1. What is later than the job allows is missed.
/// 2. Of what is left the misfire policy says which instants are run: none that nobody was there for, the last one, or
///    each of the last so many.
/// 3. What the overlap policy does not let begin is skipped, or waits.
/// 4. While the job backs off, an instant is skipped, but for the last one before the end of it, which is held until then
///    (contract §3.6: the later of the next instant and the end of the backoff).
pub fn decide(situation: &Situation<'_>) -> Decision {
    let Situation { timetable, due, now, .. } = *situation;
    let mut instants: Vec<UnixMs> =
        std::iter::once(due).chain(timetable.due_between(due, now)).take(2 * MOST_AT_ONCE + 1).collect();
    if instants.len() > 2 * MOST_AT_ONCE {
        // The last ones, of which some may have to be run, are left for a later decision.
        instants.truncate(MOST_AT_ONCE + 1);
        let next_run_at = instants.pop();
        let fates = instants.into_iter().map(|instant| (instant, situation.long_gone(instant))).collect();
        return Decision { fates, cancels: false, next_run_at };
    }
    let last = instants.last().copied().unwrap_or(due);
    let next_run_at = timetable.next_after(last.max(now));
    let mut fates: Vec<(UnixMs, Fate)> =
        instants.iter().map(|instant| (*instant, situation.misfire(*instant, last))).collect();
    if let MisfirePolicy::Each { most } = situation.misfire.policy {
        keep_last(&mut fates, most);
    }
    let cancels = situation.apply_overlap(&mut fates);
    if !cancels {
        situation.apply_backoff(&mut fates, next_run_at);
    }
    Decision { fates, cancels, next_run_at }
}

impl Situation<'_> {
    fn is_too_late(&self, instant: UnixMs) -> Option<Duration> {
        self.misfire.max_lateness.filter(|most| self.now.since(instant) > *most)
    }

    /// What becomes of an instant that so many others have followed that none of its kind is run.
    fn long_gone(&self, instant: UnixMs) -> Fate {
        let reason = match (self.is_too_late(instant), self.misfire.policy) {
            (Some(most), _) => MissReason::TooLate { most },
            (None, MisfirePolicy::Skip) => MissReason::NobodyThere,
            (None, MisfirePolicy::Once) => MissReason::LongAbsence,
            (None, MisfirePolicy::Each { most }) => MissReason::BeyondMost { most },
        };
        Fate::Missed(reason)
    }

    /// What the misfire policy makes of an instant, of which `last` is the last.
    fn misfire(&self, instant: UnixMs, last: UnixMs) -> Fate {
        if let Some(most) = self.is_too_late(instant) {
            return Fate::Missed(MissReason::TooLate { most });
        }
        let was_there = |instant: UnixMs| instant >= self.present_since;
        let is_fresh = |instant| was_there(instant) || self.now.since(instant) <= MISFIRE_TOLERANCE;
        let is_last = instant == last;
        let run = |catch_up| Fate::Run { start: Start::Now, catch_up };
        match self.misfire.policy {
            MisfirePolicy::Skip if !is_fresh(last) => Fate::Missed(MissReason::NobodyThere),
            MisfirePolicy::Skip if !is_last => Fate::Missed(MissReason::CaughtUp { by: last }),
            MisfirePolicy::Skip => run(false),
            MisfirePolicy::Once if !is_last => Fate::Missed(MissReason::CaughtUp { by: last }),
            MisfirePolicy::Once => run(!was_there(instant) || self.due < last),
            MisfirePolicy::Each { .. } => run(!was_there(instant) || !is_last),
        }
    }

    /// Lets begin what the overlap policy allows; says whether the runs under way are to be cancelled.
    fn apply_overlap(&self, fates: &mut [(UnixMs, Fate)]) -> bool {
        let mut open = self.open;
        let mut cancels = false;
        let last_run = fates.iter().rposition(|(_, fate)| matches!(fate, Fate::Run { .. }));
        for (place, (_, fate)) in fates.iter_mut().enumerate() {
            let Fate::Run { start, .. } = fate else { continue };
            match self.admit(open, last_run == Some(place)) {
                Ok(admitted) => {
                    *start = admitted;
                    cancels |= self.overlap == Overlap::CancelOther && self.open.any();
                    match admitted {
                        Start::AfterOthers => open.waiting += 1,
                        Start::Now | Start::At(_) => open.running += 1,
                    }
                }
                Err(reason) => *fate = Fate::Skipped(reason),
            }
        }
        cancels
    }

    /// When a run may begin while `open` runs are not over. What a catch-up runs one after the other does not overlap.
    fn admit(&self, open: OpenRuns, is_last: bool) -> Result<Start, SkipReason> {
        if self.overlap == Overlap::AllowAll {
            let most = Overlap::MOST_OPEN;
            return if open.all() < most { Ok(Start::Now) } else { Err(SkipReason::BufferFull { most }) };
        }
        if !self.open.any() {
            return Ok(if open.any() { Start::AfterOthers } else { Start::Now });
        }
        let buffer = |most| {
            if open.waiting < most { Ok(Start::AfterOthers) } else { Err(SkipReason::BufferFull { most }) }
        };
        match self.overlap {
            Overlap::Skip | Overlap::AllowAll => Err(SkipReason::StillRunning),
            Overlap::BufferOne => buffer(1),
            Overlap::BufferAll { most } => buffer(most),
            Overlap::CancelOther if !is_last => Err(SkipReason::StillRunning),
            Overlap::CancelOther if open.waiting > 0 => Err(SkipReason::SuccessorWaits),
            Overlap::CancelOther => Ok(Start::AfterOthers),
        }
    }

    /// Holds or skips what would begin while the job backs off; what would have to wait for another run is skipped.
    fn apply_backoff(&self, fates: &mut [(UnixMs, Fate)], next_run_at: Option<UnixMs>) {
        let Some(until) = self.backoff_until.filter(|until| self.now < *until) else { return };
        let mut held = next_run_at.is_some_and(|next| next <= until);
        for (_, fate) in fates.iter_mut().rev() {
            let Fate::Run { start, .. } = fate else { continue };
            if held || self.open.any() {
                *fate = Fate::Skipped(SkipReason::BackingOff { until });
            } else {
                *start = Start::At(until);
                held = true;
            }
        }
    }
}

/// Leaves the last `most` runs of an absence to be run.
fn keep_last(fates: &mut [(UnixMs, Fate)], most: u32) {
    let runs = fates.iter_mut().rev().filter(|(_, fate)| matches!(fate, Fate::Run { .. }));
    for (_, fate) in runs.skip(usize::try_from(most).unwrap_or(usize::MAX)) {
        *fate = Fate::Missed(MissReason::BeyondMost { most });
    }
}
