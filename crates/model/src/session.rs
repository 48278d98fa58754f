//! Sessions: which conversation a run belongs to, and what was said in it (contract §4).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{AgentId, JobId, uuid_v4};
use crate::time::UnixMs;

/// The identity of one conversation; an isolated run has a fresh one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A fresh random id, of the form OpenClaw gives.
    pub fn random() -> Self {
        Self(uuid_v4())
    }

    /// The id with these sixteen bytes, as the store keeps it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id's sixteen bytes, as the store keeps it.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A session by its key and, where each run has its own, its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// The store key, `agent:<agent>:<rest>` (contract §4.1).
    pub key: String,
    /// The conversation's identity.
    pub id: SessionId,
}

impl SessionRef {
    /// The session of one isolated run: `agent:<agent>:cron:<job>:run:<session>`.
    pub fn isolated(agent: &AgentId, job: &JobId, id: SessionId) -> Self {
        Self { key: format!("agent:{agent}:cron:{}:run:{id}", job.as_str().to_lowercase()), id }
    }

    /// An agent's main session, `agent:<agent>:main`. Its id follows from its key, so that every run finds it.
    pub fn main(agent: &AgentId) -> Self {
        let key = format!("agent:{agent}:main");
        let id = SessionId(name_uuid(&key));
        Self { key, id }
    }
}

/// A stable UUID for a session that is known by its key alone (RFC 9562, version 8: a digest of the key).
fn name_uuid(key: &str) -> Uuid {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Who said something in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The gateway: a system event.
    System,
    /// The job's message.
    User,
    /// The model.
    Assistant,
    /// A command's output.
    Tool,
}

impl Role {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One thing said in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptEntry {
    /// When.
    pub at: UnixMs,
    /// By whom.
    pub role: Role,
    /// What.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_isolated_run_has_openclaws_form() {
        let id = SessionId::from_bytes([7; 16]);
        let session = SessionRef::isolated(&AgentId::main(), &"job-1".parse().unwrap(), id);
        assert_eq!(session.key, format!("agent:main:cron:job-1:run:{id}"));
    }

    #[test]
    fn the_main_session_is_the_same_every_time() {
        assert_eq!(SessionRef::main(&AgentId::main()), SessionRef::main(&AgentId::main()));
        assert_eq!(SessionRef::main(&AgentId::main()).key, "agent:main:main");
    }
}
