//! The outbox's nouns: what is to be carried where, and how it stands.

use serde::{Deserialize, Serialize};

use crate::dead_cause::DeadCause;
use crate::delivery_settings::{AnnounceTarget, DeliveryMode, DeliverySettings, WebhookTarget};
use crate::destination::DestinationName;
use crate::id::{DeliveryId, DestinationId, EventId, JobId, RunId};
use crate::ladder::{Acknowledgement, LadderPlan};
use crate::run::{RunOutcome, RunStatus};
use crate::time::UnixMs;
use crate::webhook_url::WebhookUrl;

/// Where a delivery stands:
/// `pending -> leased -> delivered | waiting -> leased … | dead | cancelled`; `suppressed` is born settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Accepted, not tried yet.
    Pending,
    /// A worker holds it and is trying.
    Leased,
    /// It is to be tried again, and the next try has its time.
    Waiting,
    /// It arrived: the receiver answered 2xx.
    Delivered,
    /// It was given up, for a stated reason; it can be retried by hand.
    Dead,
    /// A person ended it.
    Cancelled,
    /// It was not to be sent, for a stated reason.
    Suppressed,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Leased,
        Self::Waiting,
        Self::Delivered,
        Self::Dead,
        Self::Cancelled,
        Self::Suppressed,
    ];

    /// Whether nothing more happens by itself.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Cancelled | Self::Suppressed)
    }

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Suppressed => "suppressed",
        }
    }
}

/// Why a result was not sent, on purpose (contract §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressionReason {
    /// The run succeeded and said nothing.
    Empty,
    /// The run succeeded and said `NO_REPLY`.
    Silent,
}

impl SuppressionReason {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Silent => "silent",
        }
    }

    /// Why this outcome is not sent, if it is not: only a success can be silent. A failure is always sent, whatever
    /// it printed.
    pub fn of(outcome: &RunOutcome) -> Option<Self> {
        if outcome.status != RunStatus::Ok {
            return None;
        }
        if outcome.silent {
            return Some(Self::Silent);
        }
        let text = outcome.summary.as_deref().unwrap_or_default().trim();
        if text.is_empty() {
            Some(Self::Empty)
        } else if text.eq_ignore_ascii_case("NO_REPLY") {
            Some(Self::Silent)
        } else {
            None
        }
    }
}

/// Where an event is carried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A signed POST to this address, with the gateway's defaults.
    Webhook(WebhookUrl),
    /// The destination of this name.
    Destination(DestinationName),
    /// A message to this place.
    Announce(AnnounceTarget),
}

impl Target {
    /// The target for people, secrets masked.
    pub fn shown(&self) -> String {
        match self {
            Self::Webhook(url) => url.to_string(),
            Self::Destination(name) => name.to_string(),
            Self::Announce(target) => {
                let channel = target.channel.as_deref().unwrap_or("last");
                let to = target.to.as_deref().map(|to| format!(":{to}")).unwrap_or_default();
                format!("announce:{channel}{to}")
            }
        }
    }
}

impl From<&WebhookTarget> for Target {
    fn from(target: &WebhookTarget) -> Self {
        match target {
            WebhookTarget::Url(url) => Self::Webhook(url.clone()),
            WebhookTarget::Destination(name) => Self::Destination(name.clone()),
        }
    }
}

/// What a finished run asks of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPlan {
    /// Where to.
    pub target: Target,
    /// How it begins.
    pub begin: DeliveryBegin,
    /// Where its event goes next, where it does.
    pub ladder: Option<LadderPlan>,
    /// Whether the run has not completed without it.
    pub required: bool,
}

/// How a delivery is born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryBegin {
    /// To be sent at once.
    Pending,
    /// Settled: not to be sent, unless the destination asks for such results too.
    Suppressed(SuppressionReason),
    /// Settled: cannot be sent, for this reason.
    Dead(String),
}

/// What a run with this outcome, of a job with these settings, asks of the outbox.
pub fn plan_deliveries(settings: &DeliverySettings, outcome: &RunOutcome) -> Vec<DeliveryPlan> {
    let suppressed = SuppressionReason::of(outcome).map(DeliveryBegin::Suppressed);
    match &settings.mode {
        DeliveryMode::None => Vec::new(),
        DeliveryMode::Webhook(targets) => {
            let begin = suppressed.unwrap_or(DeliveryBegin::Pending);
            let plan = |(place, target)| DeliveryPlan {
                target: Target::from(target),
                begin: begin.clone(),
                ladder: settings.ladder(place == 0),
                required: true,
            };
            targets.iter().enumerate().map(plan).collect()
        }
        DeliveryMode::Announce(target) => {
            let begin = suppressed.unwrap_or(DeliveryBegin::Pending);
            let target = Target::Announce(target.clone());
            let mut plans =
                vec![DeliveryPlan { target, begin, ladder: settings.ladder(true), required: true }];
            // It is posted where there is something to tell: a text, or that the run failed (contract §2.5).
            let is_silent = outcome.summary.as_deref().unwrap_or_default().trim().is_empty()
                && outcome.status == RunStatus::Ok;
            let begin = if is_silent {
                DeliveryBegin::Suppressed(SuppressionReason::Empty)
            } else {
                DeliveryBegin::Pending
            };
            plans.extend(settings.completion.clone().map(|url| DeliveryPlan {
                target: Target::Webhook(url),
                begin,
                ladder: None,
                required: false,
            }));
            plans
        }
    }
}

