//! What is asked of the gateway about sending once more, and about sending no more.

use std::io;

use clawhook_clock::{Clock, SystemClock};
use serde_json::{Value, json};

use super::api::{Answer, Api};
use super::promises::AcceptedReplay;
use super::receiver::DOWN;
use super::work::{Worker, ids};

/// How far back a range reaches: a few events of one job, and some dozens of all.
const RECENT_MS: i64 = 3_000;
const VERY_RECENT_MS: i64 = 1_000;

impl Worker {
    /// Ends a delivery that its job asked for: one that waits, where there is one. A replay brings it back at the end.
    pub(super) fn cancel_delivery(&mut self, api: &Api) -> io::Result<()> {
        let waiting = api.get("/api/v1/deliveries?state=waiting,pending&limit=20")?;
        let own: Vec<&Value> = waiting.body["deliveries"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["required"] == true)
            .collect();
        let Some(one) = self.chance.pick(&own).copied() else { return self.retry_delivery(api) };
        let (id, event) =
            (one["id"].as_str().unwrap_or_default(), one["eventId"].as_str().unwrap_or_default());
        self.promises.cancelled_events.insert(event.to_owned());
        let answer = api.post(&format!("/api/v1/deliveries/{id}/cancel"), None)?;
        // In the meantime it may have been sent: then there is nothing to end.
        self.expect_one_of("a cancellation", &[200, 409], &answer);
        Ok(())
    }

    /// Sends one delivery once more: a cancelled one to its own receiver, or a delivered one to another.
    pub(super) fn replay_delivery(&mut self, api: &Api) -> io::Result<()> {
        let cancelled = ids(&api.get("/api/v1/deliveries?state=cancelled&limit=20")?.body["deliveries"]);
        if let Some(id) = self.chance.pick(&cancelled).cloned() {
            let answer = api.post(&format!("/api/v1/deliveries/{id}/replay"), None)?;
            // Somebody else, a range, may have been faster.
            self.expect_one_of("the replay of a cancelled delivery", &[202, 409], &answer);
            return Ok(());
        }
        let delivered = ids(&api.get("/api/v1/deliveries?state=delivered&limit=20")?.body["deliveries"]);
        let Some(id) = self.chance.pick(&delivered).cloned() else { return Ok(()) };
        let to = self.elsewhere("one");
        let answer = api.post(&format!("/api/v1/deliveries/{id}/replay"), Some(&json!({ "to": to })))?;
        self.expect("the replay of a delivery", 202, &answer);
        Ok(())
    }

    /// Sends the result of a run once more.
    pub(super) fn replay_run(&mut self, api: &Api) -> io::Result<()> {
        let runs = api.get("/api/v1/runs?limit=20")?;
        let runs = runs.body["entries"].as_array().cloned().unwrap_or_default();
        let Some(run) = self.chance.pick(&runs).and_then(|run| run["runId"].as_str()) else { return Ok(()) };
        let run = run.to_owned();
        let to = self.elsewhere("run");
        let answer = api.post(&format!("/api/v1/runs/{run}/replay"), Some(&json!({ "to": to })))?;
        // It may not be over yet.
        self.expect_one_of("the replay of a run", &[202, 409], &answer);
        Ok(())
    }

    /// Sends a range once more: what was cancelled, or what a job has delivered lately.
    pub(super) fn replay_range(&mut self, api: &Api) -> io::Result<()> {
        if self.chance.within(0..=2) == 0 {
            return self.begin_replay(api, &json!({ "filter": { "states": ["cancelled"] } }));
        }
        let jobs = self.promises.present(super::promises::Role::Grid);
        let Some((_, job)) = self.chance.pick(&jobs).cloned() else { return Ok(()) };
        let since = SystemClock.now().as_millis() - RECENT_MS;
        let to = self.elsewhere("range");
        let filter = json!({ "jobId": job, "states": ["delivered"], "sinceMs": since });
        self.begin_replay(api, &json!({ "filter": filter, "to": to, "perSecond": 20 }))
    }

    /// Ends a replay: one that goes on, where there is one.
    pub(super) fn cancel_replay(&mut self, api: &Api) -> io::Result<()> {
        let running = ids(&api.get("/api/v1/replays?state=running")?.body["replays"]);
        let Some(id) = self.chance.pick(&running).cloned() else {
            let since = SystemClock.now().as_millis() - RECENT_MS;
            let to = self.elsewhere("slow");
            let filter = json!({ "states": ["delivered"], "sinceMs": since });
            return self.begin_replay(api, &json!({ "filter": filter, "to": to, "perSecond": 5 }));
        };
        if let Some(accepted) = self.promises.accepted_replays.iter_mut().find(|accepted| accepted.id == id) {
            accepted.cancel_asked = true;
        }
        let answer = api.post(&format!("/api/v1/replays/{id}/cancel"), None)?;
        self.expect_one_of("the end of a replay", &[200, 409], &answer);
        let accepted = self.promises.accepted_replays.iter_mut().find(|accepted| accepted.id == id);
        if let Some(accepted) = accepted.filter(|_| answer.status == 200) {
            accepted.cancelled = true;
        }
        Ok(())
    }

    /// Sends to a receiver that refuses everything for a while, so that the gateway leaves it alone and notes that.
    pub(super) fn replay_to_where_nobody_answers_well(&mut self, api: &Api) -> io::Result<()> {
        let since = SystemClock.now().as_millis() - VERY_RECENT_MS;
        self.names += 1;
        let to = format!("{}{DOWN}{}", self.hook, self.names);
        self.begin_replay(api, &json!({ "filter": { "states": ["delivered"], "sinceMs": since }, "to": to }))
    }

    /// Brings back all that was cancelled in any life.
    pub(super) fn replay_what_was_cancelled(&mut self, api: &Api) -> io::Result<()> {
        self.replays_left = 1;
        self.begin_replay(api, &json!({ "filter": { "states": ["cancelled"] } }))
    }

    fn begin_replay(&mut self, api: &Api, request: &Value) -> io::Result<()> {
        if self.replays_left == 0 {
            return Ok(());
        }
        self.replays_left -= 1;
        let answer = api.post("/api/v1/replays", Some(request))?;
        match (answer.status, answer.body["id"].as_str()) {
            (202, Some(id)) => self.promises.accepted_replays.push(AcceptedReplay {
                id: id.to_owned(),
                cancel_asked: false,
                cancelled: false,
            }),
            _ => self.wonder_at("a replay", &answer),
        }
        Ok(())
    }

    /// A place to which nothing else is sent.
    fn elsewhere(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{}/{kind}-{}", self.hook, self.names)
    }

    fn expect_one_of(&mut self, what: &str, statuses: &[u16], answer: &Answer) {
        if !statuses.contains(&answer.status) {
            self.wonder_at(what, answer);
        }
    }
}
