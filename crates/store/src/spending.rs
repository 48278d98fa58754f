//! Reading what was spent.

use clawhook_model::{AgentId, JobId, Usd};

/// Which spending, and how it is told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFilter {
    /// The first day, in days since 1970-01-01 of the gateway's zone.
    pub from: i32,
    /// The last day.
    pub to: i32,
    /// What there is a row for.
    pub by: UsageBy,
    /// Only of this job.
    pub job_id: Option<JobId>,
    /// Only of this agent.
    pub agent_id: Option<AgentId>,
    /// How many rows at most.
    pub limit: usize,
}

/// What there is a row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Each day.
    Day,
    /// Each job.
    Job,
    /// Each agent.
    Agent,
    /// Each model of each provider.
    Model,
}

/// What a row is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageKey {
    /// A day, in days since 1970-01-01.
    Day(i32),
    /// A job; it may be gone.
    Job(JobId),
    /// An agent.
    Agent(AgentId),
    /// A model.
    Model {
        /// Its provider; empty where the run did not say.
        provider: String,
        /// Its name there.
        model: String,
    },
}

/// What was used, and what it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// How many runs used tokens.
    pub runs: u64,
    /// Of these, how many used a model whose price is not known.
    pub unpriced: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Both together, as the providers count.
    pub total_tokens: u64,
    /// What the others cost.
    pub usd: Usd,
}

/// What was used in a stretch of days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The rows: days from the newest on, others from the dearest on.
    pub rows: Vec<(UsageKey, Used)>,
    /// All of it, what has no row here too.
    pub total: Used,
}

/// What a job's runs used of late, as a measure for those to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentUsage {
    /// How many runs are looked at: the last ones that used tokens.
    pub runs: u64,
    /// How many tokens they used in all.
    pub tokens: u64,
    /// Of these runs, how many have a price.
    pub priced: u64,
    /// What those cost in all.
    pub usd: Usd,
}
