//! How answers look: one shape for every door, and the schemas of those shapes.
//!
//! What is shown carries no secret: a target is masked here or before (invariant 12).

mod alerts;
mod channels;
mod deliveries;
mod delivery_settings;
mod destination_definition;
mod destination_keys;
mod destinations;
mod events;
mod hook_calls;
mod hooks;
mod job_hooks;
mod jobs;
mod ledger;
mod policies;
mod replays;
mod runs;
mod sessions;
mod spending;
mod status;
mod words;
mod work;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use alerts::{AckRequest, AlertList, AlertTest, AlertView};
pub(crate) use channels::{ChannelList, ChannelTestRequest, ChannelTestView};
pub(crate) use deliveries::{DeliveryDetail, DeliveryList, DeliveryView};
pub(crate) use destination_definition::{DestinationCreate, DestinationPatch};
pub(crate) use destination_keys::{RenderedView, RotateRequest, RotatedView};
pub(crate) use destinations::{DestinationDetailView, DestinationList, DestinationTestView, PauseRequest};
pub(crate) use events::{EventGapView, EventList};
pub(crate) use hook_calls::{CreationCallList, HookCallView};
pub(crate) use hooks::{
    HookList, HookReplayedView, HookRequestDetail, HookRequestList, HookTrialView, HookView,
};
pub(crate) use jobs::{JobCreate, JobList, JobPatch, Removed, SavedJobView, job_list, saved_job};
pub(crate) use ledger::{BackfillCreate, BackfilledView, OccurrenceList};
pub(crate) use replays::{
    Counted, ReplayCreate, ReplayDetail, ReplayList, ReplayTo, ReplayView, RunSentAgainView, SentAgainView,
};
pub(crate) use runs::{RunEntry, RunList, RunRequestedView, Transcript, WaitView};
pub(crate) use sessions::{RemovedSessionView, SessionList, SessionTranscript, SessionView};
pub(crate) use spending::UsageView;
pub(crate) use status::StatusView;

/// Where a page stands in the whole.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// How many there are in all.
    total: usize,
    /// How many were passed over.
    offset: usize,
    /// How many the page holds at most.
    limit: usize,
    /// Whether more follow.
    has_more: bool,
    /// The offset of the next page; null on the last one.
    #[schema(required = true)]
    next_offset: Option<usize>,
}

impl Page {
    /// The place of a page that holds `held` of `total`.
    pub(crate) fn new(total: usize, offset: usize, limit: usize, held: usize) -> Self {
        let end = offset.saturating_add(held);
        // A page that holds nothing has no next one, whatever the total says of a list that changes meanwhile.
        let has_more = held > 0 && end < total;
        Self { total, offset, limit, has_more, next_offset: has_more.then_some(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let first = Page::new(120, 0, 50, 50);
        assert_eq!((first.has_more, first.next_offset), (true, Some(50)));
        let last = Page::new(120, 100, 50, 20);
        assert_eq!((last.has_more, last.next_offset), (false, None));
        let beyond = Page::new(120, 500, 50, 0);
        assert_eq!((beyond.has_more, beyond.next_offset), (false, None));
    }
}
