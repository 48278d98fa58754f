//! The standing jobs of hooks, kept in step with the configuration.

use clawhook_inbound::{Hook, HookId};
use clawhook_model::{Job, JobDefinition, JobId, JobState, Schedule};
use clawhook_store::KeptHook;

use super::super::Verbs;
use super::super::jobs::JobVerbError;

/// How the ids of these jobs begin.
const PREFIX: &str = "hook-";
/// How many jobs of hooks are looked through; there are no more hooks than that.
const MOST: usize = 10_000;

/// The standing job of a hook.
pub(super) fn job_of(hook: &HookId) -> JobId {
    // A hook's id has no character that a job's may not have.
    format!("{PREFIX}{hook}").parse().unwrap_or_else(|_| JobId::of_gateway())
}

/// The hook that a standing job is of.
pub(super) fn hook_of(job: &JobId) -> Option<HookId> {
    job.as_str().strip_prefix(PREFIX)?.parse().ok()
}

impl Verbs {
    /// Makes the store hold a job for each hook, and takes away those that are configured no more; their history stays. One
    /// that a person has switched off or paused stays so.
    pub(crate) async fn keep_hooks(&self) -> Result<(), JobVerbError> {
        let hooks = self.with.hooks.as_ref().map(|hooks| hooks.set.hooks()).unwrap_or_default();
        for hook in hooks {
            self.keep_hook(hook).await?;
        }
        for id in self.with.store.job_ids(PREFIX, MOST).await? {
            if hooks.iter().any(|hook| job_of(hook.id()) == id) {
                continue;
            }
            let job = self.with.store.job(&id).await?;
            if job.is_some_and(|job| matches!(job.definition.schedule, Schedule::Event { .. })) {
                tracing::info!(job = %id, "a hook that is configured no more is removed");
                self.remove_any_job(id.as_str()).await?;
            }
        }
        Ok(())
    }

    async fn keep_hook(&self, hook: &Hook) -> Result<(), JobVerbError> {
        let (id, now) = (job_of(hook.id()), self.with.clock.now());
        if let Some(found) = self.with.store.job(&id).await?
            && !found.definition.is_system_owned()
        {
            tracing::error!(job = %id, "a job of this id is there already, so that the hook takes no requests; rename the job or the hook");
            return Ok(());
        }
        let definition = JobDefinition::hook(hook.id().as_str(), None);
        let job = Job { id, definition, created_at: now, updated_at: now, state: JobState::default() };
        let limits = hook.limits();
        let kept = KeptHook { job, at_once: limits.max_concurrent_runs, held: limits.paused };
        Ok(self.with.store.keep_hook(kept, now).await?)
    }
}
