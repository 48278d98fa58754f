//! What changing a destination's key brings, and what a destination would be sent.

use clawhook_delivery::Rendered;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::verbs::Rotated;

/// Which key is to be changed. Without anything, the shared secret is, for one that is made here.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the schema of what is read as JSON")]
pub(crate) struct RotateRequest {
    /// The new shared secret: a text, a reference, or `true` to have one made.
    secret: Option<Value>,
    /// The new ed25519 private key, instead: a text, a reference, or `true` to have one made.
    private_key: Option<Value>,
    /// How long the key before signs too; `24h` where it is left out.
    #[schema(example = "24h")]
    overlap: Option<String>,
}

/// What came of changing a key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotatedView {
    /// The new secret, where it was made here. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The public half of the new private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// Until when the key before signs too.
    overlap_until_ms: i64,
}

impl From<Rotated> for RotatedView {
    fn from(rotated: Rotated) -> Self {
        Self {
            secret: rotated.secret.map(|secret| secret.expose().to_owned()),
            public_key: rotated.public_key,
            overlap_until_ms: rotated.until.as_millis(),
        }
    }
}

/// What a destination would be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenderedView {
    /// The body's media type.
    content_type: String,
    /// Headers that belong to the format, by name and value; those of every request are not among them.
    headers: Vec<(String, String)>,
    /// The body.
    body: String,
}

impl From<Rendered> for RenderedView {
    fn from(rendered: Rendered) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = rendered.headers.iter();
        Self {
            content_type: text(rendered.content_type.as_bytes()),
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(&rendered.body),
        }
    }
}
