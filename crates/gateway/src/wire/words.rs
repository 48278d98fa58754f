//! The words of the wire, as schemas. The model owns them; each enum here is held to the model's by an exhaustive
//! conversion, and by a test that compares what both write.

use clawhook_model as model;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $case:tt { $($(#[$other:meta])? $variant:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = $case)]
        pub(crate) enum $name { $($(#[$other])? #[allow(missing_docs)] $variant),* }

        impl From<model::$name> for $name {
            fn from(word: model::$name) -> Self {
                match word { $(model::$name::$variant => Self::$variant),* }
            }
        }

        #[cfg(test)]
        impl $name {
            /// What the model writes for each variant, beside what is written here.
            pub(super) fn both() -> Vec<(serde_json::Value, serde_json::Value)> {
                vec![$((
                    serde_json::to_value(model::$name::$variant).unwrap(),
                    serde_json::to_value(Self::$variant).unwrap(),
                )),*]
            }
        }
    )*};
}

words! {
    /// Where a run stands.
    RunState, "camelCase" { Queued, Running, Finished }
    /// What made a run happen.
    Trigger, "camelCase" { Schedule, CatchUp, Retry, Backfill, Manual, Hook, Chain }
    /// How the execution ended.
    RunStatus, "camelCase" { Ok, Error, Skipped }
    /// The class of a failed run.
    ErrorReason, "snake_case" {
        Auth, Format, RateLimit, Overloaded, Billing, ServerError, Timeout, ContextOverflow, ModelNotFound,
        EmptyResponse, Interrupted, Network, Offline, Cancelled, Exit, Launch, Unavailable, Budget,
        #[serde(rename = "quiet-hours")] QuietHours, OutputSchema, TurnLimit, Refusal, Gate, Hook, Unknown,
    }
    /// Why a job was switched off by the gateway.
    AutoDisableReason, "kebab-case" { ConsecutiveFailures, ScheduleErrors }
    /// Whether a run did all that its job asks for, delivery included.
    CompletionStatus, "lowercase" { Succeeded, Failed, Unknown }
    /// How a run's delivery stands.
    DeliveryStatus, "kebab-case" { Delivered, NotDelivered, Unknown, NotRequested }
    /// Why a result was not sent, on purpose.
    SuppressionReason, "lowercase" { Empty, Silent }
    /// Where a delivery stands.
    DeliveryState, "lowercase" { Pending, Leased, Waiting, Delivered, Dead, Cancelled, Suppressed }
    /// Where an acknowledgement stands.
    AckState, "lowercase" { Open, Acknowledged, Unacknowledged, Ended }
    /// On whose side the cause lies for which a delivery was given up.
    DeadCause, "lowercase" { Receiver, Configuration, Gateway }
    /// The states from which a delivery can be sent once more.
    Replayable, "lowercase" { Dead, Cancelled, Delivered }
    /// How far a replay is.
    ReplayState, "lowercase" { Running, Done, Cancelled }
    /// How one attempt ended.
    AttemptClass, "snake_case" {
        Delivered, Redirect, ClientError, ServerError, Blocked, DnsNotFound, DnsFailed, ConnectFailed,
        ConnectTimeout, TlsFailed, AnswerLost, AnswerTimeout, ProtocolError, Interrupted, ProxyFailed,
        ResourcesExhausted, Refused, Unauthorized, RateLimited, RenderFailed,
    }
    /// Why nothing is sent to a destination.
    HaltReason, "snake_case" { ByHand, Gone, Failing, Secret, Definition }
    /// How grave a note is.
    Severity, "lowercase" { Info, Warn, Error }
    /// Who said something.
    Role, "lowercase" { System, User, Assistant, Tool }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_the_models() {
        let words = [
            RunState::both(),
            Trigger::both(),
            RunStatus::both(),
            ErrorReason::both(),
            AutoDisableReason::both(),
            CompletionStatus::both(),
            DeliveryStatus::both(),
            SuppressionReason::both(),
            DeliveryState::both(),
            AckState::both(),
            DeadCause::both(),
            Replayable::both(),
            ReplayState::both(),
            AttemptClass::both(),
            HaltReason::both(),
            Severity::both(),
            Role::both(),
        ];
        for (the_models, ours) in words.into_iter().flatten() {
            assert_eq!(the_models, ours);
        }
    }
}
