//! A schedule made ready to be asked when it is due.

use std::time::Duration;

use clawhook_model::{JobId, Schedule, UnixMs};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::dst::Conduct;
use crate::error::ScheduleError;
use crate::expression::Expression;
use crate::transition::{self, Transition};
use crate::{stagger, zone};

/// How many changes of clocks one question is told about.
pub const MAX_TRANSITIONS: usize = 1000;

/// The last instant that anything is due at: the calendar of RFC 3339, with any offset, ends with the year 9999.
pub(crate) const LAST_INSTANT: UnixMs = UnixMs::from_millis(253_402_207_200_999);

/// How far back the search for the last due time looks at first.
const FIRST_LOOK_BACK_MS: i64 = 60_000;

/// How much of an unreadable expression an error repeats.
const EXCERPT_CHARS: usize = 100;

/// The due times of one job.
#[derive(Debug, Clone)]
pub struct Timetable {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    At(UnixMs),
    Every {
        interval_ms: u64,
        anchor: UnixMs,
    },
    Cron(Box<Cron>),
    /// What the clock does not begin.
    Never,
}

#[derive(Debug, Clone)]
struct Cron {
    expression: Expression,
    conduct: Conduct,
    zone: TimeZone,
    /// The job's stagger, in milliseconds.
    offset_ms: i64,
}

impl Timetable {
    /// Reads `schedule` for `job`, whose id decides its stagger. A cron schedule without a zone is read in `host_zone`.
    pub fn new(schedule: &Schedule, job: &JobId, host_zone: &TimeZone) -> Result<Self, ScheduleError> {
        let rule = match schedule {
            Schedule::At { at } => Rule::At(*at),
            Schedule::Event { .. } => Rule::Never,
            Schedule::Every { every_ms: 0, .. } => return Err(ScheduleError::ZeroInterval),
            Schedule::Every { every_ms, anchor_ms } => {
                Rule::Every { interval_ms: *every_ms, anchor: *anchor_ms }
            }
            Schedule::Cron { expr, tz, stagger_ms, dst } => {
                let expression = read(expr)?;
                Rule::Cron(Box::new(Cron {
                    conduct: Conduct::of(*dst, &expression),
                    expression,
                    zone: match tz.as_deref().map(str::trim) {
                        None | Some("") => host_zone.clone(),
                        Some(name) => zone::zone_named(name)?,
                    },
                    offset_ms: stagger::offset_ms(job, stagger::window_ms(expr, *stagger_ms)),
                }))
            }
        };
        Ok(Self { rule })
    }

    /// The first due time strictly after `after`.
    pub fn next_after(&self, after: UnixMs) -> Option<UnixMs> {
        match &self.rule {
            Rule::At(at) => Some(*at).filter(|at| after < *at),
            Rule::Every { interval_ms, anchor } => next_on_grid(*anchor, *interval_ms, after),
            Rule::Cron(cron) => cron.next_after(after),
            Rule::Never => None,
        }
    }

    /// The last due time at or before `instant`: what a job was last due at.
    pub fn previous_at_or_before(&self, instant: UnixMs) -> Option<UnixMs> {
        match &self.rule {
            Rule::At(at) => Some(*at).filter(|at| *at <= instant),
            Rule::Every { interval_ms, anchor } => last_on_grid(*anchor, *interval_ms, instant),
            Rule::Cron(cron) => cron.previous_at_or_before(instant),
            Rule::Never => None,
        }
    }

    /// The due times after `after`, up to and including `until_inclusive`, in order.
    pub fn due_between(&self, after: UnixMs, until_inclusive: UnixMs) -> impl Iterator<Item = UnixMs> {
        std::iter::successors(self.next_after(after), |due| self.next_after(*due))
            .take_while(move |due| *due <= until_inclusive)
    }

    /// The changes of the zone's offset that concern this schedule, in order, at most [`MAX_TRANSITIONS`]: those whose
    /// gap or fold holds a civil time that the expression names, and lies in part after `from` and not after `until`.
    /// There are none for `at` and `every`: an instant is absolute, and an interval keeps its cadence.
    pub fn transitions_between(&self, from: UnixMs, until: UnixMs) -> Vec<Transition> {
        match &self.rule {
            Rule::At(_) | Rule::Every { .. } | Rule::Never => Vec::new(),
            Rule::Cron(cron) => cron.transitions_between(from, until),
        }
    }

