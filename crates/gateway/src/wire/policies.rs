//! What becomes of instants that cannot be run when they are due, as jobs say it and answers show it.

use clawhook_model::{Misfire, MisfirePolicy, Overlap};
use serde::Serialize;
use utoipa::ToSchema;

use crate::verbs::SavedJob;

/// What becomes of due instants at which nobody was there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Misfire)]
pub(super) struct MisfireView {
    /// Which of them are run.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<MisfirePolicyView>,
    /// How many at most, with `each`; 10 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    max: Option<u32>,
    /// How late an instant may be begun at most; one that is later is missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lateness_seconds: Option<f64>,
}

/// Which of several instants that have passed are run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MisfirePolicy)]
pub(super) enum MisfirePolicyView {
    /// None: each is recorded as missed.
    Skip,
    /// The last one, which stands for the others.
    Once,
    /// Each of them, in order, and the last `max` at most.
    Each,
}

/// What becomes of misfires, by its name alone or in full.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = MisfireSettings)]
#[expect(dead_code, reason = "the schema of what the model reads")]
pub(super) enum MisfireGivenView {
    /// The name.
    Named(MisfirePolicyView),
    /// All of it.
    Full(MisfireView),
}

/// What becomes of an instant that is due while an earlier run of the job waits or is under way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Overlap)]
pub(super) struct OverlapView {
    /// What becomes of it.
    policy: OverlapPolicyView,
    /// How many wait at most, with `bufferAll`; 100 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    max: Option<u32>,
}

/// What becomes of an instant that is due while an earlier run is not over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverlapPolicy)]
pub(super) enum OverlapPolicyView {
    /// It is skipped.
    Skip,
    /// It is run when the one before is over; a further one is skipped.
    BufferOne,
    /// It is run when those before are over; `max` wait at most.
    BufferAll,
    /// The one under way is cancelled, and this one is run when that has ended.
    CancelOther,
    /// It is run beside the others.
    AllowAll,
}

/// The overlap policy, by its name alone or in full.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = OverlapSettings)]
#[expect(dead_code, reason = "the schema of what the model reads")]
pub(super) enum OverlapGivenView {
    /// The name.
    Named(OverlapPolicyView),
    /// All of it.
    Full(OverlapView),
}

/// What holds for a job, with what the gateway says where the job does not.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectivePolicies)]
pub(super) struct EffectiveView {
    /// What becomes of instants at which nobody was there.
    misfire: MisfireView,
    /// What becomes of instants while a run is not over.
    overlap: OverlapView,
}

impl From<&SavedJob> for EffectiveView {
    fn from(saved: &SavedJob) -> Self {
        Self { misfire: MisfireView::from(saved.misfire), overlap: OverlapView::from(saved.overlap) }
    }
}

impl From<Misfire> for MisfireView {
    fn from(misfire: Misfire) -> Self {
        let (policy, max) = match misfire.policy {
            MisfirePolicy::Skip => (MisfirePolicyView::Skip, None),
            MisfirePolicy::Once => (MisfirePolicyView::Once, None),
            MisfirePolicy::Each { most } => (MisfirePolicyView::Each, Some(most)),
        };
        let max_lateness_seconds = misfire.max_lateness.map(|lateness| lateness.as_secs_f64());
        Self { policy: Some(policy), max, max_lateness_seconds }
    }
}

impl From<Overlap> for OverlapView {
    fn from(overlap: Overlap) -> Self {
        let (policy, max) = match overlap {
            Overlap::Skip => (OverlapPolicyView::Skip, None),
            Overlap::BufferOne => (OverlapPolicyView::BufferOne, None),
            Overlap::BufferAll { most } => (OverlapPolicyView::BufferAll, Some(most)),
            Overlap::CancelOther => (OverlapPolicyView::CancelOther, None),
            Overlap::AllowAll => (OverlapPolicyView::AllowAll, None),
        };
        Self { policy, max }
    }
}
