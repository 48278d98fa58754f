//! Three facts, one headline (invariant 7): how the execution ended, how the delivery stands, and what both together
//! mean (contract §2.3).

use serde::{Deserialize, Serialize};

use crate::outbox::{DeliveryState, SuppressionReason};
use crate::run::RunStatus;

/// How a run's delivery stands, in OpenClaw's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// It has arrived: the receiver answered 2xx.
    Delivered,
    /// It will not arrive, or was not sent on purpose.
    NotDelivered,
    /// It is not settled yet.
    Unknown,
    /// Nobody asked for one.
    NotRequested,
}

impl DeliveryStatus {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotDelivered => "not-delivered",
            Self::Unknown => "unknown",
            Self::NotRequested => "not-requested",
        }
    }

    /// OpenClaw's `delivered` flag; absent where nothing is known or asked.
    pub fn delivered(self) -> Option<bool> {
        match self {
            Self::Delivered => Some(true),
            Self::NotDelivered => Some(false),
            Self::Unknown | Self::NotRequested => None,
        }
    }

    /// How a delivery in this state stands.
    pub fn of(state: Option<DeliveryState>) -> Self {
        match state {
            None => Self::NotRequested,
            Some(DeliveryState::Delivered) => Self::Delivered,
            Some(DeliveryState::Dead | DeliveryState::Cancelled | DeliveryState::Suppressed) => {
                Self::NotDelivered
            }
            Some(DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Waiting) => Self::Unknown,
        }
    }
}

/// Whether a run did all that its job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletionStatus {
    /// Everything asked for was done.
    Succeeded,
    /// Something asked for was not done, and will not be.
    Failed,
    /// It is not decided yet.
    Unknown,
}

impl CompletionStatus {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The rule of contract §2.3.
    pub fn of(
        status: RunStatus,
        best_effort: bool,
        delivery: DeliveryStatus,
        suppression: Option<SuppressionReason>,
    ) -> Self {
        if status != RunStatus::Ok {
            return Self::Failed;
        }
        match delivery {
            DeliveryStatus::NotRequested | DeliveryStatus::Delivered => Self::Succeeded,
            _ if best_effort => Self::Succeeded,
            DeliveryStatus::NotDelivered if suppression.is_some() => Self::Succeeded,
            DeliveryStatus::NotDelivered => Self::Failed,
            DeliveryStatus::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i07_no_completion_is_green_while_a_required_delivery_is_not_delivered() {
        use DeliveryState::{Cancelled, Dead, Delivered, Leased, Pending, Suppressed, Waiting};
        for state in [Pending, Leased, Waiting, Delivered, Dead, Cancelled, Suppressed] {
            let status = DeliveryStatus::of(Some(state));
            let completion = CompletionStatus::of(RunStatus::Ok, false, status, None);
            assert_eq!(completion == CompletionStatus::Succeeded, state == Delivered, "{state:?}");
        }
    }

    #[test]
    fn a_delivery_that_was_suppressed_on_purpose_leaves_the_run_succeeded() {
        let empty = Some(SuppressionReason::Empty);
        let status = DeliveryStatus::of(Some(DeliveryState::Suppressed));
        assert_eq!(CompletionStatus::of(RunStatus::Ok, false, status, empty), CompletionStatus::Succeeded);
    }

    #[test]
    fn best_effort_forgives_the_delivery_but_not_the_execution() {
        let lost = DeliveryStatus::NotDelivered;
        assert_eq!(CompletionStatus::of(RunStatus::Ok, true, lost, None), CompletionStatus::Succeeded);
        assert_eq!(CompletionStatus::of(RunStatus::Error, true, lost, None), CompletionStatus::Failed);
    }
}
