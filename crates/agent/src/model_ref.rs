//! Which model: the provider's name in the configuration, and the model's name at the provider.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A model by its provider, written `provider/model`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The provider, by its name in `models.providers`.
    pub provider: String,
    /// The model, as the provider names it; it may hold slashes itself.
    pub model: String,
}

/// A text does not name a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` does not name a model: expected `provider/model`")]
pub struct ModelRefError(pub String);

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
    #[error("there is no provider `{}` for the model `{model}`: {}", .model.provider, known("models.providers has", .providers))]
    UnknownProvider {
        /// The model that was asked for.
        model: ModelRef,
        /// The providers there are.
        providers: Vec<String>,
    },
    /// The configuration lists the provider's models, and this is none of them.
    #[error("`{}` has no model `{}`: {}", .model.provider, .model.model, known("its models are", .models))]
    UnknownModel {
        /// The model that was asked for.
        model: ModelRef,
        /// The models that are listed.
        models: Vec<String>,
    },
}

/// How many names are told in one message.
const MOST_NAMES: usize = 20;

fn known(what: &str, names: &[String]) -> String {
    match names {
        [] => "models.providers is empty".to_owned(),
        names if names.len() > MOST_NAMES => {
            format!("{what} {} and {} more", names[..MOST_NAMES].join(", "), names.len() - MOST_NAMES)
        }
        names => format!("{what} {}", names.join(", ")),
    }
}

impl ModelRef {
    /// Reads a name; one without a provider means that of `default`, as with OpenClaw.
    pub(crate) fn read(name: &str, default: Option<&Self>) -> Result<Self, ModelRefError> {
        match default {
            Some(default) if !name.contains('/') && !name.trim().is_empty() => {
                Ok(Self { provider: default.provider.clone(), model: name.trim().to_owned() })
            }
            _ => name.parse(),
        }
    }
}

impl FromStr for ModelRef {
    type Err = ModelRefError;

    fn from_str(text: &str) -> Result<Self, ModelRefError> {
        match text.trim().split_once('/') {
            Some((provider, model)) if !provider.trim().is_empty() && !model.trim().is_empty() => {
                Ok(Self { provider: provider.trim().to_owned(), model: model.trim().to_owned() })
            }
            _ => Err(ModelRefError(text.to_owned())),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_may_hold_slashes() {
        let model: ModelRef = "openrouter/meta-llama/llama-4".parse().unwrap();
        assert_eq!((model.provider.as_str(), model.model.as_str()), ("openrouter", "meta-llama/llama-4"));
        assert_eq!(model.to_string(), "openrouter/meta-llama/llama-4");
    }

    #[test]
    fn a_name_without_a_provider_means_the_default_models_provider() {
        let default: ModelRef = "fake/one".parse().unwrap();
        let read = |name, default| ModelRef::read(name, default).map(|model| model.to_string());
        assert_eq!(read("two", Some(&default)).as_deref(), Ok("fake/two"));
        assert_eq!(read("other/a/b", Some(&default)).as_deref(), Ok("other/a/b"));
        assert_eq!(read("two", None), Err(ModelRefError("two".into())));
    }

    #[test]
    fn a_text_without_a_provider_or_a_model_is_refused_by_name() {
        for text in ["", "gpt", "/gpt", "openai/", " / "] {
            assert_eq!(text.parse::<ModelRef>(), Err(ModelRefError(text.to_owned())));
        }
    }
}
