//! What is told of the gateway itself.

use clawhook_model::{Notice, UnixMs};

/// What is told of the gateway itself, to those who subscribed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayNotice {
    /// Something is wrong.
    Alarm {
        /// What, in one word.
        alarm: &'static str,
        /// What, in a sentence.
        detail: String,
    },
    /// It is over.
    Cleared {
        /// What it was, in one word.
        alarm: &'static str,
        /// When it began.
        since: UnixMs,
    },
}

impl GatewayNotice {
    /// As the model tells it.
    pub(crate) fn notice(&self) -> Notice<'_> {
        match self {
            Self::Alarm { alarm, detail } => Notice::GatewayAlarm { alarm, detail },
            Self::Cleared { alarm, since } => Notice::GatewayAlarmCleared { alarm, since: *since },
        }
    }
}
