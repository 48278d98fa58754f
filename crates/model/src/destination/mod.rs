//! Destinations: where events are carried to, and everything about how.
//!
//! The cast: a [`Destination`] is one receiver as the gateway knows it, with a queue of its own, and a [`Standing`]
//! that says whether anything is sent to it. A *named* one was defined by its operator ([`DestinationDefinition`]);
//! an *implicit* one came about because a job named a URL, and has the gateway's defaults.

mod definition;
mod format;
mod headers;
mod keys;
mod limits;
mod name;
mod network;
mod retry;
mod signing;
mod standing;
mod subscription;

pub use definition::{DestinationDefinition, Order};
pub use format::{BodyFormat, ContentType, MAX_TEMPLATE_BYTES, Preset, TemplateHeader, TemplateSpec};
pub use keys::{RetiringKeys, SigningSettings};
pub use limits::Limits;
pub(crate) use limits::rate;
pub use name::{DestinationName, DestinationNameError};
pub use network::{ClientCertificate, NetworkSettings};
pub use retry::{RetryRules, RetrySchedule, RetrySettings};
pub use signing::{SchemesError, SignatureScheme, SignatureSchemes};
pub use standing::{Halt, HaltReason, Standing};
pub use subscription::Subscription;

use crate::id::DestinationId;
use crate::outbox::Target;
use crate::time::UnixMs;

/// One receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its identity.
    pub id: DestinationId,
    /// What jobs call it: a name, or the place itself.
    pub target: Target,
    /// What its operator said of it; none for an implicit one.
    pub definition: Option<DestinationDefinition>,
    /// Where it is declared, if that is a configuration file; such a one is changed there and nowhere else.
    pub declared_in: Option<String>,
    /// Moves with every change of the definition.
    pub revision: u64,
    /// Whether anything is sent to it.
    pub standing: Standing,
    /// Since when no attempt has succeeded, while its circuit is open.
    pub failing_since: Option<UnixMs>,
    /// When it was last resumed after a halt.
    pub resumed_at: Option<UnixMs>,
    /// When it came about.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
}
