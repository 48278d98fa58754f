//! The account at the end: what was written down, what arrived, and what was executed must tell one story.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use clawhook_model::{JobId, UnixMs};
use clawhook_schedule::Timetable;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::promises::{JobPromise, Promises, Role};
use super::receiver::Request;
use super::store_copy::{EventRow, InterruptedAttempt, OccurrenceRow, RunRow, StoreCopy, StoreCopyError};

/// An instant that is due while its job is being switched off may or may not be run any more.
const SWITCHING_OFF: Duration = Duration::from_millis(500);
/// File systems stamp files with a clock that ticks every few milliseconds.
const FILE_CLOCK_TICK: Duration = Duration::from_millis(10);

/// Everything that is known at the end.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) promises: &'a Promises,
    pub(super) requests: &'a [Request],
    /// When each life began; between any two of them lies a death.
    pub(super) lives: &'a [UnixMs],
    pub(super) runs: Vec<RunRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) occurrences: Vec<OccurrenceRow>,
    pub(super) interrupted_attempts: Vec<InterruptedAttempt>,
    pub(super) markers: Vec<Marker>,
}

/// What one execution of a command left.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) job: String,
    pub(super) name: String,
    pub(super) made_at: UnixMs,
}

/// Numbers for the table.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) ran: usize,
    pub(super) skipped: usize,
    pub(super) missed: usize,
    pub(super) runs: usize,
    pub(super) manual_runs: usize,
    pub(super) interrupted_runs: usize,
    pub(super) executions: usize,
    pub(super) events: usize,
    /// Deliveries that replays made.
    pub(super) sent_again: usize,
    pub(super) requests: usize,
    pub(super) interrupted_attempts: usize,
    /// Times that the receiver had an event and got it again.
    pub(super) duplicates: usize,
    /// Of these, the times that it had answered 2xx before.
    pub(super) duplicates_after_2xx: usize,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(
        store: &StoreCopy,
        markers: &Path,
        promises: &'a Promises,
        requests: &'a [Request],
        lives: &'a [UnixMs],
    ) -> Result<Self, StoreCopyError> {
        Ok(Self {
            promises,
            requests,
            lives,
            runs: store.runs()?,
            events: store.events()?,
            occurrences: store.occurrences()?,
            interrupted_attempts: store.interrupted_attempts()?,
            markers: read_markers(markers)?,
        })
    }

    /// Everything that does not hold, in words.
    pub(super) fn examine(&self) -> Vec<String> {
        let mut broken = Vec::new();
        self.examine_occurrences(&mut broken);
        self.examine_runs(&mut broken);
        self.examine_deliveries(&mut broken);
        self.examine_requests(&mut broken);
        self.examine_executions(&mut broken);
        self.examine_interrupted_attempts(&mut broken);
        broken
    }

    /// Each due instant of each job has exactly one record, and nothing else has one.
    fn examine_occurrences(&self, broken: &mut Vec<String>) {
        let mut recorded: BTreeMap<&str, Vec<UnixMs>> = BTreeMap::new();
        for occurrence in &self.occurrences {
            recorded.entry(&occurrence.job_id).or_default().push(occurrence.due_at);
        }
        let id_by_name: HashMap<&str, &str> =
            self.runs.iter().map(|run| (run.job_name.as_str(), run.job_id.as_str())).collect();
        for (name, promise) in &self.promises.jobs {
            let Some(id) = promise.id.as_deref().or(id_by_name.get(name.as_str()).copied()) else { continue };
            let records = recorded.remove(id).unwrap_or_default();
            if let Err(why) = compare_with_timetable(id, promise, &records) {
                broken.push(format!("the occurrences of the job `{name}` ({id}): {why}"));
            }
        }
        broken.extend(
            recorded.into_keys().map(|id| format!("there are occurrences of {id}, which nobody asked for")),
        );
    }

    /// Each run is over, and each that was accepted is there.
    fn examine_runs(&self, broken: &mut Vec<String>) {
        for run in self.runs.iter().filter(|run| run.state != "finished") {
            broken.push(format!("the run {} of `{}` is still {}", run.id, run.job_name, run.state));
        }
        let by_id: HashMap<&str, &RunRow> = self.runs.iter().map(|run| (run.id.as_str(), run)).collect();
        for accepted in &self.promises.accepted_runs {
            match by_id.get(accepted.run_id.as_str()) {
                None => broken.push(format!(
                    "the run {} of `{}` was accepted and is gone",
                    accepted.run_id, accepted.job
                )),
                Some(run) if run.job_name != accepted.job || run.trigger != "manual" => {
                    broken.push(format!(
                        "the run {} was accepted for `{}` and belongs to another",
                        run.id, accepted.job
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// Each event has arrived wherever it was to go, whole and as it was stored.
    fn examine_deliveries(&self, broken: &mut Vec<String>) {
        let arrived: HashSet<(&str, &str)> = self
            .requests
            .iter()
            .filter(|request| request.behaviour.is_2xx() && request.answered && request.body.is_some())
            .map(|request| (request.event_id.as_str(), request.path.as_str()))
            .collect();
        for event in &self.events {
            if event.state != "delivered" {
                let EventRow { id, run_id, path, state, .. } = event;
                broken.push(format!("{id} of {run_id} is {state} and not delivered to {path}"));
            }
            if !arrived.contains(&(&event.id, &event.path)) {
                broken.push(format!("{} of {} never got a 2xx at {}", event.id, event.run_id, event.path));
            }
        }
    }

    /// Each request is one of a stored event: same id, same bytes, a good signature, and a number above the last.
    fn examine_requests(&self, broken: &mut Vec<String>) {
        let keyed = self.events.iter().map(|event| ((event.id.as_str(), event.path.as_str()), event));
        let events: HashMap<(&str, &str), &EventRow> = keyed.collect();
        let runs: HashMap<&str, &RunRow> = self.runs.iter().map(|run| (run.id.as_str(), run)).collect();
        let mut last_attempts: HashMap<(&str, &str), u32> = HashMap::new();
        for request in self.requests {
            let (id, path, attempt) = (request.event_id.as_str(), request.path.as_str(), request.attempt);
            let Some(event) = events.get(&(id, path)) else {
                broken.push(format!("a request for {id} came to {path}, which the store does not know"));
                continue;
            };
            let last = last_attempts.insert((id, path), attempt).unwrap_or(0);
            if attempt <= last {
                broken.push(format!("attempt {attempt} of {id} came after attempt {last}"));
            }
            if attempt > event.attempts {
                broken.push(format!(
                    "attempt {attempt} of {id} came, and the store knows of {}",
                    event.attempts
                ));
            }
            if let Some(fault) = &request.signature_fault {
                broken.push(format!("attempt {attempt} of {id} is not well signed: {fault}"));
            }
            if request.body.as_ref().is_some_and(|body| *body != event.body) {
                broken.push(format!("attempt {attempt} of {id} does not carry the stored bytes"));
            }
        }
        for event in &self.events {
            if let Some(why) = runs.get(event.run_id.as_str()).and_then(|run| contradiction(event, run)) {
                broken.push(format!("{} of {} {why}", event.id, event.run_id));
            }
        }
    }

    /// Only a death interrupts an attempt: one that is voided while its own gateway lives is sent twice for nothing.
    fn examine_interrupted_attempts(&self, broken: &mut Vec<String>) {
        for attempt in &self.interrupted_attempts {
            if !self.lives.iter().any(|begun| (attempt.begun_at..=attempt.voided_at).contains(begun)) {
                let InterruptedAttempt { event_id, number, begun_at, voided_at } = attempt;
                broken.push(format!(
                    "attempt {number} of {event_id}, begun at {begun_at}, was voided at {voided_at} by the very gateway that made it"
                ));
            }
        }
    }

    /// No run had its command executed twice, and each that is recorded as ok had it executed.
    fn examine_executions(&self, broken: &mut Vec<String>) {
        let mut runs: HashMap<&str, Vec<&RunRow>> = HashMap::new();
        for run in self.runs.iter().filter(|run| run.started_at.is_some()) {
            runs.entry(&run.job_name).or_default().push(run);
        }
        let mut executed: HashMap<&str, Vec<&Marker>> = HashMap::new();
        for marker in &self.markers {
            // A job's runs never overlap, so an execution belongs to the last run that had begun.
            let begun = |run: &&&RunRow| run.started_at <= Some(marker.made_at.plus(FILE_CLOCK_TICK));
            let run = runs.get(marker.job.as_str()).and_then(|runs| runs.iter().rev().find(begun));
            match run {
                Some(run) => executed.entry(&run.id).or_default().push(marker),
                None => broken.push(format!("the command of `{}` was executed without a run", marker.job)),
            }
        }
        let runs_a_command = |run: &&RunRow| {
            self.promises.jobs.get(&run.job_name).is_some_and(|promise| promise.runs_a_command)
        };
        for run in self.runs.iter().filter(runs_a_command) {
            let markers = executed.remove(run.id.as_str()).unwrap_or_default();
            let names: Vec<&str> = markers.iter().map(|marker| marker.name.as_str()).collect();
            let status = run.status.as_deref().unwrap_or_default();
            let said = run.outcome["summary"].as_str().unwrap_or_default().trim();
            let is_right = match (status, names.as_slice()) {
                ("ok", [only]) => said.ends_with(only),
                ("error", [_] | []) => run.outcome["error"]["reason"] == "interrupted",
                ("skipped", []) => true,
                _ => false,
            };
            if !is_right {
                broken.push(format!(
                    "the run {} of `{}` is recorded as {status}, saying '{said}', {}, and executed {names:?}",
                    run.id, run.job_name, run.outcome["error"]
                ));
            }
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let outcomes = |outcome: &str| self.occurrences.iter().filter(|row| row.outcome == outcome).count();
        let mut tally = Tally {
            ran: outcomes("ran"),
            skipped: outcomes("skipped"),
            missed: outcomes("missed"),
            runs: self.runs.len(),
            manual_runs: self.runs.iter().filter(|run| run.trigger == "manual").count(),
            interrupted_runs: self
                .runs
                .iter()
                .filter(|run| run.outcome["error"]["reason"] == "interrupted")
                .count(),
            executions: self.markers.len(),
            events: self.events.iter().filter(|event| event.required).count(),
            sent_again: self.events.iter().filter(|event| !event.required).count(),
            requests: self.requests.len(),
            interrupted_attempts: self.interrupted_attempts.len(),
            ..Tally::default()
        };
        let (mut had, mut answered) = (HashSet::new(), HashSet::new());
        for request in self.requests.iter().filter(|request| request.body.is_some()) {
            let delivery = (&request.event_id, &request.path);
            tally.duplicates += usize::from(!had.insert(delivery));
            tally.duplicates_after_2xx += usize::from(answered.contains(&delivery));
            if request.behaviour.is_2xx() && request.answered {
                answered.insert(delivery);
            }
        }
        tally
    }
}

/// Compares the records of a job with what its timetable says.
fn compare_with_timetable(id: &str, promise: &JobPromise, records: &[UnixMs]) -> Result<(), String> {
    if promise.role == Role::ByHand {
        return if records.is_empty() { Ok(()) } else { Err("it is disabled, and was due".to_owned()) };
    }
    let id: JobId = id.parse().map_err(|error| format!("{error}"))?;
    // No schedule of this test depends on the zone.
    let timetable =
        Timetable::new(&promise.schedule, &id, &TimeZone::UTC).map_err(|error| error.to_string())?;
    let ending = promise.ending.map(|ending| (ending.asked_at, ending.answered_at));
    let (surely_due_until, until) = match (promise.role, ending) {
        (Role::Grid, Some((asked_at, answered_at))) => {
            let slack = i64::try_from(SWITCHING_OFF.as_millis()).unwrap_or(0);
            (asked_at.plus_millis(-slack), answered_at.unwrap_or(UnixMs::from_millis(i64::MAX)))
        }
        // A spare may be removed before the gateway has caught up with what it missed while it was dead.
        (Role::Spare, Some((_, answered_at))) => {
            (UnixMs::EPOCH, answered_at.unwrap_or(UnixMs::from_millis(i64::MAX)))
        }
        (Role::Once, _) => (UnixMs::from_millis(i64::MAX), UnixMs::from_millis(i64::MAX)),
        _ => return Err("it was never switched off".to_owned()),
    };
    let before_the_first = match (promise.created_at, records.first()) {
        // A one-shot is due once, however late it was stored.
        _ if promise.role == Role::Once => UnixMs::EPOCH,
        (Some(created_at), _) => created_at,
        (None, Some(first)) => first.plus_millis(-1),
        (None, None) => return Ok(()),
    };
    let mut expected = timetable.due_between(before_the_first, until);
    for record in records {
        match expected.next() {
            Some(due) if due == *record => {}
            Some(due) if due < *record => return Err(format!("{due} has no record, and {record} has")),
            _ => return Err(format!("{record} has a record, and was not due")),
        }
    }
    match expected.next() {
        Some(due) if due <= surely_due_until => {
            Err(format!("{due} has no record; the last is {:?} of {}", records.last(), records.len()))
        }
        _ => Ok(()),
    }
}

/// What an event says about its run that is not so.
fn contradiction(event: &EventRow, run: &RunRow) -> Option<&'static str> {
    let Ok(body) = serde_json::from_slice::<Value>(&event.body) else { return Some("is no JSON") };
    let facts = [
        (body["eventId"] == event.id.as_str(), "carries another event's id"),
        (body["runId"] == run.id.as_str(), "carries another run's id"),
        (body["jobId"] == run.job_id.as_str(), "carries another job's id"),
        (body["trigger"] == run.trigger.as_str(), "tells of another trigger"),
        (body["scheduledAtMs"].as_i64() == run.scheduled_at, "tells of another instant"),
        (body["status"].as_str() == run.status.as_deref(), "tells of another status"),
    ];
    facts.into_iter().find(|(holds, _)| !holds).map(|(_, contradiction)| contradiction)
}

fn read_markers(folder: &Path) -> std::io::Result<Vec<Marker>> {
    std::fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let made = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let made_at = UnixMs::EPOCH.plus(made);
            let job = name.rsplit_once('.').map(|(job, _)| job.to_owned()).unwrap_or_default();
            Ok(Marker { job, name, made_at })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clawhook_model::Schedule;

    use super::super::promises::Ending;
    use super::*;

    fn at(ms: i64) -> UnixMs {
        UnixMs::from_millis(ms)
    }

    /// A job on each second from 1000 on, switched off at 6 s.
    fn each_second(role: Role) -> JobPromise {
        JobPromise {
            role,
            schedule: Schedule::Every { every_ms: 1000, anchor_ms: at(0) },
            runs_a_command: false,
            id: Some("job".to_owned()),
            created_at: Some(at(500)),
            asked_revision: 0,
            kept_revision: 0,
            ending: Some(Ending { asked_at: at(6000), answered_at: Some(at(6010)) }),
        }
    }

    fn compare(role: Role, records: &[i64]) -> Result<(), String> {
        let records: Vec<UnixMs> = records.iter().copied().map(at).collect();
        compare_with_timetable("job", &each_second(role), &records)
    }

    #[test]
    fn i01_a_gap_a_stray_record_and_an_early_end_are_found() {
        assert_eq!(compare(Role::Grid, &[1000, 2000, 3000, 4000, 5000]), Ok(()));
        assert!(compare(Role::Grid, &[1000, 3000, 4000, 5000]).unwrap_err().contains("has no record"));
        assert!(compare(Role::Grid, &[1000, 1500, 2000]).unwrap_err().contains("was not due"));
        assert!(compare(Role::Grid, &[1000, 2000]).unwrap_err().contains("the last is"));
        assert!(compare(Role::Grid, &[1000, 2000, 3000, 4000, 5000, 6000, 7000]).is_err());
    }

    #[test]
    fn what_is_due_while_its_job_is_switched_off_may_or_may_not_have_a_record() {
        assert_eq!(compare(Role::Grid, &[1000, 2000, 3000, 4000, 5000, 6000]), Ok(()));
        assert_eq!(compare(Role::Spare, &[1000, 2000]), Ok(()));
        assert!(compare(Role::Spare, &[2000]).is_err());
    }
}
