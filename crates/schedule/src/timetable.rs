//! A schedule made ready to be asked when it is due.

use std::time::Duration;

use clawhook_model::{JobId, MAX_DATE_MS, Schedule, UnixMs};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::ScheduleError;
use crate::expression::Expression;
use crate::{stagger, zone};

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
    Every { interval_ms: u64, anchor: UnixMs },
    Cron { expression: Box<Expression>, zone: TimeZone, offset: Duration },
}

impl Timetable {
    /// Reads `schedule` for `job`, whose id decides its stagger. A cron schedule without a zone is read in `host_zone`.
    pub fn new(schedule: &Schedule, job: &JobId, host_zone: &TimeZone) -> Result<Self, ScheduleError> {
        let rule = match schedule {
            Schedule::At { at } => Rule::At(*at),
            Schedule::Every { every_ms: 0, .. } => return Err(ScheduleError::ZeroInterval),
            Schedule::Every { every_ms, anchor_ms } => {
                Rule::Every { interval_ms: *every_ms, anchor: *anchor_ms }
            }
            Schedule::Cron { expr, tz, stagger_ms } => Rule::Cron {
                expression: Box::new(read(expr)?),
                zone: match tz.as_deref().map(str::trim) {
                    None | Some("") => host_zone.clone(),
                    Some(name) => zone::named(name)?,
                },
                offset: stagger::offset(job, stagger::window_ms(expr, *stagger_ms)),
            },
        };
        Ok(Self { rule })
    }

    /// The first due time strictly after `after`.
    pub fn next_after(&self, after: UnixMs) -> Option<UnixMs> {
        match &self.rule {
            Rule::At(at) => Some(*at).filter(|at| after < *at),
            Rule::Every { interval_ms, anchor } => next_on_grid(*anchor, *interval_ms, after),
            Rule::Cron { expression, zone, offset } => {
                let offset = i64::try_from(offset.as_millis()).ok()?;
                let cursor = after.plus_millis(-offset).max(UnixMs::EPOCH);
                let base =
                    zone::next_after(expression, zone, Timestamp::from_second(cursor.as_secs()).ok()?)?;
                Some(UnixMs::from_millis(base.as_millisecond()).plus_millis(offset))
            }
        }
    }

    /// The due times after `after`, up to and including `until_inclusive`, in order.
    pub fn due_between(&self, after: UnixMs, until_inclusive: UnixMs) -> impl Iterator<Item = UnixMs> {
        std::iter::successors(self.next_after(after), |due| self.next_after(*due))
            .take_while(move |due| *due <= until_inclusive)
    }

    /// By how much the job's stagger shifts each of its times.
    pub fn stagger_offset(&self) -> Duration {
        match &self.rule {
            Rule::Cron { offset, .. } => *offset,
            Rule::At(_) | Rule::Every { .. } => Duration::ZERO,
        }
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
    i64::try_from(next).ok().filter(|next| *next <= MAX_DATE_MS).map(UnixMs::from_millis)
}
