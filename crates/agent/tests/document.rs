//! docs/models.md says what the code does.

use clawhook_agent::{ChatApi, TurnLimits};
use clawhook_model::ErrorReason;

const DOCUMENT: &str = include_str!("../../../docs/models.md");

#[test]
fn the_document_tells_of_every_api_with_the_header_of_its_key() {
    for api in ChatApi::ALL {
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{api}` |")));
        let header = match api {
            ChatApi::AnthropicMessages => "`x-api-key`",
            ChatApi::GoogleGenerativeAi => "`x-goog-api-key`",
            _ => "`Authorization`",
        };
        assert!(
            row.is_some_and(|row| row.contains(header)),
            "docs/models.md needs a row for {api} with {header}"
        );
    }
}

#[test]
fn the_document_tells_the_limits_and_the_classes_as_they_are() {
    let minutes = TurnLimits::default().model_timeout.as_secs() / 60;
    assert!(DOCUMENT.contains(&format!("`limits.modelTimeout` ({minutes} min)")));
    let text = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    for class in [
        ErrorReason::Auth,
        ErrorReason::RateLimit,
        ErrorReason::Overloaded,
        ErrorReason::Billing,
        ErrorReason::ServerError,
        ErrorReason::Timeout,
        ErrorReason::ContextOverflow,
        ErrorReason::ModelNotFound,
        ErrorReason::EmptyResponse,
        ErrorReason::Network,
        ErrorReason::Offline,
        ErrorReason::Refusal,
        ErrorReason::TurnLimit,
        ErrorReason::OutputSchema,
    ] {
        assert!(text.contains(&format!("`{}`", class.as_str())), "docs/models.md lacks {class:?}");
    }
}
