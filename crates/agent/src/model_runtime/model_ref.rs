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
    fn a_text_without_a_provider_or_a_model_is_refused_by_name() {
        for text in ["", "gpt", "/gpt", "openai/", " / "] {
            assert_eq!(text.parse::<ModelRef>(), Err(ModelRefError(text.to_owned())));
        }
    }
}
