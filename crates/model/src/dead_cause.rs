//! On whose side the cause lies for which a delivery was given up.

use serde::{Deserialize, Serialize};

use crate::attempt::AttemptClass;

/// On whose side the cause lies for which a delivery was given up: that says who has something to mend before it is
/// sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeadCause {
    /// The receiver could not be reached, failed or refused.
    Receiver,
    /// What the operator configured cannot work: a name that does not exist, an address that the guard refuses, a
    /// certificate that is not accepted, a destination that is not defined.
    Configuration,
    /// The gateway itself.
    Gateway,
}

impl DeadCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Receiver, Self::Configuration, Self::Gateway];

    /// The cause of a delivery whose last attempt ended so.
    pub fn of(class: AttemptClass) -> Self {
        match class {
            AttemptClass::Blocked
            | AttemptClass::DnsNotFound
            | AttemptClass::TlsFailed
            | AttemptClass::Unauthorized
            | AttemptClass::RenderFailed => Self::Configuration,
            _ if class.is_own_fault() => Self::Gateway,
            _ => Self::Receiver,
        }
    }

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Configuration => "configuration",
            Self::Gateway => "gateway",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_something_to_mend_is_the_cause() {
        for (class, cause) in [
            (AttemptClass::ClientError, DeadCause::Receiver),
            (AttemptClass::ConnectFailed, DeadCause::Receiver),
            (AttemptClass::Redirect, DeadCause::Receiver),
            (AttemptClass::Blocked, DeadCause::Configuration),
            (AttemptClass::DnsNotFound, DeadCause::Configuration),
            (AttemptClass::TlsFailed, DeadCause::Configuration),
            (AttemptClass::Unauthorized, DeadCause::Configuration),
            (AttemptClass::Refused, DeadCause::Receiver),
            (AttemptClass::DnsFailed, DeadCause::Gateway),
            (AttemptClass::Interrupted, DeadCause::Gateway),
        ] {
            assert_eq!(DeadCause::of(class), cause, "{class:?}");
        }
    }
}
