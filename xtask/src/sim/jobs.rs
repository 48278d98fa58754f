//! The jobs of a simulation, and what is expected of each: worked out from what people did, and not from what the
//! gateway says.

use std::collections::BTreeSet;
use std::time::Duration;

use clawhook_model::{Job, JobDefinition, JobId, Schedule, UnixMs};
use clawhook_schedule::{ScheduleError, Timetable};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::chance::Chance;

/// Expressions whose times fall into what clocks do in spring and autumn, and some that do not.
const EXPRESSIONS: [&str; 12] = [
    "0 9 * * *",
    "30 2 * * *",
    "30 1 * * *",
    "0 0 * * *",
    "0 */3 * * *",
    "15,45 1-3 * * *",
    "20 4 * * 1-5",
    "0 0 1 * *",
    "5 */6 * * *",
    "*/50 22-23 * * *",
    "59 23 * * 0",
    "0 12 */2 * *",
];
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
];
const RECEIVERS: [&str; 3] =
    ["https://one.example/hook", "https://two.example/hook", "https://three.example/hook"];

/// How long an edit may take from its beginning to its commit.
const EDITS_TAKE: Duration = Duration::from_mins(1);

/// A job, as the simulation knows it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) id: JobId,
    /// How many receivers its results go to.
    pub(super) receivers: usize,
    /// When its schedule held.
    pub(super) spans: Vec<Span>,
    /// What its owner wanted, and since when.
    pub(super) definitions: Vec<(UnixMs, JobDefinition)>,
    /// When its failures were forgiven.
    pub(super) forgiven: Vec<UnixMs>,
    /// Instants that somebody asked for after all.
    pub(super) backfilled: BTreeSet<UnixMs>,
    /// An edit of which it is not known whether it was committed.
    pub(super) edit: Option<Edit>,
}

/// A stretch in which a job was enabled with one schedule.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) schedule: Schedule,
    /// When it was begun: nothing before it can have a record, unless the clock went back.
    pub(super) since: UnixMs,
    /// The first instant that it was to be due.
    pub(super) first: UnixMs,
    /// How it ended; none while it lasts.
    pub(super) end: Option<SpanEnd>,
}

/// How a span ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanEnd {
    /// What was due before this has its record.
    pub(super) recorded_before: UnixMs,
    /// The latest that the clock had shown; nothing after it can have a record.
    pub(super) latest: UnixMs,
}

/// An edit on its way.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) at: UnixMs,
    /// Whether it switches the job on, and forgives its failures.
    pub(super) forgives: bool,
    /// What it makes of the job; none where it removes it.
    pub(super) after: Option<JobDefinition>,
    /// What it ends, where it ends something.
    pub(super) ends: Option<SpanEnd>,
    /// What it begins: the first instant that is due from then on.
    pub(super) begins: Option<(Schedule, UnixMs)>,
}

impl Watched {
    /// The edit was committed.
    pub(super) fn edited(&mut self) {
        let Some(edit) = self.edit.take() else { return };
        if edit.forgives {
            self.forgiven.push(edit.at);
        }
        if let (Some(end), Some(span)) = (edit.ends, self.open_span()) {
            span.end = Some(end);
        }
        if let Some((schedule, first)) = edit.begins {
            let since = edit.at.min(first);
            self.spans.push(Span { schedule, since, first, end: None });
        }
    }

    /// The edit was not committed.
    pub(super) fn not_edited(&mut self) {
        if self.edit.take().is_some_and(|edit| edit.after.is_some()) {
            self.definitions.pop();
        }
    }

    /// What its owner may have wanted at an instant.
    pub(super) fn wanted_at(&self, at: UnixMs) -> impl Iterator<Item = &JobDefinition> {
        let known = |(since, _): &&(UnixMs, JobDefinition)| since.plus(EDITS_TAKE) < at;
        let held = self.definitions.iter().rposition(|entry| known(&entry)).unwrap_or(0);
        let until = at.plus(EDITS_TAKE);
        self.definitions[held..].iter().filter(move |(since, _)| *since <= until).map(|(_, wanted)| wanted)
    }

    /// Whether all that its owner ever wanted is so.
    pub(super) fn always(&self, is_so: impl Fn(&JobDefinition) -> bool) -> bool {
        self.definitions.iter().all(|(_, wanted)| is_so(wanted))
    }

    fn open_span(&mut self) -> Option<&mut Span> {
        self.spans.last_mut().filter(|span| span.end.is_none())
    }
}

impl Span {
    /// The instants of the schedule from `since` on and before `until`.
    pub(super) fn instants(
        &self,
        job: &JobId,
        host_zone: &TimeZone,
        (since, until): (UnixMs, UnixMs),
    ) -> Result<Vec<UnixMs>, ScheduleError> {
        let timetable = Timetable::new(&self.schedule, job, host_zone)?;
        let before = until.plus_millis(-1);
        Ok(timetable.due_between(since.plus_millis(-1), before).collect())
    }
}

