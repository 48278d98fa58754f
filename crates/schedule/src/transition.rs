//! Changes of clocks, told to people: when they come, and what a schedule does about them.

use std::fmt;

use clawhook_model::UnixMs;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::dst::{Conduct, InFold, InGap};
use crate::expression::Expression;

const ONE_SECOND: SignedDuration = SignedDuration::from_secs(1);

/// More than any clock was ever set back by, so that a search from so much earlier meets the fold it begins in.
const LONGEST_FOLD: SignedDuration = SignedDuration::from_hours(48);

/// Whether clocks skip civil times or go through them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionKind {
    /// Clocks go forward: the civil times in between do not exist.
    Gap,
    /// Clocks go back: the civil times in between come twice.
    Fold,
}

/// A change of a zone's offset that concerns a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The instant from which the new offset holds.
    pub at: UnixMs,
    /// The offset up to then.
    pub before: Offset,
    /// The offset from then on.
    pub after: Offset,
    /// What it does to civil time.
    pub kind: TransitionKind,
    /// What the schedule does about it, in a sentence for people.
    pub note: String,
}

impl Transition {
    /// The first instant whose civil time is touched: that of the change, or where the fold's first pass begins.
    pub fn begins(&self) -> UnixMs {
        match self.kind {
            TransitionKind::Gap => self.at,
            TransitionKind::Fold => self.at.plus_millis(-shift_ms(self.before, self.after)),
        }
    }
}

/// By how much the clocks are set, in milliseconds, in either direction.
fn shift_ms(before: Offset, after: Offset) -> i64 {
    i64::from((after.seconds() - before.seconds()).abs()) * 1000
}

/// The changes whose stretch lies in part after `from` and not after `until`, and holds a civil time of `expression`.
pub(crate) fn between<'a>(
    expression: &'a Expression,
    conduct: Conduct,
    zone: &'a TimeZone,
    from: UnixMs,
    until: UnixMs,
) -> impl Iterator<Item = Transition> + 'a {
    let start = Timestamp::from_millisecond(from.max(UnixMs::EPOCH).as_millis()).ok();
    start
        .and_then(|start| start.checked_sub(LONGEST_FOLD).ok())
        // What never comes would be looked for anew at each change.
        .filter(|start| expression.next_after(zone.to_datetime(*start)).is_some())
        .into_iter()
        .flat_map(|start| zone.following(start))
        .filter_map(move |change| Stretch::around(zone, change.timestamp(), change.offset()))
        .skip_while(move |stretch| stretch.last() <= from)
        .take_while(move |stretch| stretch.begins() <= until)
        .filter_map(move |stretch| stretch.told(expression, conduct, zone))
}

/// The civil times that one change of the offset skips or repeats.
struct Stretch {
    at: Timestamp,
    before: Offset,
    after: Offset,
    kind: TransitionKind,
    /// The first of the civil times, and the first that is none of them any more.
    civil: (DateTime, DateTime),
}

impl Stretch {
    /// `None` where the offset stays, and only its name changes.
    fn around(zone: &TimeZone, at: Timestamp, after: Offset) -> Option<Self> {
        let before = zone.to_offset(at.checked_sub(ONE_SECOND).ok()?);
        let (old, new) = (before.to_datetime(at), after.to_datetime(at));
        if old == new {
            return None;
        }
        let kind = if old < new { TransitionKind::Gap } else { TransitionKind::Fold };
        Some(Self { at, before, after, kind, civil: (old.min(new), old.max(new)) })
    }

    fn begins(&self) -> UnixMs {
        match self.kind {
            TransitionKind::Gap => self.instant(),
            TransitionKind::Fold => self.instant().plus_millis(-shift_ms(self.before, self.after)),
        }
    }

    /// The last instant whose civil time is touched.
    fn last(&self) -> UnixMs {
        match self.kind {
            TransitionKind::Gap => self.instant(),
            TransitionKind::Fold => self.instant().plus_millis(shift_ms(self.before, self.after) - 1),
        }
    }

    fn instant(&self) -> UnixMs {
        UnixMs::from_millis(self.at.as_millisecond())
    }

    /// The change as people are told of it; `None` where the expression names no time in the stretch.
    fn told(&self, expression: &Expression, conduct: Conduct, zone: &TimeZone) -> Option<Transition> {
        let (first, end) = self.civil;
        let in_stretch = |after: DateTime| expression.next_after(after).filter(|civil| *civil < end);
        let named = in_stretch(first.checked_sub(ONE_SECOND).ok()?)?;
        let what = if in_stretch(named).is_none() { Named::One(named) } else { Named::Several(first, end) };
        let effect = match self.kind {
            TransitionKind::Gap => effect_of_gap(conduct.gap, named, end),
            TransitionKind::Fold => effect_of_fold(conduct.fold).to_owned(),
        };
        let fate = match (self.kind, &what) {
            (TransitionKind::Gap, Named::One(_)) => "does not exist",
            (TransitionKind::Gap, Named::Several(..)) => "do not exist",
            (TransitionKind::Fold, Named::One(_)) => "comes twice",
            (TransitionKind::Fold, Named::Several(..)) => "come twice",
        };
        let place = zone.iana_name().unwrap_or("the host's zone");
        let note = format!("{what} {fate} on {} in {place}; {effect}", named.date());
        Some(Transition { at: self.instant(), before: self.before, after: self.after, kind: self.kind, note })
    }
}

fn effect_of_gap(conduct: InGap, named: DateTime, end: DateTime) -> String {
    let same_day = named.date() == end.date();
    match conduct {
        InGap::AtItsEnd if same_day => format!("due at the gap's end, {}", time(end)),
        InGap::AtItsEnd => format!("due at the gap's end, {} {}", end.date(), time(end)),
        InGap::AtItsEndOnTheSameDay if same_day => format!("due at the gap's end, {}", time(end)),
        InGap::AtItsEndOnTheSameDay => "not due, for the gap ends on another day".to_owned(),
        InGap::NotDue => "not due".to_owned(),
    }
}

fn effect_of_fold(conduct: InFold) -> &'static str {
    match conduct {
        InFold::FirstPass => "due in the first pass",
        InFold::BothPasses => "due in both passes",
    }
}

/// The civil times of an expression in a stretch.
enum Named {
    One(DateTime),
    Several(DateTime, DateTime),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(civil) => f.write_str(&time(*civil)),
            Self::Several(first, end) => write!(f, "times from {} up to {}", time(*first), time(*end)),
        }
    }
}

/// A time of day, with its seconds where there are some.
fn time(civil: DateTime) -> String {
    let form = if civil.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    civil.strftime(form).to_string()
}
