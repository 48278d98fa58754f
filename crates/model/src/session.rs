//! Sessions: which conversation a run belongs to, and what was said in it (contract §4).

use std::fmt;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
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

/// A text is no session's id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a session's id: expected a UUID")]
pub struct SessionIdError(String);

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| SessionIdError(text.chars().take(100).collect()))
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
        Self::keyed(format!("agent:{agent}:main"))
    }

    /// An agent's session that is kept under a name. A name that is a whole key already, `agent:<agent>:…`, stays what it
    /// is.
    pub fn named(agent: &AgentId, name: &SessionName) -> Self {
        let name = name.as_str();
        if name.starts_with(&format!("agent:{agent}:")) {
            return Self::keyed(name.to_owned());
        }
        Self::keyed(format!("agent:{agent}:{name}"))
    }

    /// The session that a key means: one run's own, whose id is the end of its key, or one that is kept.
    pub fn of_key(key: &str) -> Self {
        let key = key.trim().to_lowercase();
        let own = key.split_once(":cron:").and_then(|(_, rest)| rest.split_once(":run:"));
        match own.map(|(_, id)| id.parse()) {
            Some(Ok(id)) => Self { key, id },
            _ => Self::keyed(key),
        }
    }

    /// The session with this key; its id follows from the key.
    fn keyed(key: String) -> Self {
        let id = SessionId(name_uuid(&key));
        Self { key, id }
    }
}

/// The name of a session that is kept, as users write it: lower case, and safe as part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(String);

/// A text cannot name a session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` cannot name a session: expected 1 to 200 letters, digits and `. _ - : @ +`, and no part that is `..`"
)]
pub struct SessionNameError(pub String);

impl SessionName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The agent whose session it is, where the name is a whole key, `agent:<agent>:…`.
    pub fn agent(&self) -> Option<AgentId> {
        let (agent, rest) = self.0.strip_prefix("agent:")?.split_once(':')?;
        (!rest.is_empty()).then(|| AgentId::normalise(agent))
    }
}

impl FromStr for SessionName {
    type Err = SessionNameError;

    fn from_str(text: &str) -> Result<Self, SessionNameError> {
        let name = text.trim().to_lowercase();
        let is_fit = |c: char| c.is_alphanumeric() || "._-:@+".contains(c);
        let fits = (1..=200).contains(&name.chars().count())
            && name.chars().all(is_fit)
            && name.split(':').all(|part| part != ".." && part != ".");
        if fits { Ok(Self(name)) } else { Err(SessionNameError(text.to_owned())) }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    /// What it is beside plain speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<EntryDetail>,
}

/// What an entry of a transcript is beside plain speech.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EntryDetail {
    /// The model asks for a tool.
    ToolCall {
        /// What the result refers to.
        call_id: String,
        /// The tool.
        name: String,
        /// What it is given.
        arguments: Value,
    },
    /// What a tool answered.
    ToolResult {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// An agent asked for leave to do something; the text says what.
    Permission {
        /// Whether it was given.
        granted: bool,
    },
    /// What the model thought before it spoke.
    Thinking,
    /// The gateway speaks: a request to mend a result, a system event, a note.
    Gateway,
}

impl TranscriptEntry {
    /// Plain speech.
    pub fn said(at: UnixMs, role: Role, text: impl Into<String>) -> Self {
        Self { at, role, text: text.into(), detail: None }
    }

    /// Something beside plain speech.
    pub fn with(at: UnixMs, role: Role, text: impl Into<String>, detail: EntryDetail) -> Self {
        Self { at, role, text: text.into(), detail: Some(detail) }
    }
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
    fn a_key_leads_back_to_its_session() {
        let agent = AgentId::main();
        let own = SessionRef::isolated(&agent, &"Job-1".parse().unwrap(), SessionId::from_bytes([7; 16]));
        let named = SessionRef::named(&agent, &"Daily:run:notes".parse().unwrap());
        for session in [own, named, SessionRef::main(&agent)] {
            assert_eq!(SessionRef::of_key(&session.key.to_uppercase()), session);
        }
    }

    #[test]
    fn the_main_session_is_the_same_every_time() {
        assert_eq!(SessionRef::main(&AgentId::main()), SessionRef::main(&AgentId::main()));
        assert_eq!(SessionRef::main(&AgentId::main()).key, "agent:main:main");
    }
}
