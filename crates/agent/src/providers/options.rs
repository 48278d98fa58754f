//! Which providers there are, and what is known of their models.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clawhook_model::Price;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::{Host, Url};

use crate::acp::AcpOptions;
use crate::openclaw::OpenClawOptions;

/// Somebody who answers messages, as the configuration names it.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What it speaks, and where it is.
    pub api: ProviderApi,
    /// What is known of its models. Where this is empty, it takes any name.
    pub models: BTreeMap<String, ModelInfo>,
}

/// The kinds of providers.
#[derive(Debug, Clone)]
pub enum ProviderApi {
    /// A model behind an API for chats.
    Chat(ChatEndpoint),
    /// A program that speaks the Agent Client Protocol.
    Acp(AcpOptions),
    /// Another OpenClaw gateway, by its hooks.
    OpenClaw(OpenClawOptions),
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// What its tokens cost.
    pub price: Option<Price>,
    /// How many tokens it can take in all; a server that loads the model on demand is asked for as many.
    pub context_tokens: Option<u64>,
    /// How many tokens an answer may have, where the agent does not say.
    pub max_tokens: Option<u32>,
    /// Whether it can call tools.
    pub tools: bool,
}

impl Default for ModelInfo {
    fn default() -> Self {
        Self { price: None, context_tokens: None, max_tokens: None, tools: true }
    }
}

/// The APIs for chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatApi {
    /// OpenAI's chat completions, which nearly every local server and many providers speak.
    OpenAiCompletions,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Google's generative language API.
    GoogleGenerativeAi,
    /// Ollama's own API.
    Ollama,
}

/// A text names no API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no API of a model: expected openai-completions, openai-responses, anthropic-messages, \
     google-generative-ai or ollama"
)]
pub struct UnknownApi(pub String);

/// Where a model's API lies, and what opens it.
#[derive(Clone)]
pub struct ChatEndpoint {
    /// What is spoken there.
    pub api: ChatApi,
    /// The address under which the API lies; none is the API's own provider.
    pub base_url: Option<Url>,
    /// The key, where one is needed.
    pub api_key: Option<SecretString>,
    /// Where the key came from, in words, such as `the environment variable OPENAI_API_KEY`, for whoever has to mend one that
    /// is refused.
    pub key_reference: Option<String>,
    /// Headers of every request. Their values can be secrets.
    pub headers: BTreeMap<String, SecretString>,
}

impl ChatApi {
    /// Every API.
    pub const ALL: [Self; 5] = [
        Self::OpenAiCompletions,
        Self::OpenAiResponses,
        Self::AnthropicMessages,
        Self::GoogleGenerativeAi,
        Self::Ollama,
    ];

    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiCompletions => "openai-completions",
            Self::OpenAiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::GoogleGenerativeAi => "google-generative-ai",
            Self::Ollama => "ollama",
        }
    }

    /// Where the API lies where the configuration does not say.
    fn home(self) -> &'static str {
        match self {
            Self::OpenAiCompletions | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::AnthropicMessages => "https://api.anthropic.com",
            Self::GoogleGenerativeAi => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

impl FromStr for ChatApi {
    type Err = UnknownApi;

    fn from_str(text: &str) -> Result<Self, UnknownApi> {
        let named = Self::ALL.into_iter().find(|api| api.as_str() == text.trim());
        named.ok_or_else(|| UnknownApi(text.to_owned()))
    }
}

impl fmt::Display for ChatApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ChatEndpoint {
    /// An endpoint without a key.
    pub fn new(api: ChatApi, base_url: Option<Url>) -> Self {
        Self { api, base_url, api_key: None, key_reference: None, headers: BTreeMap::new() }
    }

    /// The address under which the API lies.
    pub(super) fn base(&self) -> Url {
        match &self.base_url {
            Some(url) => url.clone(),
            None => {
                Url::parse(self.api.home()).expect("the home of every API is a URL; a test reads them all")
            }
        }
    }

    /// The base with these segments after it.
    pub(super) fn under<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The last segment of the base's path.
    pub(super) fn last_segment(&self) -> Option<String> {
        self.base().path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
    }

    /// The host and port: all of the address that may be shown, since the rest can hold credentials.
    pub(super) fn address(&self) -> String {
        let base = self.base();
        let host = base.host_str().unwrap_or("an address without a host");
        match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The host and port as they are dialled, where they lie on this machine or in its own network: then it costs little to
    /// see whether anybody is there.
    pub(super) fn nearby(&self) -> Option<(String, u16)> {
        nearby(&self.base())
    }

    /// The key, unless there is none or an empty one.
    pub(super) fn key(&self) -> Option<&str> {
        self.api_key.as_ref().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty())
    }

    /// Everything that must never be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.values().map(ExposeSecret::expose_secret);
        self.key().into_iter().chain(headers).filter(|secret| secret.len() > 3)
    }
}

