//! What the gateway has promised: each answer it gave before it died must hold after.

use std::collections::{BTreeMap, HashSet};

use clawhook_model::{Schedule, UnixMs};
use serde_json::{Value, json};

use super::destinations::DestinationPromises;

/// What a job is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Due at each point of its grid, from its creation to the end of the test.
    Grid,
    /// Due once.
    Once,
    /// Made to be removed again.
    Spare,
    /// Never due; run by hand, many at a time.
    ByHand,
}

/// One job that was asked for. Its name is used for no other.
#[derive(Debug, Clone)]
pub(super) struct JobPromise {
    pub(super) role: Role,
    pub(super) schedule: Schedule,
    pub(super) runs_a_command: bool,
    /// Known once the creation was answered, or the job was found later.
    pub(super) id: Option<String>,
    pub(super) created_at: Option<UnixMs>,
    /// The last revision that was asked for, and the last that was answered.
    pub(super) asked_revision: u64,
    pub(super) kept_revision: u64,
    pub(super) ending: Option<Ending>,
}

/// The end of a job's being due: when it was asked for, and when that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) asked_at: UnixMs,
    pub(super) answered_at: Option<UnixMs>,
}

/// A run that was answered with 202.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcceptedRun {
    pub(super) run_id: String,
    pub(super) job: String,
}

/// A replay that was answered with 202.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcceptedReplay {
    pub(super) id: String,
    /// Whether its end was asked for, and whether that was answered.
    pub(super) cancel_asked: bool,
    pub(super) cancelled: bool,
}

/// All that was promised, and what was already seen to be broken.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) jobs: BTreeMap<String, JobPromise>,
    pub(super) accepted_runs: Vec<AcceptedRun>,
    pub(super) accepted_replays: Vec<AcceptedReplay>,
    /// Events of which somebody asked that their delivery be cancelled: nobody waits for those.
    pub(super) cancelled_events: HashSet<String>,
    pub(super) destinations: DestinationPromises,
    pub(super) broken: Vec<String>,
}

impl Promises {
    /// Notes that a job is asked for, before the request is sent.
    pub(super) fn ask_for(&mut self, name: &str, role: Role, schedule: Schedule, runs_a_command: bool) {
        let promise = JobPromise {
            role,
            schedule,
            runs_a_command,
            id: None,
            created_at: None,
            asked_revision: 0,
            kept_revision: 0,
            ending: None,
        };
        self.jobs.insert(name.to_owned(), promise);
    }

    /// Jobs with a role that are known to be there, and are not to go.
    pub(super) fn present(&self, role: Role) -> Vec<(String, String)> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.role == role && job.ending.is_none())
            .filter_map(|(name, job)| Some((name.clone(), job.id.clone()?)))
            .collect()
    }

    /// Compares a list of all jobs with what was promised, and learns of jobs whose creation was not answered.
    pub(super) fn compare(&mut self, listed: &[Value]) {
        let mut found: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for job in listed {
            found.entry(job["name"].as_str().unwrap_or_default()).or_default().push(job);
        }
        for (name, promise) in &mut self.jobs {
            let there = found.remove(name.as_str()).unwrap_or_default();
            match there.as_slice() {
                [] => self.broken.extend(promise.why_it_should_be_there(name)),
                [job] => self.broken.extend(promise.compare(name, job)),
                several => self.broken.push(format!("the job `{name}` is there {} times", several.len())),
            }
        }
        let strangers = found.into_keys().map(|name| format!("nobody asked for the job `{name}`"));
        self.broken.extend(strangers);
    }
}

impl AcceptedReplay {
    /// What of a replay's end is not as it was promised.
    pub(super) fn compare(&self, status: u16, shown: &Value) -> Option<String> {
        let ends: &[&str] = match (self.cancelled, self.cancel_asked) {
            (true, _) => &["cancelled"],
            (false, true) => &["cancelled", "done"],
            (false, false) => &["done"],
        };
        let is_right = status == 200
            && shown["state"].as_str().is_some_and(|state| ends.contains(&state))
            && shown["outcomes"]["open"] == 0
            && shown["outcomes"]["dead"] == 0;
        (!is_right).then(|| {
            format!("the replay {} was to end as {ends:?}, and is shown as {status} {shown}", self.id)
        })
    }
}

impl JobPromise {
    fn why_it_should_be_there(&self, name: &str) -> Option<String> {
        // A one-shot goes by itself, and one that is to be removed may be gone already.
        let may_be_gone = self.id.is_none() || self.role == Role::Once || self.ending.is_some();
        (!may_be_gone).then(|| format!("the job `{name}` was stored and is gone"))
    }

    fn compare(&mut self, name: &str, job: &Value) -> Vec<String> {
        let mut broken = Vec::new();
        let id = job["id"].as_str().unwrap_or_default().to_owned();
        match &self.id {
            Some(known) if *known != id => {
                broken.push(format!("the job `{name}` was stored as {known} and is there as {id}"));
            }
            _ => self.id = Some(id),
        }
        self.created_at = self.created_at.or(job["createdAtMs"].as_i64().map(UnixMs::from_millis));
        let removed =
            self.role == Role::Spare && self.ending.is_some_and(|ending| ending.answered_at.is_some());
        if removed {
            broken.push(format!("the job `{name}` was removed and is there again"));
        }
        let revision = job["description"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        if !(self.kept_revision..=self.asked_revision).contains(&revision) {
            broken.push(format!(
                "the job `{name}` is at revision {revision}, after revision {} was answered and {} asked for",
                self.kept_revision, self.asked_revision
            ));
        }
        self.kept_revision = self.kept_revision.max(revision);
        broken
    }
}

/// A job that says a text when it is due.
pub(super) fn system_event(name: &str, schedule: &Schedule, delivery: &Value) -> Value {
    json!({
        "name": name,
        "schedule": schedule,
        "payload": { "kind": "systemEvent", "text": format!("{name} says hello") },
        "wakeMode": "next-heartbeat",
        "delivery": delivery,
    })
}

/// The program of the jobs that run a command: it leaves a file that only this execution can have made, works for a
/// while, and says the file's name.
const COMMAND: &str = r#"marker=$(mktemp "$MARKERS/$JOB.XXXXXXXXXX") && sleep "$NAP" && echo "$marker""#;

/// A job that runs a command when it is due.
pub(super) fn command(name: &str, schedule: &Schedule, nap: &str, markers: &str, delivery: &Value) -> Value {
    json!({
        "name": name,
        "schedule": schedule,
        "payload": {
            "kind": "command",
            "argv": ["/bin/sh", "-c", COMMAND],
            "env": { "MARKERS": markers, "JOB": name, "NAP": nap },
            "timeoutSeconds": 30,
        },
        "delivery": delivery,
    })
}