/// One delivery: an event on its way to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its identity.
    pub id: DeliveryId,
    /// The event it carries.
    pub event_id: EventId,
    /// The run that brought the event, where one did.
    pub run_id: Option<RunId>,
    /// The job that the event is about.
    pub job_id: JobId,
    /// Whether the run's job asked for it, so that the run has not completed without it.
    pub required: bool,
    /// The delivery whose event it carries once more, where it was made by a replay.
    pub replay_of: Option<DeliveryId>,
    /// The destination whose queue it is in.
    pub destination_id: DestinationId,
    /// Where to.
    pub target: Target,
    /// Where it stands.
    pub state: DeliveryState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it was accepted.
    pub created_at: UnixMs,
    /// When the next attempt is due, where one is.
    pub next_at: Option<UnixMs>,
    /// When it was settled.
    pub settled_at: Option<UnixMs>,
    /// Why it stands where it stands: the last failure, the reason it is dead or suppressed.
    pub reason: Option<String>,
    /// On whose side the cause lies, while it is dead.
    pub cause: Option<DeadCause>,
    /// The delivery whose event it carries on: the rung below it, or the asking before it.
    pub after: Option<DeliveryId>,
    /// How the acknowledgement stands that is asked for, where one is.
    pub acknowledgement: Option<Acknowledgement>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ErrorReason;

    fn webhook() -> DeliverySettings {
        let url = "https://example.com/hook".parse().unwrap();
        let mode = DeliveryMode::Webhook(vec![WebhookTarget::Url(url)]);
        DeliverySettings { mode, ..DeliverySettings::default() }
    }

    fn begin(outcome: &RunOutcome) -> DeliveryBegin {
        plan_deliveries(&webhook(), outcome).remove(0).begin
    }

    #[test]
    fn only_an_empty_or_no_reply_success_is_suppressed() {
        assert_eq!(begin(&RunOutcome::ok("  \n")), DeliveryBegin::Suppressed(SuppressionReason::Empty));
        assert_eq!(
            begin(&RunOutcome::ok(" no_reply ")),
            DeliveryBegin::Suppressed(SuppressionReason::Silent)
        );
        assert_eq!(begin(&RunOutcome::ok("NO_REPLY, but this matters")), DeliveryBegin::Pending);
        assert_eq!(begin(&RunOutcome::error(ErrorReason::Timeout, "too long")), DeliveryBegin::Pending);
    }

    #[test]
    fn an_announcement_may_have_a_webhook_beside_it_that_completion_does_not_wait_for() {
        let settings = DeliverySettings::parse(serde_json::json!({
            "mode": "announce", "channel": "slack", "to": "C1",
            "completionDestination": { "mode": "webhook", "to": "https://example.com/done" },
        }));
        let settings = settings.unwrap();
        let plans = |outcome: &RunOutcome| {
            plan_deliveries(&settings, outcome)
                .into_iter()
                .map(|plan| (plan.required, plan.begin))
                .collect::<Vec<_>>()
        };
        let pending = |required| (required, DeliveryBegin::Pending);
        assert_eq!(plans(&RunOutcome::ok("x")), [pending(true), pending(false)]);
        let empty = |required| (required, DeliveryBegin::Suppressed(SuppressionReason::Empty));
        assert_eq!(plans(&RunOutcome::ok(" ")), [empty(true), empty(false)]);
        assert_eq!(plans(&RunOutcome::error(ErrorReason::Timeout, "x")), [pending(true), pending(false)]);
        for wrong in [
            serde_json::json!({ "mode": "webhook", "to": "https://example.com/", "completionDestination": { "to": "https://example.com/" } }),
            serde_json::json!({ "mode": "announce", "completionDestination": { "mode": "announce", "to": "https://example.com/" } }),
            serde_json::json!({ "mode": "announce", "completionDestination": {} }),
        ] {
            DeliverySettings::parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn without_delivery_nothing_is_planned() {
        assert!(plan_deliveries(&DeliverySettings::default(), &RunOutcome::ok("x")).is_empty());
    }
}