impl fmt::Debug for ChatEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatEndpoint")
            .field("api", &self.api)
            .field("address", &self.address())
            .field("has_api_key", &self.key().is_some())
            .finish_non_exhaustive()
    }
}

/// The host and port of `url` as they are dialled, where they lie on this machine or in its own network.
pub(crate) fn nearby(url: &Url) -> Option<(String, u16)> {
    let host = match url.host()? {
        Host::Ipv4(address) => is_near(IpAddr::V4(address)).then(|| address.to_string()),
        Host::Ipv6(address) => is_near(IpAddr::V6(address)).then(|| address.to_string()),
        Host::Domain(name) => is_local_name(name).then(|| name.to_owned()),
    };
    Some((host?, url.port_or_known_default()?))
}

fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    }
}

/// Whether the name is of the kind that only a machine's own network gives: one word, or under a suffix for that.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.')
        || [".localhost", ".local", ".lan", ".internal", ".home.arpa"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(api: ChatApi, base: Option<&str>) -> ChatEndpoint {
        ChatEndpoint::new(api, base.map(|base| base.parse().unwrap()))
    }

    #[test]
    fn every_api_has_a_home_and_is_read_by_its_name() {
        for api in ChatApi::ALL {
            assert!(endpoint(api, None).base().has_host(), "{api}");
            assert_eq!(api.as_str().parse(), Ok(api));
        }
        assert_eq!("openai".parse::<ChatApi>(), Err(UnknownApi("openai".to_owned())));
    }

    #[test]
    fn an_address_keeps_its_query_and_debug_shows_neither_query_nor_password() {
        let endpoint = endpoint(ChatApi::OpenAiCompletions, Some("http://u:pw@h:1/v1?key=k"));
        assert_eq!(
            endpoint.under(["chat", "completions"]).as_str(),
            "http://u:pw@h:1/v1/chat/completions?key=k"
        );
        assert_eq!(
            format!("{endpoint:?}"),
            r#"ChatEndpoint { api: OpenAiCompletions, address: "h:1", has_api_key: false, .. }"#
        );
    }

    #[test]
    fn only_what_is_near_is_looked_at_before_it_is_asked() {
        let nearby = |base| endpoint(ChatApi::Ollama, Some(base)).nearby();
        assert_eq!(nearby("http://127.0.0.1:8080/v1"), Some(("127.0.0.1".to_owned(), 8080)));
        assert_eq!(nearby("http://[::1]/v1"), Some(("::1".to_owned(), 80)));
        for near in [
            "http://10.0.0.7",
            "http://localhost:1",
            "http://ollama:11434",
            "http://gpu.lan",
            "http://[fd00::1]",
        ] {
            assert!(nearby(near).is_some(), "{near}");
        }
        for far in ["https://api.openai.com/v1", "http://8.8.8.8", "https://[2606:4700::1]"] {
            assert_eq!(nearby(far), None, "{far}");
        }
    }
}