impl SpanEnd {
    /// How the span ends that lasts as `job` was read `now`: a person ends it, so that what has come is recorded.
    pub(super) fn of(job: &Job, now: UnixMs, latest: UnixMs) -> Self {
        let recorded_before = match (job.state.next_run_at, off_since(job)) {
            (Some(waits_for), None) => waits_for.max(now.plus_millis(1)),
            (Some(waits_for), Some(_)) => waits_for,
            (None, Some(off_at)) => off_at.plus_millis(1),
            (None, None) => match &job.definition.schedule {
                Schedule::At { at } => at.plus_millis(1),
                _ => latest,
            },
        };
        Self { recorded_before, latest }
    }
}

/// Since when a job is switched off by the gateway.
pub(super) fn off_since(job: &Job) -> Option<UnixMs> {
    job.state.auto_disabled.as_ref().map(|disabled| disabled.at_ms)
}

/// What becomes of a job's instants that cannot be run when they are due, by chance, in OpenClaw's form.
pub(super) fn policies(chance: &mut Chance) -> Value {
    let mut misfire = json!({ "policy": chance.pick(&["skip", "once", "each"]).copied().unwrap_or("once") });
    if misfire["policy"] == "each" {
        misfire["max"] = json!(chance.within(1..=12));
    }
    if chance.within(0..=3) == 0 {
        misfire["maxLatenessSeconds"] = json!(chance.within(60..=40_000));
    }
    let overlap = match chance.within(0..=9) {
        0..=1 => json!("skip"),
        2..=3 => json!("bufferOne"),
        4..=6 => json!({ "policy": "bufferAll", "max": chance.within(1..=20) }),
        7..=8 => json!("cancelOther"),
        _ => json!("allowAll"),
    };
    json!({ "misfire": misfire, "overlap": overlap })
}

/// A schedule by chance, in OpenClaw's form.
pub(super) fn schedule(chance: &mut Chance, now: UnixMs) -> Value {
    match chance.within(0..=9) {
        0 => {
            let ahead = Duration::from_mins(chance.within(1..=60 * 24 * 4));
            json!({ "kind": "at", "at": now.plus(ahead).to_rfc3339() })
        }
        1..=3 => {
            let minutes = chance.within(20..=60 * 30);
            let anchor = now.plus(Duration::from_mins(chance.within(0..=600))).plus_millis(-18_000_000);
            json!({ "kind": "every", "everyMs": minutes * 60_000, "anchorMs": anchor.as_millis() })
        }
        _ => {
            let expr = chance.pick(&EXPRESSIONS).copied().unwrap_or("0 9 * * *");
            let zone = chance.pick(&ZONES).copied().unwrap_or("UTC");
            let mut schedule = json!({ "kind": "cron", "expr": expr, "tz": zone });
            if chance.within(0..=2) > 0 {
                schedule["staggerMs"] = json!(chance.within(0..=1) * 240_000);
            }
            if chance.within(0..=2) == 0 {
                schedule["dst"] = json!(chance.pick(&["skip", "once"]).copied().unwrap_or("once"));
            }
            schedule
        }
    }
}

/// A job by chance, in OpenClaw's form, and how many receivers it has.
pub(super) fn definition(chance: &mut Chance, id: &JobId, now: UnixMs) -> (Value, usize) {
    let receivers = usize::try_from(chance.within(0..=2)).unwrap_or(0);
    let from = chance.within(0..=2);
    let targets: Vec<Value> = (from..)
        .take(receivers)
        .map(|place| json!({ "to": RECEIVERS[usize::try_from(place).unwrap_or(0) % RECEIVERS.len()] }))
        .collect();
    let delivery = match receivers {
        0 => json!({ "mode": "none" }),
        _ => {
            let late = chance.within(0..=1) == 1;
            json!({ "mode": "webhook", "targets": targets, "lateResults": late })
        }
    };
    let payload = match chance.within(0..=4) {
        0 => json!({ "kind": "systemEvent", "text": id, "wakeMode": "next-heartbeat" }),
        1 => json!({ "kind": "agentTurn", "message": id, "timeoutSeconds": chance.within(5..=4_000) }),
        _ => json!({ "kind": "agentTurn", "message": id }),
    };
    let policies = policies(chance);
    let definition = json!({
        "misfire": policies["misfire"],
        "overlap": policies["overlap"],
        "name": id,
        "schedule": schedule(chance, now),
        "payload": payload,
        "delivery": delivery,
        "deleteAfterRun": chance.within(0..=1) == 1,
    });
    (definition, receivers)
}
