//! Which session a request is for (contract §5.4).

use clawhook_model::{AgentId, SessionName};
use sha2::{Digest as _, Sha256};

use crate::definition::SessionRules;
use crate::refusal::Refusal;

impl SessionRules {
    /// Whether the key begins as the operator wants.
    pub(crate) fn admits(&self, key: &SessionName) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| key.as_str().starts_with(prefix))
    }

    /// The key that a caller named in the payload.
    pub(crate) fn requested(&self, key: &str) -> Result<SessionName, Refusal> {
        if !self.allow_request {
            return Err(Refusal::SessionKeyNotAllowed);
        }
        let key = key.parse().map_err(|_| Refusal::Field(unfit(key)))?;
        if self.admits(&key) { Ok(key) } else { Err(Refusal::SessionKeyPrefix(self.prefixes.join(", "))) }
    }

    /// The key that a hook's template made. What cannot stand in a key is replaced, and a digest keeps keys apart that would
    /// thereby be the same.
    pub(crate) fn templated(&self, text: &str) -> Result<Option<SessionName>, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let key = match text.parse() {
            Ok(key) => key,
            Err(_) => made_fit(text).parse().map_err(|_| Refusal::Field(unfit(text)))?,
        };
        if self.admits(&key) {
            Ok(Some(key))
        } else {
            Err(Refusal::SessionKeyPrefix(self.prefixes.join(", ")))
        }
    }
}

/// The agent whose session the key names, where it is a whole key: `agent:<agent>:…`. A key of another agent's session
/// than the one that was named is refused, as it would lead nowhere that its caller meant.
pub(crate) fn agent_of(key: Option<&SessionName>, named: Option<&str>) -> Result<Option<AgentId>, Refusal> {
    let Some(owner) = key.and_then(SessionName::agent) else { return Ok(None) };
    match named.map(str::trim).filter(|name| !name.is_empty()) {
        Some(named) if AgentId::normalise(named) != owner => Err(Refusal::Field(format!(
            "sessionKey is a session of the agent \"{owner}\", and not of \"{named}\""
        ))),
        _ => Ok(Some(owner)),
    }
}

fn unfit(key: &str) -> String {
    let shown: String = key.chars().take(100).collect();
    format!(
        "sessionKey \"{shown}\" cannot name a session: it takes 1 to 200 letters, digits and `. _ - : @ +`"
    )
}

fn made_fit(text: &str) -> String {
    const KEPT: usize = 180;
    let is_fit = |c: char| c.is_alphanumeric() || "._-:@+".contains(c);
    let mut key: String = text.chars().take(KEPT).map(|c| if is_fit(c) { c } else { '-' }).collect();
    let digest = Sha256::digest(text.as_bytes());
    key.push('-');
    digest[..4].iter().for_each(|byte| key.push_str(&format!("{byte:02x}")));
    key
}