    /// The zone that the expression is read in; none for `at` and `every`.
    pub fn zone(&self) -> Option<&TimeZone> {
        match &self.rule {
            Rule::Cron(cron) => Some(&cron.zone),
            Rule::At(_) | Rule::Every { .. } | Rule::Never => None,
        }
    }

    /// By how much the job's stagger shifts each of its times.
    pub fn stagger_offset(&self) -> Duration {
        match &self.rule {
            Rule::Cron(cron) => Duration::from_millis(cron.offset_ms.unsigned_abs()),
            Rule::At(_) | Rule::Every { .. } | Rule::Never => Duration::ZERO,
        }
    }
}

impl Cron {
    fn next_after(&self, after: UnixMs) -> Option<UnixMs> {
        let cursor = after.plus_millis(-self.offset_ms).max(UnixMs::EPOCH);
        let second = Timestamp::from_second(cursor.as_secs()).ok()?;
        let base = zone::next_after(&self.expression, self.conduct, &self.zone, second)?;
        Some(UnixMs::from_millis(base.as_millisecond()).plus_millis(self.offset_ms))
    }

    /// Asks for the next time from ever further back until there is one, then halves what may lie between it and
    /// `instant`: some tens of questions, and an answer that cannot disagree with [`next_after`](Self::next_after).
    fn previous_at_or_before(&self, instant: UnixMs) -> Option<UnixMs> {
        let due_after = |from: UnixMs| self.next_after(from).filter(|due| *due <= instant);
        let mut back_ms = FIRST_LOOK_BACK_MS;
        let mut due = loop {
            let from = instant.plus_millis(-back_ms).max(UnixMs::EPOCH);
            match due_after(from) {
                Some(due) => break due,
                None if from == UnixMs::EPOCH => return None,
                None => back_ms = back_ms.saturating_mul(2),
            }
        };
        let mut none_after = instant;
        while due < none_after {
            let between = (none_after.as_millis() - due.as_millis()) / 2;
            let middle = due.plus_millis(between);
            match due_after(middle) {
                Some(later) => due = later,
                None => none_after = middle,
            }
        }
        Some(due)
    }

    fn transitions_between(&self, from: UnixMs, until: UnixMs) -> Vec<Transition> {
        let (from, until) = (from.plus_millis(-self.offset_ms), until.plus_millis(-self.offset_ms));
        transition::between(&self.expression, self.conduct, &self.zone, from, until)
            .take(MAX_TRANSITIONS)
            .collect()
    }
}

fn read(expr: &str) -> Result<Expression, ScheduleError> {
    Expression::parse(expr).map_err(|fault| ScheduleError::Expression {
        expr: expr.chars().take(EXCERPT_CHARS).collect(),
        fault,
    })
}

/// The first point of `anchor + k * interval_ms`, with k from 0, strictly after `after`.
fn next_on_grid(anchor: UnixMs, interval_ms: u64, after: UnixMs) -> Option<UnixMs> {
    let (anchor, interval) = (i128::from(anchor.as_millis()), i128::from(interval_ms));
    let since_anchor = i128::from(after.as_millis()) - anchor;
    let next = if since_anchor < 0 { anchor } else { anchor + (since_anchor / interval + 1) * interval };
    i64::try_from(next).ok().map(UnixMs::from_millis).filter(|next| *next <= LAST_INSTANT)
}

/// The last point of the same grid at or before `instant`.
fn last_on_grid(anchor: UnixMs, interval_ms: u64, instant: UnixMs) -> Option<UnixMs> {
    let (anchor, interval) = (i128::from(anchor.as_millis()), i128::from(interval_ms));
    let since_anchor = i128::from(instant.min(LAST_INSTANT).as_millis()) - anchor;
    if since_anchor < 0 {
        return None;
    }
    let last = anchor + since_anchor / interval * interval;
    i64::try_from(last).ok().map(UnixMs::from_millis)
}
