//! What happens around runs: calls of hooks, and the chains that lead from job to job.

use clawhook_model::{
    AgentId, HookCallState, HookReport, HookStage, InstanceId, JobHook, JobId, Overlap, RunId, RunOutcome,
    UnixMs,
};

/// A call of a hook that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHookCall {
    /// When its turn comes.
    pub stage: HookStage,
    /// What is to be done.
    pub hook: JobHook,
    /// Whether the configuration has it, and not the job.
    pub is_global: bool,
}

/// A call of a hook that is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunHookCall {
    /// The call, as the store numbers it.
    pub id: u64,
    /// The run that it follows; none where it follows the making of its job.
    pub run_id: Option<RunId>,
    /// The job.
    pub job_id: JobId,
    /// What is to be done.
    pub call: NewHookCall,
}

/// The end of a call.
#[derive(Debug, Clone)]
pub struct EndHookCall {
    /// The call.
    pub id: u64,
    /// How it ended.
    pub state: HookCallState,
    /// What it brought.
    pub report: HookReport,
    /// When it ended.
    pub at: UnixMs,
    /// What its turn used, where it was one.
    pub spent: Option<HookSpending>,
}

/// What the turn of a hook used.
#[derive(Debug, Clone)]
pub struct HookSpending {
    /// Whose budget it counts to.
    pub job_id: JobId,
    /// The agent that took it.
    pub agent_id: AgentId,
    /// The day in the gateway's zone, in days since 1970-01-01.
    pub day: i32,
    /// How the turn ended, with what it used.
    pub outcome: RunOutcome,
}

/// What holds where a run's end begins runs of other jobs.
#[derive(Debug, Clone, Default)]
pub struct ChainRules {
    /// How this gateway is called in trails.
    pub instance: InstanceId,
    /// How many hops work may be away from its beginning.
    pub max_hops: u32,
    /// What becomes of a run whose job has one that is not over, where the job does not say.
    pub overlap: Overlap,
}
