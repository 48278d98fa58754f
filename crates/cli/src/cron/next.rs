//! `clawhook cron next`: when a schedule is due. It is worked out here, by the rules that the gateway goes by; only a
//! job's definition is asked for.

use std::time::Duration;

use clap::Args;
use clawhook_model::{JobId, Schedule, UnixMs, format_duration};
use clawhook_schedule::{
    ScheduleError, Timetable, Transition, check_new, default_stagger_ms, describe_for, zone_named,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::Misuse;
use super::schedule_flags::{ScheduleFlags, Timing, read_instant};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::view::{self, JobView};
use crate::{moment, output};

/// The flags of `clawhook cron next`.
#[derive(Args)]
pub(super) struct NextArgs {
    /// The job's id; without one, the schedule is given by its flags
    #[arg(value_name = "ID", conflicts_with = "ScheduleFlags", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: Option<String>,
    /// Leave out what is due up to then: an ISO 8601 time, milliseconds since the epoch, or a duration from now
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// A point of the interval's grid, in place of --from
    #[arg(long, value_name = "INSTANT", conflicts_with_all = ["id", "cron", "at"])]
    anchor: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Print the instants alone, as a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    timing: ScheduleFlags,
}

/// What is asked.
pub(super) struct Question {
    source: Source,
    from: UnixMs,
    count: usize,
    json: bool,
}

enum Source {
    /// A job of the gateway.
    Job(String),
    /// A schedule as the API's JSON, with the grid's anchor, and the zone that was named.
    Typed { schedule: Value, anchor: UnixMs, zone: Option<TimeZone> },
}

/// A schedule made ready, with what is said about it.
struct Subject {
    timetable: Timetable,
    /// The schedule in words.
    text: String,
    /// The zone in which instants are shown.
    zone: TimeZone,
    /// What a person should know.
    remark: Option<String>,
}

impl NextArgs {
    /// Turns what was typed into what is meant.
    pub(super) fn plan(&self, now: UnixMs) -> Result<Question, Misuse> {
        // A zone that there is not is refused as a part of the schedule.
        let zone = self.timing.zone().unwrap_or_default();
        let instant = |text: &String| read_instant(text, now, || Ok(zone.clone()));
        let from = self.from.as_ref().map(instant).transpose()?.unwrap_or(now);
        let source = match (&self.id, self.timing.read(None, now)?) {
            (Some(id), _) => Source::Job(id.clone()),
            (None, Timing::Whole(schedule)) => {
                let anchor = self.anchor.as_ref().map(instant).transpose()?.unwrap_or(from);
                Source::Typed { schedule, anchor, zone }
            }
            (None, Timing::Unsaid | Timing::Amended(_)) => {
                return Err(Misuse::new("say whose times: a job's ID, or --cron, --every or --at"));
            }
        };
        Ok(Question { source, from, count: usize::from(self.count), json: self.json })
    }
}

/// Answers the question. The gateway is looked for only where the question is about one of its jobs.
pub(super) async fn run(
    client: impl FnOnce() -> Result<Client, Failure>,
    question: Question,
    now: UnixMs,
) -> Result<(), Failure> {
    let Question { source, from, count, json } = question;
    let subject = match source {
        Source::Job(id) => of_job(&client()?, &id).await?,
        Source::Typed { schedule, anchor, zone } => typed(schedule, anchor, zone, from, now)?,
    };
    let due: Vec<UnixMs> =
        std::iter::successors(subject.timetable.next_after(from), |due| subject.timetable.next_after(*due))
            .take(count)
            .collect();
    if json {
        let instants: Vec<String> = due.iter().copied().map(utc).collect();
        output::json(&json!(instants))?;
    } else {
        output::data(&told(&subject, &due, from, now))?;
    }
    for remark in subject.remark.into_iter().chain(scarcity(due.len(), count, from)) {
        output::message("note", &remark);
    }
    Ok(())
}

async fn of_job(client: &Client, id: &str) -> Result<Subject, Failure> {
    let job: JobView = view::read(&client.call(Call::get(["jobs", id])).await?)?;
    let not_understood = || {
        Failure::with_hint(
            format!("the schedule of this job is not understood: {}", job.schedule),
            "is the gateway of another version? `clawhook status --json` shows it",
        )
    };
    let schedule = Schedule::deserialize(&job.schedule).map_err(|_| not_understood())?;
    let id: JobId = job.id.parse().map_err(|_| not_understood())?;
    let host_zone = match &job.host_time_zone {
        Some(name) => zone_named(name).map_err(|error| refusal(&error))?,
        None => this_machines_zone(),
    };
    let timetable = Timetable::new(&schedule, &id, &host_zone).map_err(|error| refusal(&error))?;
    Ok(Subject {
        text: describe_for(&schedule, Some(&id), host_zone.iana_name()),
        zone: timetable.zone().cloned().unwrap_or(host_zone),
        timetable,
        remark: (!job.enabled).then(|| "the job is disabled, and is not run at these times".to_owned()),
    })
}

/// A schedule that no job has yet: it is held to what a new job's is held to.
fn typed(
    schedule: Value,
    anchor: UnixMs,
    zone: Option<TimeZone>,
    from: UnixMs,
    now: UnixMs,
) -> Result<Subject, Failure> {
    let schedule = Schedule::parse(schedule, anchor).map_err(|error| match error.hint() {
        Some(hint) => Failure::with_hint(error.to_string(), hint),
        None => Failure::error(error.to_string()),
    })?;
    let host_zone = zone.unwrap_or_else(this_machines_zone);
    let nobody = JobId::random();
    let seen_from = if schedule.is_one_shot() { now } else { from };
    check_new(&schedule, &nobody, &host_zone, seen_from).map_err(|error| refusal(&error))?;
    let text = describe_for(&schedule, None, host_zone.iana_name());
    let (exact, window) = without_stagger(schedule);
    let timetable = Timetable::new(&exact, &nobody, &host_zone).map_err(|error| refusal(&error))?;
    let remark = (window > 1).then(|| {
        let window = format_duration(Duration::from_millis(window));
        format!("these are the base times; each job's own offset, less than {window}, is added to them")
    });
    Ok(Subject { text, zone: timetable.zone().cloned().unwrap_or(host_zone), timetable, remark })
}

/// The schedule at its base times, and the window that its jobs would be spread over.
pub(super) fn without_stagger(schedule: Schedule) -> (Schedule, u64) {
    match schedule {
        Schedule::Cron { expr, tz, stagger_ms, dst } => {
            let window = stagger_ms.unwrap_or_else(|| default_stagger_ms(&expr));
            (Schedule::Cron { expr, tz, stagger_ms: Some(0), dst }, window)
        }
        other => (other, 0),
    }
}

pub(super) fn this_machines_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or_else(|error| {
        output::message("warning", &format!("this machine's time zone cannot be told, UTC is used: {error}"));
        TimeZone::UTC
    })
}

