//! What is told of the gateway itself.

use clawhook_model::{AgentId, JobId, LoopBroken, Notice, UnixMs};

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

/// Work that was refused, because it was too many hops away from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLoop {
    /// The job that was to run.
    pub job_id: JobId,
    /// Its name.
    pub job_name: String,
    /// The agent that it was to run as.
    pub agent_id: AgentId,
    /// Why it does not.
    pub broken: LoopBroken,
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
