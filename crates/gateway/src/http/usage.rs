//! `/api/v1/usage`: what runs cost.

use axum::Json;
use axum::extract::State;
use clawhook_model::{AgentId, JobId};
use clawhook_store::UsageBy;
use jiff::civil::Date;
use utoipa::IntoParams;

use super::error::ApiError;
use super::query::{Params, Query, QueryForm};
use crate::verbs::{UsageQuestion, Verbs};
use crate::wire::UsageView;

/// How many days are told of where nothing is said, and at most.
const DAYS: u32 = 7;
const MOST_DAYS: usize = 3660;
/// How many rows there are where nothing is said, and at most.
const ROWS: usize = 100;
const MOST_ROWS: usize = 1000;

/// Which spending.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct UsageQuery {
    /// What there is a row for: `job`, `agent`, `model` or `day`; `day` where it is left out.
    #[param(value_type = Option<String>)]
    by: Option<UsageBy>,
    /// The first day, such as 2026-02-18, in the zone of the gateway's host.
    #[param(value_type = Option<String>)]
    from: Option<Date>,
    /// The last day; today where it is left out.
    #[param(value_type = Option<String>)]
    to: Option<Date>,
    /// How many days, where `from` is left out; 7 where neither is given.
    #[param(minimum = 1, maximum = 3660)]
    days: Option<usize>,
    /// Only of this job.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Only of this agent.
    #[param(value_type = Option<String>)]
    agent_id: Option<String>,
    /// How many rows at most; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl QueryForm for UsageQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let by = [
            ("job", UsageBy::Job),
            ("agent", UsageBy::Agent),
            ("model", UsageBy::Model),
            ("day", UsageBy::Day),
        ];
        Ok(Self {
            by: params.word("by", &by)?,
            from: params.date("from")?,
            to: params.date("to")?,
            days: params.number("days", 1..=MOST_DAYS)?,
            job_id: params.id("jobId")?,
            agent_id: params.text("agentId"),
            limit: params.number("limit", 1..=MOST_ROWS)?,
        })
    }
}

/// Tells what runs used and what that cost, by day, job, agent or model. It outlives the runs and their jobs.
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "What was used.", body = UsageView))
)]
pub(super) async fn usage(
    State(verbs): State<Verbs>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageView>, ApiError> {
    let question = UsageQuestion {
        by: query.by.unwrap_or(UsageBy::Day),
        from: query.from,
        to: query.to,
        days: query.days.and_then(|days| u32::try_from(days).ok()).unwrap_or(DAYS),
        job_id: query.job_id,
        agent_id: query.agent_id.map(|agent| AgentId::normalise(&agent)),
        limit: query.limit.unwrap_or(ROWS),
    };
    Ok(Json(UsageView::from(verbs.usage(question).await?)))
}
