//! The heartbeats of the agents, kept as jobs of the gateway's own, so that the ledger, runs and budgets hold for them.

use clawhook_engine::HeartbeatOptions;
use clawhook_model::{AgentId, Job, JobDefinition, JobState, Schedule, UnixMs};
use clawhook_schedule::check_new;
use serde_json::json;

use super::Verbs;
use super::jobs::{JobVerbError, first_due, job_id};

/// How the ids of these jobs begin.
const PREFIX: &str = "heartbeat-";
/// How many heartbeats are looked through; there are no more agents than that.
const MOST: usize = 10_000;

impl Verbs {
    /// Makes the store hold a job for each heartbeat of `agents`, and takes away those that are configured no more; their
    /// history stays. One that a person has switched off stays off.
    pub(crate) async fn keep_heartbeats<'a>(
        &self,
        agents: impl Iterator<Item = &'a AgentId>,
    ) -> Result<(), JobVerbError> {
        let mut wanted = Vec::new();
        for agent in agents {
            let Some(HeartbeatOptions { every, .. }) = self.with.engine.heartbeat_of(agent) else { continue };
            let now = self.with.clock.now();
            let beat = JobDefinition::heartbeat(agent, *every, now);
            let id = format!("{PREFIX}{agent}");
            self.keep_heartbeat(&id, beat, now).await?;
            wanted.push(id);
        }
        for id in self.with.store.job_ids(PREFIX, MOST).await? {
            if wanted.iter().any(|wanted| wanted == id.as_str()) {
                continue;
            }
            let job = self.with.store.job(&id).await?;
            if job.is_some_and(|job| job.definition.is_system_owned()) {
                tracing::info!(job = %id, "a heartbeat that is configured no more is removed");
                self.remove_any_job(id.as_str()).await?;
            }
        }
        Ok(())
    }

    async fn keep_heartbeat(&self, id: &str, beat: JobDefinition, now: UnixMs) -> Result<(), JobVerbError> {
        if let Err(error) = self.with.agents.check(&beat.agent(), &beat) {
            tracing::warn!(job = id, %error, hint = error.hint(), "a heartbeat is configured, and its agent cannot work");
        }
        let id = job_id(id)?;
        let Some(found) = self.with.store.job(&id).await? else {
            tracing::info!(job = %id, "a heartbeat is configured");
            let timetable = check_new(&beat.schedule, &id, &self.with.host_zone, now)?;
            let next_run_at = first_due(&beat.schedule, &timetable, now);
            let state = JobState { next_run_at, ..JobState::default() };
            let job = Job { id, definition: beat, created_at: now, updated_at: now, state };
            return Ok(self.with.store.insert_job(job).await?);
        };
        if !found.definition.is_system_owned() {
            tracing::warn!(job = %id, "a job of this id is there already, so that the agent has no heartbeat");
            return Ok(());
        }
        let (Schedule::Every { every_ms: before, .. }, Schedule::Every { every_ms, .. }) =
            (&found.definition.schedule, &beat.schedule)
        else {
            return Ok(());
        };
        if before != every_ms {
            tracing::info!(job = %id, every_ms, "the interval of a heartbeat has changed");
            let patch = json!({ "schedule": { "kind": "every", "everyMs": every_ms } });
            self.edit_any_job(id.as_str(), patch, None).await?;
        }
        Ok(())
    }
}
