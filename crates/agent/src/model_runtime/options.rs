//! Which providers there are, and which model a turn gets.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use super::model_ref::{ModelRef, ModelRefError};

/// The models a gateway can use.
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    /// The providers, by the names that models refer to them with.
    pub providers: BTreeMap<String, Provider>,
    /// The model of jobs that name none.
    pub default_model: Option<ModelRef>,
}

/// An endpoint that speaks OpenAI's chat completions.
#[derive(Clone)]
pub struct Provider {
    /// The address under which `chat/completions` lies.
    pub base_url: Url,
    /// The key, where one is needed.
    pub api_key: Option<SecretString>,
}

/// Why a turn has no model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoSuchModel {
    /// Neither the job nor the configuration names a model.
    #[error(
        "no model is configured: set agents.defaults.model and models.providers in the configuration, or give the \
         job a model"
    )]
    NoneConfigured,
    /// The text does not name a model.
    #[error(transparent)]
    Malformed(#[from] ModelRefError),
    /// The model's provider is not in the configuration.
    #[error("there is no provider `{}` for the model `{model}`: {}", .model.provider, known(.providers))]
    UnknownProvider {
        /// The model that was asked for.
        model: ModelRef,
        /// The providers there are.
        providers: Vec<String>,
    },
}

/// A model that a turn can ask.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    pub(super) model: ModelRef,
    pub(super) provider: &'a Provider,
}

impl ModelOptions {
    /// The model for a job that asks for `wanted`; a name without a provider means the default model's provider, as
    /// with OpenClaw.
    pub(super) fn resolve(&self, wanted: Option<&str>) -> Result<Target<'_>, NoSuchModel> {
        let model = match (wanted, &self.default_model) {
            (None, None) => return Err(NoSuchModel::NoneConfigured),
            (None, Some(default)) => default.clone(),
            (Some(name), Some(default)) if !name.contains('/') && !name.trim().is_empty() => {
                ModelRef { provider: default.provider.clone(), model: name.trim().to_owned() }
            }
            (Some(name), _) => name.parse()?,
        };
        match self.providers.get(&model.provider) {
            Some(provider) => Ok(Target { model, provider }),
            None => Err(NoSuchModel::UnknownProvider {
                model,
                providers: self.providers.keys().cloned().collect(),
            }),
        }
    }
}

impl Provider {
    /// Where chats are posted.
    pub(super) fn endpoint(&self) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        url
    }

    /// The provider's host and port: all of its address that may be shown, since the rest can hold credentials.
    pub(super) fn address(&self) -> String {
        let host = self.base_url.host_str().unwrap_or("an address without a host");
        match self.base_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The key, unless there is none or an empty one.
    pub(super) fn key(&self) -> Option<&str> {
        self.api_key.as_ref().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("address", &self.address())
            .field("has_api_key", &self.key().is_some())
            .finish_non_exhaustive()
    }
}

fn known(providers: &[String]) -> String {
    match providers {
        [] => "models.providers is empty".to_owned(),
        providers => format!("models.providers has {}", providers.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(default: Option<&str>) -> ModelOptions {
        let provider = Provider { base_url: "http://u:pw@h:1/v1?key=k".parse().unwrap(), api_key: None };
        ModelOptions {
            providers: BTreeMap::from([("fake".to_owned(), provider)]),
            default_model: default.map(|model| model.parse().unwrap()),
        }
    }

    #[test]
    fn a_name_without_a_provider_means_the_default_models_provider() {
        let options = options(Some("fake/one"));
        assert_eq!(options.resolve(Some("two")).unwrap().model.to_string(), "fake/two");
        assert_eq!(options.resolve(Some("fake/a/b")).unwrap().model.to_string(), "fake/a/b");
        assert_eq!(options.resolve(None).unwrap().model.to_string(), "fake/one");
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = |wanted| options(None).resolve(wanted).unwrap_err().to_string();
        assert!(text(None).starts_with("no model is configured: set agents.defaults.model"));
        assert_eq!(text(Some("gpt")), "`gpt` does not name a model: expected `provider/model`");
        assert_eq!(
            text(Some("openai/gpt")),
            "there is no provider `openai` for the model `openai/gpt`: models.providers has fake"
        );
    }

    #[test]
    fn the_endpoint_keeps_the_query_of_the_base_url_and_debug_shows_neither_query_nor_password() {
        let options = options(None);
        let provider = &options.providers["fake"];
        assert_eq!(provider.endpoint().as_str(), "http://u:pw@h:1/v1/chat/completions?key=k");
        assert_eq!(format!("{provider:?}"), r#"Provider { address: "h:1", has_api_key: false, .. }"#);
    }
}
