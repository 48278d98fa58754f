//! What a job says of hooks and chains, checked when it is saved, and what came of the hooks of a run.

use clawhook_model::{AgentTurn, HookCall, HookKind, Job, JobDefinition, JobId, Payload, WebhookTarget};
use clawhook_store::{JobFilter, JobOrder, JobSort, PageStart};

use super::Verbs;
use super::jobs::JobVerbError;

/// How many jobs are looked at for a name.
const LOOKED_AT: usize = 200;
/// How many of the jobs that wait for another are named.
const NAMED: usize = 10;
/// How many calls that followed the making of a job are shown.
const SHOWN: usize = 100;

impl Verbs {
    /// Puts the ids of the jobs that a job waits for in the place of their names.
    pub(super) async fn resolve_upstreams(&self, definition: &mut JobDefinition) -> Result<(), JobVerbError> {
        for after in &mut definition.after {
            after.job = self.job_by_id_or_name(&after.job).await?.to_string();
        }
        let mut ids: Vec<&str> = definition.after.iter().map(|after| after.job.as_str()).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(twins) => {
                let why = format!("names `{}` twice", twins[0]);
                Err(clawhook_model::DefinitionError::Invalid { field: "after".to_owned(), why }.into())
            }
        }
    }

    async fn job_by_id_or_name(&self, given: &str) -> Result<JobId, JobVerbError> {
        if let Ok(id) = given.parse::<JobId>()
            && self.with.store.job(&id).await?.is_some()
        {
            return Ok(id);
        }
        let start = PageStart::Offset(JobOrder { by: JobSort::Name, descending: false }, 0);
        let filter = JobFilter { enabled: None, text: Some(given.to_owned()), start, limit: LOOKED_AT };
        let jobs = self.with.store.jobs(filter).await?.jobs;
        let mut named = jobs.into_iter().filter(|job| job.definition.name == given);
        match (named.next(), named.count()) {
            (None, _) => Err(JobVerbError::NoUpstream(super::shown(given))),
            (Some(only), 0) => Ok(only.id),
            (Some(_), more) => {
                Err(JobVerbError::ManyUpstreams { name: super::shown(given), count: more + 1 })
            }
        }
    }

    /// Refuses hooks that could never be called, while somebody is looking.
    pub(super) async fn check_hooks(&self, definition: &JobDefinition) -> Result<(), JobVerbError> {
        for (_, hook) in definition.hooks.all() {
            match &hook.kind {
                HookKind::Webhook(target) => self.check_receiver(target).await?,
                HookKind::AgentTurn { message, agent, model } => {
                    let turn =
                        AgentTurn { message: message.clone(), model: model.clone(), ..AgentTurn::default() };
                    let asked = JobDefinition {
                        payload: Payload::AgentTurn(turn),
                        output_schema: None,
                        ..definition.clone()
                    };
                    let agent = agent.clone().unwrap_or_else(|| definition.agent());
                    self.with.agents.check(&agent, &asked)?;
                }
                HookKind::Command { .. } | HookKind::SystemEvent { .. } => {}
            }
        }
        Ok(())
    }

    async fn check_receiver(&self, target: &WebhookTarget) -> Result<(), JobVerbError> {
        match target {
            WebhookTarget::Url(url) => self.with.guard.check_url(url)?,
            WebhookTarget::Destination(name) => {
                if self.with.store.destination_named(name).await?.is_none() {
                    return Err(JobVerbError::NoDestination(name.clone()));
                }
            }
        }
        Ok(())
    }

    /// Refuses the removal of a job whose end others wait for: they would never begin again.
    pub(super) async fn refuse_awaited(&self, job: &Job) -> Result<(), JobVerbError> {
        let followers = self.with.store.followers(&job.id).await?;
        let waiting: Vec<String> =
            followers.iter().filter(|id| **id != job.id).take(NAMED).map(ToString::to_string).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        Err(JobVerbError::Awaited { job: job.id.clone(), waiting })
    }

    /// The calls of hooks that were told when a job was made or edited, the last first.
    pub(crate) async fn creation_calls(&self, id: &str) -> Result<Vec<HookCall>, JobVerbError> {
        let job = self.find_job(id).await?;
        Ok(self.with.store.creation_calls(&job.id, SHOWN).await?)
    }
}
