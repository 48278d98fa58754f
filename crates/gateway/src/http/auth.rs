//! Who may come in: whoever presents the gateway's token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::{metrics, schemas, signing_keys};

/// The gateway's token, as its digest. A presented token is digested too, so that comparing the two takes the same
/// time whatever its length and however much of it is right.
#[derive(Clone)]
pub(crate) struct ApiToken {
    inner: Arc<Inner>,
}

struct Inner {
    digest: [u8; 32],
    whereabouts: String,
}

impl ApiToken {
    /// The token; `whereabouts` tells people where to find it.
    pub(crate) fn new(token: &SecretString, whereabouts: impl Into<String>) -> Self {
        let digest = Sha256::digest(token.expose_secret().as_bytes()).into();
        Self { inner: Arc::new(Inner { digest, whereabouts: whereabouts.into() }) }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(presented) = bearer(headers) else { return false };
        let digest: [u8; 32] = Sha256::digest(presented).into();
        digest.ct_eq(&self.inner.digest).into()
    }
}

/// The credentials of a `Bearer` header; more than one such header is none, since it is not plain which one counts.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Lets requests under `/api` and for the metrics through only with the token, but for what is everybody's: the schemas and the public keys.
pub(super) async fn require_token(State(token): State<ApiToken>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_public = schemas::is_public(path) || path == signing_keys::PATH;
    let guarded = (path == "/api" || path.starts_with("/api/") || path == metrics::PATH) && !is_public;
    if !guarded || token.admits(request.headers()) {
        return next.run(request).await;
    }
    let message = match request.headers().contains_key(AUTHORIZATION) {
        true => "the Authorization header does not hold this gateway's token",
        false => "this needs the gateway's token",
    };
    let hint = format!("send `Authorization: Bearer <token>`; the token is {}", token.inner.whereabouts);
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message).hint(hint).into_response()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admits(values: &[&str]) -> bool {
        let token = ApiToken::new(&SecretString::from("right"), "here");
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        token.admits(&headers)
    }

    #[test]
    fn only_the_whole_token_in_one_bearer_header_is_let_in() {
        assert!(admits(&["Bearer right"]));
        assert!(admits(&["bearer  right "]));
        for bad in
            ["Bearer", "Bearer ", "Bearer righ", "Bearer rightx", "right", "Basic right", "Bearerright"]
        {
            assert!(!admits(&[bad]), "{bad}");
        }
        assert!(!admits(&[]));
        assert!(!admits(&["Bearer right", "Bearer right"]));
    }
}
