//! Who answers messages: `models.providers.<name>`.

pub(super) mod keys;
mod raw;
pub(super) mod setting;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use clawhook_agent::ChatApi;
use clawhook_model::{Price, SecretText};
use jsonc_parser::common::Range;
use url::Url;

pub(super) use self::raw::{RawProvider, read};
use super::block::{Written, shorten};
use super::resolve::Resolver;

/// `models`.
#[derive(Debug, Clone, Default)]
pub struct ModelsConfig {
    /// The providers by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The names of those that are written, whether or not they are well.
    written: Vec<String>,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// What is spoken with it, and where it is.
    pub api: ProviderApi,
    /// What is known of its models. Where this is empty, it takes any name.
    pub models: BTreeMap<String, ModelConfig>,
}

/// What is spoken with a provider, and where it is.
#[derive(Debug, Clone)]
pub enum ProviderApi {
    /// A model behind an API.
    Chat {
        /// What is spoken there.
        api: ChatApi,
        /// Where the API lies; without credentials, query and fragment. None is the API's own provider.
        base_url: Option<Url>,
        /// The key that is presented to it.
        api_key: Option<SecretText>,
        /// Where that key came from, in words.
        key_reference: Option<String>,
        /// Headers of every request.
        headers: BTreeMap<String, SecretText>,
    },
    /// A program that speaks the Agent Client Protocol over its standard input and output.
    Acp(AcpConfig),
    /// The hooks of another OpenClaw gateway.
    OpenClawHooks {
        /// Where the gateway is.
        base_url: Url,
        /// The token of its hooks.
        token: SecretText,
        /// What the keys of kept sessions begin with over there; without one, each message begins a session there.
        session_key_prefix: Option<String>,
    },
}

/// An agent that is a program.
#[derive(Debug, Clone)]
pub struct AcpConfig {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables set over the gateway's environment.
    pub env: BTreeMap<String, SecretText>,
    /// Where it works, within the agent's workspace; none is the workspace itself.
    pub cwd: Option<PathBuf>,
    /// What it may do.
    pub permissions: PermissionRules,
    /// The mode it is set to.
    pub mode: Option<String>,
    /// How it signs in, where it wants to.
    pub auth_method: Option<String>,
}

/// How an agent is answered that asks for leave to do something: `deny` is stronger than `allow`, and both than the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermissionRules {
    /// What holds where the lists say nothing.
    pub rule: PermissionRule,
    /// The kinds of tools that are allowed, by the protocol's names.
    pub allow: Vec<&'static str>,
    /// The kinds that are refused.
    pub deny: Vec<&'static str>,
}

/// What an agent may do where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PermissionRule {
    /// Nothing that it must ask for.
    #[default]
    Deny,
    /// To look.
    AllowReads,
    /// Everything.
    AllowAll,
}

/// What is known of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// How many tokens it can take in all.
    pub context_window: Option<u32>,
    /// How many tokens an answer may have where the agent does not say.
    pub max_tokens: Option<u32>,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// Whether it can call tools.
    pub calls_tools: bool,
}

impl ModelsConfig {
    /// The names of all providers that are written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(String::as_str)
    }
}

impl ProviderApi {
    /// The name in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Chat { api, .. } => api.as_str(),
            Self::Acp(_) => "acp",
            Self::OpenClawHooks { .. } => "openclaw-hooks",
        }
    }
}

impl Resolver<'_, '_> {
    /// The providers; one that is not well is left out, and its problems are told.
    pub(super) fn models(&mut self, raw: Vec<RawProvider>) -> ModelsConfig {
        let mut config = ModelsConfig::default();
        for provider in raw {
            let Written { value: name, at } = provider.name.clone();
            self.provider_name(&name, at);
            let models = provider.models.as_ref().map(|written| written.value.0.clone()).unwrap_or_default();
            if let Some(api) = self.provider(&name, provider) {
                config.providers.insert(name.clone(), ProviderConfig { api, models });
            }
            config.written.push(name);
        }
        config
    }

    fn provider_name(&mut self, name: &str, at: Range) {
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            let message = format!("`{}` cannot be the name of a provider", shorten(name));
            let hint = "a name has no blanks and no `/`, which ends it in `provider/model`".to_owned();
            self.findings.report(Some(at), message, Some(hint));
        }
    }

    fn provider(&mut self, name: &str, raw: RawProvider) -> Option<ProviderApi> {
        let path = format!("models.providers.{}", shorten(name));
        // What is missing of a provider has been told where it was read.
        match raw.api {
            setting::ApiName::Chat(api) => {
                let needs_url = api == ChatApi::OpenAiCompletions;
                let base_url = raw.base_url.map(|url| url.value.0);
                if needs_url && base_url.is_none() {
                    return None;
                }
                let key_reference = raw.api_key.as_ref().and_then(|written| written.value.reference());
                let api_key = self.secret(&format!("{path}.apiKey"), raw.api_key);
                let headers = self.secrets(&format!("{path}.headers"), raw.headers);
                Some(ProviderApi::Chat { api, base_url, api_key, key_reference, headers })
            }
            setting::ApiName::Acp => {
                let mut argv = vec![raw.command?.value];
                argv.extend(raw.args.into_iter().flat_map(|args| args.value).map(|argument| argument.0));
                Some(ProviderApi::Acp(AcpConfig {
                    argv,
                    env: self.secrets(&format!("{path}.env"), raw.env),
                    cwd: raw.cwd.map(|cwd| self.environment.locate_within(&cwd.value)),
                    permissions: raw.permissions.map(|rules| rules.value).unwrap_or_default(),
                    mode: raw.mode.map(|mode| mode.value),
                    auth_method: raw.auth_method.map(|method| method.value),
                }))
            }
            setting::ApiName::OpenClawHooks => {
                let token = self.secret(&format!("{path}.token"), raw.token)?;
                let session_key_prefix = raw.session_key_prefix.map(|prefix| prefix.value);
                Some(ProviderApi::OpenClawHooks {
                    base_url: raw.base_url?.value.0,
                    token,
                    session_key_prefix,
                })
            }
        }
    }
}
