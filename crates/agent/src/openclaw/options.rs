//! Where another OpenClaw gateway is, and what opens its door.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// An OpenClaw gateway whose agents answer messages that come through its hooks.
#[derive(Clone)]
pub struct OpenClawOptions {
    /// The gateway's address; its hooks lie under `hooks` there.
    pub base_url: Url,
    /// The gateway's `hooks.token`.
    pub token: Option<SecretString>,
    /// What the keys of kept sessions begin with over there, such as `hook:clawhook:`. The gateway must allow that
    /// (`hooks.allowRequestSessionKey`, `hooks.allowedSessionKeyPrefixes`). Without one every message begins a session of its own
    /// there, and what was said before is told with it.
    pub session_key_prefix: Option<String>,
}

impl OpenClawOptions {
    /// Where messages are posted.
    pub(super) fn endpoint(&self) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["hooks", "agent"]);
        }
        url
    }

    /// The host and port: all of the address that may be shown, since the rest can hold credentials.
    pub(super) fn address(&self) -> String {
        let host = self.base_url.host_str().unwrap_or("an address without a host");
        match self.base_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The token, unless there is none or an empty one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty())
    }
}

impl fmt::Debug for OpenClawOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenClawOptions")
            .field("address", &self.address())
            .field("has_token", &self.token().is_some())
            .field("session_key_prefix", &self.session_key_prefix)
            .finish_non_exhaustive()
    }
}
