//! What becomes of a job that is due: a pure decision of (job, instant).

use clawhook_model::{Job, Trigger, UnixMs};
use clawhook_schedule::Timetable;
use clawhook_store::OccurrenceOutcome;
use jiff::tz::TimeZone;

/// How many instants one claim records at most; a longer absence is worked off in several.
const MOST_AT_ONCE: usize = 1000;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Instants that leave a record and no run.
    pub(crate) passed: Vec<(UnixMs, OccurrenceOutcome)>,
    /// The instant that is run, and what that run is.
    pub(crate) run: Option<(UnixMs, Trigger)>,
    /// The next instant to wait for.
    pub(crate) next_run_at: Option<UnixMs>,
}

/// Decides for `job`, which waits for `due` and `due <= now`.
///
/// Of several instants that have passed, the last is run and stands for the others, which are recorded as missed: one
/// catch-up run, as OpenClaw does it (contract §3.7). While the job's last run is still under way, all of them are
/// recorded as skipped: a job never overlaps itself.
pub(crate) fn plan(job: &Job, due: UnixMs, now: UnixMs, started_at: UnixMs, host_zone: &TimeZone) -> Plan {
    let timetable = match Timetable::new(&job.definition.schedule, &job.id, host_zone) {
        Ok(timetable) => timetable,
        Err(error) => {
            // It was good when it was saved, so the zone data changed under it: this instant is run, the next unknown.
            tracing::error!(job = %job.id, %error, "the schedule can no longer be read; the job will not be due again");
            return Plan { passed: Vec::new(), run: Some((due, Trigger::Schedule)), next_run_at: None };
        }
    };
    let mut instants: Vec<UnixMs> =
        std::iter::once(due).chain(timetable.due_between(due, now)).take(MOST_AT_ONCE + 1).collect();
    if instants.len() > MOST_AT_ONCE {
        let next_run_at = instants.pop();
        let missed = OccurrenceOutcome::Missed(
            "the gateway was not running; a later instant is run instead".to_owned(),
        );
        let passed = instants.into_iter().map(|instant| (instant, missed.clone())).collect();
        return Plan { passed, run: None, next_run_at };
    }
    let last = instants.last().copied().unwrap_or(due);
    let next_run_at = timetable.next_after(last.max(now));
    if job.state.active_run.is_some() {
        let skipped = OccurrenceOutcome::Skipped("the job's previous run was still under way".to_owned());
        let passed = instants.into_iter().map(|instant| (instant, skipped.clone())).collect();
        return Plan { passed, run: None, next_run_at };
    }
    instants.pop();
    let is_late = !instants.is_empty() || last < started_at;
    let trigger = if is_late { Trigger::CatchUp } else { Trigger::Schedule };
    let missed = OccurrenceOutcome::Missed(format!("caught up by the run for {last}"));
    let passed = instants.into_iter().map(|instant| (instant, missed.clone())).collect();
    Plan { passed, run: Some((last, trigger)), next_run_at }
}

#[cfg(test)]
mod tests {
    use clawhook_model::{JobDefinition, JobState, RunId};
    use serde_json::json;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> UnixMs {
        UnixMs::from_millis(minutes * MINUTE)
    }

    fn every_minute() -> Job {
        let definition = json!({
            "schedule": { "kind": "every", "everyMs": MINUTE, "anchorMs": 0 },
            "payload": { "kind": "systemEvent", "text": "x" }
        });
        Job {
            id: "job-1".parse().unwrap(),
            definition: JobDefinition::parse(definition, at(0)).unwrap(),
            created_at: at(0),
            updated_at: at(0),
            state: JobState { next_run_at: Some(at(1)), ..JobState::default() },
        }
    }

    fn decide(job: &Job, now: UnixMs) -> Plan {
        plan(job, at(1), now, at(0), &TimeZone::UTC)
    }

    #[test]
    fn an_instant_that_has_come_is_run_and_the_next_one_is_waited_for() {
        let plan = decide(&every_minute(), at(1).plus_millis(20));
        assert_eq!(
            plan,
            Plan { passed: vec![], run: Some((at(1), Trigger::Schedule)), next_run_at: Some(at(2)) }
        );
    }

    #[test]
    fn i01_each_missed_instant_leaves_a_record_and_the_last_one_is_run() {
        let plan = decide(&every_minute(), at(4).plus_millis(1));
        let missed: Vec<UnixMs> = plan.passed.iter().map(|(instant, _)| *instant).collect();
        assert_eq!(missed, [at(1), at(2), at(3)]);
        assert_eq!((plan.run, plan.next_run_at), (Some((at(4), Trigger::CatchUp)), Some(at(5))));
    }

    #[test]
    fn an_instant_from_before_the_start_is_caught_up() {
        let plan = plan(
            &every_minute(),
            at(1),
            at(1).plus_millis(30_000),
            at(1).plus_millis(20_000),
            &TimeZone::UTC,
        );
        assert_eq!(plan.run, Some((at(1), Trigger::CatchUp)));
    }

    #[test]
    fn a_job_never_overlaps_itself_and_says_so() {
        let mut job = every_minute();
        job.state.active_run = Some(RunId::new(at(0)));
        let plan = decide(&job, at(2));
        assert!(plan.passed.iter().all(|(_, outcome)| matches!(outcome, OccurrenceOutcome::Skipped(_))));
        assert_eq!((plan.passed.len(), plan.run, plan.next_run_at), (2, None, Some(at(3))));
    }

    #[test]
    fn i01_a_long_absence_is_worked_off_in_steps_and_loses_no_instant() {
        let mut job = every_minute();
        let now = at(2_500);
        let (mut recorded, mut due) = (Vec::new(), at(1));
        loop {
            job.state.next_run_at = Some(due);
            let plan = plan(&job, due, now, now, &TimeZone::UTC);
            recorded.extend(plan.passed.iter().map(|(instant, _)| *instant));
            due = plan.next_run_at.unwrap();
            if let Some((instant, _)) = plan.run {
                recorded.push(instant);
                break;
            }
        }
        let all: Vec<UnixMs> = (1..=2_500).map(at).collect();
        assert_eq!((recorded, due), (all, at(2_501)));
    }
}