fn refusal(error: &ScheduleError) -> Failure {
    match error.hint() {
        Some(hint) => Failure::with_hint(error.to_string(), hint),
        None => Failure::error(error.to_string()),
    }
}

/// The schedule, then a line for each instant, and for each change of clocks that touches what is shown.
fn told(subject: &Subject, due: &[UnixMs], from: UnixMs, now: UnixMs) -> String {
    let mut lines = vec![subject.text.clone()];
    let locals: Vec<String> = due.iter().map(|due| local(*due, &subject.zone)).collect();
    let utcs: Vec<String> = due.iter().map(|due| utc(*due)).collect();
    let width = |texts: &[String]| texts.iter().map(String::len).max().unwrap_or(0);
    let (local_width, utc_width) = (width(&locals), width(&utcs));
    let mut changes = changes(subject, due, from).into_iter().peekable();
    for ((instant, local), utc) in due.iter().zip(&locals).zip(&utcs) {
        while let Some(change) = changes.next_if(|change| shown_from(subject, change) <= *instant) {
            lines.push(format!("note: {}", change.note));
        }
        let away = moment::relative(*instant, now);
        lines.push(format!("{local:local_width$}  {utc:utc_width$}  {away}"));
    }
    lines.join("\n")
}

fn changes(subject: &Subject, due: &[UnixMs], from: UnixMs) -> Vec<Transition> {
    due.last().map(|last| subject.timetable.transitions_between(from, *last)).unwrap_or_default()
}

/// From which instant on a change touches what is shown: its own, and the stagger of the job.
fn shown_from(subject: &Subject, change: &Transition) -> UnixMs {
    change.begins().plus(subject.timetable.stagger_offset())
}

/// Why there are fewer instants than were asked for.
fn scarcity(found: usize, wanted: usize, from: UnixMs) -> Option<String> {
    match found {
        0 => Some(format!("it is never due after {}", utc(from))),
        _ if found < wanted => Some("it is not due any more after that".to_owned()),
        _ => None,
    }
}

/// `2026-02-18 15:00:00 +01:00 CET`, with milliseconds where there are some.
fn local(instant: UnixMs, zone: &TimeZone) -> String {
    let form = if is_whole(instant) { "%Y-%m-%d %H:%M:%S %:z %Z" } else { "%Y-%m-%d %H:%M:%S%.3f %:z %Z" };
    match Timestamp::from_millisecond(instant.as_millis()) {
        Ok(at) => at.to_zoned_datetime(zone.clone()).strftime(form).to_string(),
        Err(_) => instant.to_string(),
    }
}

/// RFC 3339 in UTC, with milliseconds where there are some.
fn utc(instant: UnixMs) -> String {
    match Timestamp::from_millisecond(instant.as_millis()) {
        Ok(at) if is_whole(instant) => at.to_string(),
        _ => instant.to_rfc3339(),
    }
}

fn is_whole(instant: UnixMs) -> bool {
    instant.as_millis() % 1000 == 0
}
