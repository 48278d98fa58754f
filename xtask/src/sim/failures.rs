//! What has to follow from failures, worked out once more from how runs ended.

use clawhook_model::{BACKOFF, ErrorReason, RunStatus, UnixMs, counts_against_job};
use clawhook_store::RunRecord;

use super::jobs::Watched;
use super::promises::{finished, is_first_try, was_executed};

/// After how many failures in a row a job is switched off.
const SWITCHED_OFF_AFTER: u32 = 10;

/// Something that concerns the failures of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// Its owner switched it on again.
    Forgiven,
    /// This one of its runs began.
    Begin(usize),
    /// This one of its runs ended.
    End(usize),
}

/// The failures of a job in a row, and what followed.
#[derive(Debug, Default)]
pub(super) struct Streak {
    pub(super) failures: u32,
    backoff_until: Option<UnixMs>,
    is_off: bool,
}

/// What happened to a job, in order.
pub(super) fn happenings(job: &Watched, runs: &[RunRecord]) -> Vec<(UnixMs, Happening)> {
    let mut all: Vec<(UnixMs, Happening)> =
        job.forgiven.iter().map(|at| (*at, Happening::Forgiven)).collect();
    for (place, record) in runs.iter().enumerate() {
        let Some((began, ended, _)) = finished(record) else { continue };
        if was_executed(record) && record.run.trigger.is_scheduled() {
            all.extend([(began, Happening::Begin(place)), (ended, Happening::End(place))]);
        }
    }
    // The newest run comes first in a page; one that ends as it begins has begun before.
    all.sort_by_key(|(at, happening)| match happening {
        Happening::Forgiven => (*at, 0, 0),
        Happening::Begin(place) => (*at, runs.len() - place, 0),
        Happening::End(place) => (*at, runs.len() - place, 1),
    });
    all
}

impl Streak {
    /// Goes on to what happened next; says what should not have happened.
    pub(super) fn follow(
        &mut self,
        job: &Watched,
        runs: &[RunRecord],
        (at, happening): (UnixMs, Happening),
    ) -> Option<String> {
        match happening {
            Happening::Forgiven => *self = Self::default(),
            Happening::End(place) => self.end(job, runs, &runs[place], at),
            Happening::Begin(_) if self.is_off => {
                return Some(format!("it is switched off, and began at {at}"));
            }
            Happening::Begin(place) if is_first_try(&runs[place]) => {
                let until = self.backoff_until.filter(|until| at < *until)?;
                return Some(format!("it backs off until {until}, and began at {at}"));
            }
            Happening::Begin(_) => {}
        }
        None
    }

    fn end(&mut self, job: &Watched, runs: &[RunRecord], record: &RunRecord, at: UnixMs) {
        let Some((_, _, outcome)) = finished(record) else { return };
        if outcome.status == RunStatus::Ok {
            (self.failures, self.backoff_until) = (0, None);
            return;
        }
        let reason = outcome.error.as_ref().map_or(ErrorReason::Unknown, |error| error.reason);
        if !counts_against_job(reason) {
            return;
        }
        self.failures += 1;
        let may_be_disabled = job.wanted_at(at).any(|wanted| !wanted.enabled);
        let is_retried = runs.iter().any(|other| {
            other.run.scheduled_at == record.run.scheduled_at && other.run.attempt == record.run.attempt + 1
        });
        if may_be_disabled || is_retried || self.is_off {
            return;
        }
        if self.failures >= SWITCHED_OFF_AFTER && reason != ErrorReason::Auth {
            self.is_off = true;
            return;
        }
        let place = usize::try_from(self.failures - 1).unwrap_or(usize::MAX).min(BACKOFF.len() - 1);
        self.backoff_until = Some(at.plus(BACKOFF[place]));
    }
}
