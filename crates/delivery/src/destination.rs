//! A destination made ready to be sent to: everything that does not change from one delivery to the next, made once.

use clawhook_model::{
    Destination, DestinationDefinition, Halt, HaltReason, Standing, Target, UnixMs, WebhookUrl,
};

use crate::guard::{Guard, GuardRefusal};
use crate::scheduler::{LaneLimits, PROBE_PAUSED_EVERY, Sending};
use crate::service::DeliveryOptions;
use crate::transport::ConnectionProfile;

/// What a delivery needs of its destination.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Where requests go.
    pub(crate) url: WebhookUrl,
    /// How they get there.
    pub(crate) profile: ConnectionProfile,
}

/// Why a destination cannot be made ready; it is halted with this reason, and what waits is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unready {
    pub(crate) reason: HaltReason,
    pub(crate) detail: String,
}

impl Ready {
    /// Makes a destination ready.
    pub(crate) fn prepare(destination: &Destination) -> Result<Self, Unready> {
        let url = match (&destination.definition, &destination.target) {
            (Some(definition), _) => definition.url.clone(),
            (None, Target::Webhook(url)) => url.clone(),
            (None, other) => {
                let detail = format!("`{}` is nothing that can be posted to", other.shown());
                return Err(Unready { reason: HaltReason::Definition, detail });
            }
        };
        Ok(Self { url, profile: ConnectionProfile::default() })
    }
}

impl Unready {
    pub(crate) fn into_halt(self, now: UnixMs) -> Halt {
        Halt { reason: self.reason, detail: self.detail, since: now }
    }
}

impl Guard {
    /// What can be said of where a destination lies without asking DNS, when it is defined.
    pub fn check_destination(&self, definition: &DestinationDefinition) -> Result<(), GuardRefusal> {
        self.check_url(&definition.url)
    }
}

/// How much of what the destination asks for the gateway grants.
pub(crate) fn lane_limits(destination: &Destination, options: &DeliveryOptions) -> LaneLimits {
    let limits = destination.definition.as_ref().map(|definition| &definition.limits);
    let asked = limits.and_then(|limits| limits.max_concurrent);
    LaneLimits {
        max_concurrent: asked.unwrap_or(options.max_concurrent_per_destination).min(options.max_concurrent),
        per_second: limits.and_then(|limits| limits.per_second),
    }
}

/// Whether a destination that is ready is sent to.
pub(crate) fn sending(standing: &Standing) -> Sending {
    match standing {
        Standing::Active => Sending::Yes,
        Standing::Paused(Halt { reason: HaltReason::Failing, since, .. }) => {
            Sending::Probe { every: PROBE_PAUSED_EVERY, next_at: since.plus(PROBE_PAUSED_EVERY) }
        }
        Standing::Paused(_) | Standing::Disabled(_) => Sending::No,
    }
}

/// Whether the destination was halted for a reason that is gone once it can be made ready.
pub(crate) fn heals_when_ready(standing: &Standing) -> bool {
    matches!(standing, Standing::Paused(Halt { reason: HaltReason::Secret | HaltReason::Definition, .. }))
}
