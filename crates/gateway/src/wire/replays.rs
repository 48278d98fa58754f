//! Replays, as requests ask for them and answers show them.

use clawhook_model::{Delivery, Replay, UnixMs};
use clawhook_store::{ReplayOutcomes, ReplayPage, ReplayWithOutcomes};
use serde::Serialize;
use utoipa::ToSchema;

use super::words::{DeadCause, ReplayState, Replayable};
use super::{DeliveryView, Page};
use crate::verbs::{RunSentAgain, why_not};

/// Where one delivery or run is to be sent once more. The body may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what the model reads")]
pub(crate) struct ReplayTo {
    /// A destination's name, its `dst_…`, or a URL; each delivery's own destination where it is left out.
    to: Option<String>,
}

/// A replay that is to be.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model reads; a test holds it to that")]
pub(crate) struct ReplayCreate {
    /// Which deliveries.
    filter: ReplayFilterCreate,
    /// Where to: a destination's name, its `dst_…`, or a URL; each delivery's own destination where it is left out.
    to: Option<String>,
    /// How many a second at most; as fast as they can be queued where it is left out.
    #[schema(minimum = 0.0000116, maximum = 1_000_000)]
    per_second: Option<f64>,
    /// Only count them.
    dry_run: Option<bool>,
}

/// Which deliveries are to be sent once more.
#[derive(ToSchema)]
#[schema(as = ReplayFilter, rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model reads; a test holds it to that")]
pub(crate) struct ReplayFilterCreate {
    /// Only deliveries to this destination: its name, its `dst_…`, or the URL that jobs name.
    destination: Option<String>,
    /// Only deliveries of this job.
    job_id: Option<String>,
    /// Only deliveries of this run.
    run_id: Option<String>,
    /// Only deliveries in one of these states; `dead` where it is left out.
    states: Option<Vec<Replayable>>,
    /// Only deliveries that are dead for one of these causes.
    causes: Option<Vec<DeadCause>>,
    /// Only deliveries that were accepted at this instant or later.
    since_ms: Option<i64>,
    /// Only deliveries that were accepted before this instant.
    until_ms: Option<i64>,
}

/// How many deliveries a replay would find.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayCount)]
pub(crate) struct Counted {
    /// So many.
    pub(crate) matched: u64,
}

/// The sending once more of a range of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replay)]
pub(crate) struct ReplayView {
    /// The replay.
    #[schema(example = "rpl_0198c2d57b1a7c3e9f40a1b2c3d4e5f6")]
    id: String,
    /// How far it is.
    state: ReplayState,
    /// Which deliveries.
    #[schema(value_type = ReplayFilterCreate)]
    filter: clawhook_model::ReplayFilter,
    /// Where to, secrets masked; absent where each goes to its own destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// How many a second at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// How many deliveries it found when it began.
    matched: u64,
    /// How many of them it has queued.
    done: u64,
    /// How many of them it has passed over: there was nothing to send, nowhere to send it, or it is on its way already.
    skipped: u64,
    /// Why it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it began.
    created_at_ms: i64,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at_ms: Option<i64>,
}

impl From<&Replay> for ReplayView {
    fn from(replay: &Replay) -> Self {
        Self {
            id: replay.id.to_string(),
            state: replay.state.into(),
            filter: replay.filter.clone(),
            to: replay.to.as_ref().map(clawhook_model::Target::shown),
            per_second: replay.per_second,
            matched: replay.matched,
            done: replay.done,
            skipped: replay.skipped,
            reason: replay.reason.clone(),
            created_at_ms: replay.created_at.as_millis(),
            ended_at_ms: replay.ended_at.map(UnixMs::as_millis),
        }
    }
}

/// A replay and what became of the deliveries that it queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayDetail {
    #[serde(flatten)]
    replay: ReplayView,
    /// What became of them; one that a later replay queued again counts there alone.
    outcomes: OutcomesView,
}

/// What became of the deliveries that a replay queued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayOutcomes)]
pub(crate) struct OutcomesView {
    /// They wait or are being tried.
    open: u64,
    /// They arrived.
    delivered: u64,
    /// They were given up again.
    dead: u64,
    /// A person ended them.
    cancelled: u64,
}

impl From<ReplayWithOutcomes> for ReplayDetail {
    fn from(found: ReplayWithOutcomes) -> Self {
        let ReplayOutcomes { open, delivered, dead, cancelled } = found.outcomes;
        Self {
            replay: ReplayView::from(&found.replay),
            outcomes: OutcomesView { open, delivered, dead, cancelled },
        }
    }
}

/// A page of replays, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayList {
    /// The replays.
    replays: Vec<ReplayView>,
    /// Where the page stands.
    #[serde(flatten)]
    page: Page,
}

impl ReplayList {
    /// The page that began at `offset` and holds `limit` at most.
    pub(crate) fn new(page: &ReplayPage, offset: usize, limit: usize) -> Self {
        let replays: Vec<ReplayView> = page.replays.iter().map(ReplayView::from).collect();
        Self { page: Page::new(page.total, offset, limit, replays.len()), replays }
    }
}

/// A delivery that is due once more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentAgain)]
pub(crate) struct SentAgainView {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// True where it was made for this; false where it is the very delivery that was dead or cancelled.
    added: bool,
}

impl SentAgainView {
    /// The delivery that is due.
    pub(crate) fn new(delivery: &Delivery, added: bool) -> Self {
        Self { delivery: delivery.into(), added }
    }
}

/// What of a run is sent once more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunSentAgain)]
pub(crate) struct RunSentAgainView {
    /// The deliveries that are due.
    deliveries: Vec<SentAgainView>,
    /// The deliveries that are not sent.
    refused: Vec<RefusedView>,
}

/// A delivery that is not sent once more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotSentAgain)]
pub(crate) struct RefusedView {
    /// The delivery.
    id: String,
    /// Why it is not sent.
    reason: String,
}

impl From<RunSentAgain> for RunSentAgainView {
    fn from(again: RunSentAgain) -> Self {
        let deliveries = again.sent.iter().map(|(delivery, added)| SentAgainView::new(delivery, *added));
        let refused =
            again.refused.iter().map(|(id, why)| RefusedView { id: id.to_string(), reason: why_not(*why) });
        Self { deliveries: deliveries.collect(), refused: refused.collect() }
    }
}

#[cfg(test)]
mod tests {
    use clawhook_model::ReplayRequest;
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;
    use crate::wire::jobs::tests::assert_documented;

    #[test]
    fn the_schema_of_a_request_is_what_the_model_reads() {
        let filter = json!({
            "destination": "ops", "jobId": "j", "runId": "run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6",
            "states": ["dead"], "causes": ["receiver"], "sinceMs": 1, "untilMs": 2,
        });
        let request = json!({ "filter": filter, "to": "ops", "perSecond": 1.5, "dryRun": true });
        assert_documented::<ReplayCreate>(&request);
        assert_documented::<ReplayFilterCreate>(&filter);
        for (schema, read) in
            [(json!(ReplayCreate::schema()), &request), (json!(ReplayFilterCreate::schema()), &filter)]
        {
            let documented = schema["properties"].as_object().unwrap().len();
            assert_eq!(documented, read.as_object().map_or(0, serde_json::Map::len));
        }
        assert!(ReplayRequest::parse(request).is_ok());
        let shown: Value = serde_json::to_value(
            ReplayRequest::parse(json!({ "filter": filter })).unwrap().filter.with_destination(Some("dst_1")),
        )
        .unwrap();
        assert_documented::<ReplayFilterCreate>(&shown);
    }
}
