//! Gates before a job is added or edited, and what follows then.

use clawhook_model::{CreationStage, GateDecision, HookStage, Job, JobDefinition};
use clawhook_store::NewHookCall;
use serde_json::json;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::call::{Asking, perform};
use super::of_job;
use crate::EngineHandle;

/// A hook does not let a job be added or edited.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the hook `{hook}` refuses the job: {reason}")]
pub struct CreationRefused {
    /// The hook.
    pub hook: String,
    /// Why, in its words or in ours.
    pub reason: String,
}

impl EngineHandle {
    /// Asks the gates whether a job may be added, or edited into this. They are for jobs that people and programs make, not
    /// for the gateway's own.
    pub async fn ask_creation_gates(
        &self,
        job: &Job,
        before: Option<&JobDefinition>,
        stage: CreationStage,
    ) -> Result<(), CreationRefused> {
        let core = &self.core;
        for gate in of_job(core, job, HookStage::PreCreate) {
            let mut context = json!({
                "stage": gate.stage.as_str(),
                "hook": gate.hook.name,
                "action": stage.as_str(),
                "job": job.snapshot_json(),
            });
            if let Some(before) = before {
                context["before"] = Job { definition: before.clone(), ..job.clone() }.snapshot_json();
            }
            let agent = job.definition.agent();
            let asking = Asking {
                stage: gate.stage,
                hook: &gate.hook,
                job: &job.id,
                agent: &agent,
                context: &context,
            };
            let answer = perform(core, &asking, &CancellationToken::new()).await;
            if answer.decision(&gate.hook) != GateDecision::Proceed {
                let report = answer.report;
                let reason = report.error.or(report.reason).or(report.output);
                let reason = reason.unwrap_or_else(|| "it gives no reason".to_owned());
                return Err(CreationRefused { hook: gate.hook.name, reason: reason.trim().to_owned() });
            }
        }
        Ok(())
    }

    /// The hooks that are told that a job was added or edited.
    pub fn creation_tells(&self, job: &Job) -> Vec<NewHookCall> {
        of_job(&self.core, job, HookStage::PostCreate)
    }
}
