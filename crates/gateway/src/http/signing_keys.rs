//! The public keys: what receivers verify signatures with that they cannot make.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use clawhook_delivery::PublicKey;
use clawhook_model::SignatureScheme;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{NoQuery, Query};

/// Where they are. It needs no token: the keys are public, and receivers have none.
pub(super) const PATH: &str = "/api/v1/signing-keys";

/// The keys that this gateway signs with.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SigningKeyList {
    /// Each of them.
    keys: Vec<SigningKeyView>,
}

/// A key that this gateway signs with.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SigningKey)]
#[serde(rename_all = "camelCase")]
struct SigningKeyView {
    /// The scheme: `v1a`, which is ed25519.
    #[schema(value_type = String, example = "v1a")]
    scheme: SignatureScheme,
    /// The public key: `whpk_` and the base64 of its 32 bytes.
    #[schema(example = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")]
    public_key: String,
    /// The `keyid` of RFC 9421 signatures: the key's thumbprint as a JSON Web Key.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    key_id: String,
}

impl SigningKeyList {
    /// The list with this one key.
    pub(crate) fn of(key: &PublicKey) -> Self {
        let view = SigningKeyView {
            scheme: SignatureScheme::V1a,
            public_key: key.to_string(),
            key_id: key.key_id(),
        };
        Self { keys: vec![view] }
    }
}

/// The public keys that this gateway signs with. It needs no token.
#[utoipa::path(
    get, path = "/api/v1/signing-keys", tag = "gateway", security(()),
    responses((status = 200, description = "The public keys.", body = SigningKeyList))
)]
pub(super) async fn signing_keys(
    State(keys): State<Arc<SigningKeyList>>,
    _: Query<NoQuery>,
) -> Json<SigningKeyList> {
    Json(SigningKeyList::clone(&keys))
}
