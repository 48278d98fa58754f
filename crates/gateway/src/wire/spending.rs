//! What runs cost, as answers show it.

use clawhook_model::Usd;
use clawhook_store::{UsageBy, UsageKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::verbs::{BudgetToday, Forecast, UsageAnswer, date_of};

/// What was spent in a stretch of days.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageReport)]
pub(crate) struct UsageView {
    /// The first day, in the zone of the gateway's host.
    #[schema(example = "2026-02-12")]
    from: String,
    /// The last day.
    #[schema(example = "2026-02-18")]
    to: String,
    /// What there is a row for: `day`, `job`, `agent` or `model`.
    by: &'static str,
    /// Days from the newest on, others from the dearest on.
    rows: Vec<UsageRowView>,
    /// All of it, what is beyond the limit of rows too.
    total: UsedView,
}

/// What was spent on one day, by one job or agent, or with one model.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageRow)]
pub(crate) struct UsageRowView {
    /// The day.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    /// The job; it may be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The model's provider; empty where the run did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// What was used.
    #[serde(flatten)]
    used: UsedView,
}

/// What was used, and what it cost.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Used)]
pub(crate) struct UsedView {
    /// How many runs used tokens.
    runs: u64,
    /// Of these, how many used a model whose price is not known.
    unpriced_runs: u64,
    /// Tokens read.
    input_tokens: u64,
    /// Tokens written.
    output_tokens: u64,
    /// Both together, as the providers count.
    total_tokens: u64,
    /// What the runs cost that have a price, in US dollars; absent where none has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

impl From<&clawhook_store::Used> for UsedView {
    fn from(used: &clawhook_store::Used) -> Self {
        Self {
            runs: used.runs,
            unpriced_runs: used.unpriced,
            input_tokens: used.input_tokens,
            output_tokens: used.output_tokens,
            total_tokens: used.total_tokens,
            cost_usd: (used.runs > used.unpriced).then(|| used.usd.as_dollars()),
        }
    }
}

impl From<(&UsageKey, &clawhook_store::Used)> for UsageRowView {
    fn from((key, used): (&UsageKey, &clawhook_store::Used)) -> Self {
        let row = Self { used: used.into(), ..Self::default() };
        match key {
            UsageKey::Day(day) => Self { day: Some(date_of(*day).to_string()), ..row },
            UsageKey::Job(job) => Self { job_id: Some(job.to_string()), ..row },
            UsageKey::Agent(agent) => Self { agent_id: Some(agent.to_string()), ..row },
            UsageKey::Model { provider, model } => {
                Self { provider: Some(provider.clone()), model: Some(model.clone()), ..row }
            }
        }
    }
}

impl From<UsageAnswer> for UsageView {
    fn from(UsageAnswer { from, to, by, report }: UsageAnswer) -> Self {
        Self {
            from: from.to_string(),
            to: to.to_string(),
            by: match by {
                UsageBy::Day => "day",
                UsageBy::Job => "job",
                UsageBy::Agent => "agent",
                UsageBy::Model => "model",
            },
            rows: report.rows.iter().map(|(key, used)| UsageRowView::from((key, used))).collect(),
            total: UsedView::from(&report.total),
        }
    }
}

/// What of a job's budget is spent today.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BudgetToday)]
pub(crate) struct BudgetTodayView {
    /// Money, in US dollars, as far as prices are known.
    spent_usd: f64,
    /// Tokens.
    spent_tokens: u64,
    /// Why nothing is left, where that is so: what is due is skipped until the day is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_up: Option<String>,
}

impl From<&BudgetToday> for BudgetTodayView {
    fn from(today: &BudgetToday) -> Self {
        Self {
            spent_usd: today.spent.usd.as_dollars(),
            spent_tokens: today.spent.tokens,
            used_up: today.used_up.clone(),
        }
    }
}

/// What a job's runs may be expected to use: the mean of its last runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Forecast)]
pub(crate) struct ForecastView {
    /// How many runs it is the mean of, 20 at most; nothing can be said where it is 0.
    based_on_runs: u64,
    /// Of these, how many have a price.
    priced_runs: u64,
    /// The tokens of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_run: Option<u64>,
    /// The price of a run, in US dollars, where prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_run: Option<f64>,
    /// How often the job is due in the next 24 hours.
    runs_per_day: u64,
    /// The tokens of these runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_day: Option<u64>,
    /// The price of these runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_day: Option<f64>,
}

impl From<&Forecast> for ForecastView {
    fn from(forecast: &Forecast) -> Self {
        let runs = forecast.runs_per_day;
        let (tokens, usd) = (forecast.tokens_per_run(), forecast.usd_per_run());
        let times = |usd: Usd| Usd::from_micros(usd.as_micros().saturating_mul(runs)).as_dollars();
        Self {
            based_on_runs: forecast.recent.runs,
            priced_runs: forecast.recent.priced,
            tokens_per_run: tokens,
            usd_per_run: usd.map(Usd::as_dollars),
            runs_per_day: runs,
            tokens_per_day: tokens.map(|tokens| tokens.saturating_mul(runs)),
            usd_per_day: usd.map(times),
        }
    }
}
