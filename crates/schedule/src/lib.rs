//! When is a job due? Pure functions of a schedule and an instant: no clock, no async, no store.
//!
//! # The cast
//!
//! - [`Timetable`]: a schedule made ready to be asked. Parsing and looking up the zone happen once, in
//!   [`Timetable::new`]; [`Timetable::next_after`] is then a matter of a microsecond, and may be asked from any thread.
//! - [`check_new`]: what is refused when a person or an agent saves a schedule. A stored schedule is not held to
//!   it again: an `at` that lies far in the past is refused today, but was right when it was saved.
//! - [`ScheduleError`]: why there is no timetable, with the offending value; [`ScheduleError::hint`] says, apart
//!   from the message, what was probably meant.
//! - [`decide`]: what becomes of the instants at which a job is due, by its misfire and overlap policies. The engine acts
//!   on it, and the simulator shows it.
//! - [`Simulation`]: what a job would do over a stretch of time, decision by decision.
//! - [`default_stagger_ms`]: the spread that an expression gets by itself.
//! - [`describe()`] and [`describe_for`]: a schedule's text, as OpenClaw's list shows it and with all there is to say.
//! - [`Transition`]: a change of clocks that concerns a schedule, and what the schedule does about it.
//!
//! Inside, a cron expression is read once (`expression`) into sets of bits, its matching civil times are walked by
//! month, day and time of day (`civil`), and only then set against the zone's offset changes (`zone`) by the rule that
//! the job chose (`dst`).
//!
//! # The rules
//!
//! - Every answer is **strictly after** the instant that was asked for. Walking from answer to answer leaves none
//!   out and gives none twice.
//! - `at` is due once. `every` is due on the grid `anchor + k * every`, the anchor itself included where it lies
//!   ahead, so the interval never drifts, whatever the runs take.
//! - `cron` means what it means to OpenClaw, that is, to croner 11: five fields, or six with seconds in front, or
//!   seven with years at the end; a day of the month and a day of the week, where both are restricted, are joined
//!   by *or*, and by *and* where the day of the week begins with `+`.
//! - Where clocks go back, a **fixed time** (one second, one minute, one hour: `30 1 * * *`) is due in the first
//!   pass of the repeated stretch only; everything else is due in both, so that `*/10 * * * *` never pauses.
//! - Where clocks go forward, a fixed time inside the gap is due at the gap's end; everything else is not due in it.
//! - These two are OpenClaw's; a job can choose otherwise. With `skip`, what does not exist is not due and what comes
//!   twice is due in its first pass. With `once`, each civil time is due exactly once: those inside a gap, together,
//!   at its end.
//! - A cron job's stagger shifts each of its times by the same offset, which follows from its id alone.
//!
//! # What is not guaranteed
//!
//! - An answer holds for the zone data of this machine. When a country changes its rules, answers change.
//! - A fixed time inside a gap that reaches into the next day (Nuuk, at the end of March) or is a whole day long (Apia in
//!   2011) is not made up for, unless the job chose `once`: that day does not have it.
//! - Nothing is due by cron before the Unix epoch or after the year 9999 (croner, without a year field, stops in 2999).
//!   A day that does not come in 400 years, one turn of the calendar, never comes.
//! - That a decision is acted on is the `engine` crate's business.

mod check;
mod civil;
mod decision;
mod describe;
mod dst;
mod error;
mod expression;
mod passed;
mod simulator;
mod stagger;
mod timetable;
mod transition;
mod zone;

pub use check::check_new;
pub use decision::{Decision, Fate, MISFIRE_TOLERANCE, MissReason, Situation, SkipReason, Start, decide};
pub use describe::{describe, describe_for};
pub use error::ScheduleError;
pub use expression::{ExpressionError, Fault, Field};
pub use passed::{Passed, passed};
pub use simulator::{Entry, Happening, Simulation, World};
pub use stagger::default_stagger_ms;
pub use timetable::{MAX_TRANSITIONS, Timetable};
pub use transition::{Transition, TransitionKind};
pub use zone::zone_named;
