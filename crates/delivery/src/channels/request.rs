//! What is sent for one piece.

use std::fmt;

use bytes::Bytes;
use clawhook_model::WebhookUrl;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use crate::transport::MailRequest;

/// What is sent for one piece.
#[derive(Debug)]
pub enum ChannelRequest {
    /// To an API over HTTP.
    Http(Box<HttpRequest>),
    /// To a mail server.
    Mail(Box<MailRequest>),
}

/// A request to an API. `Debug` shows neither its path, in which some services want their token, nor its body.
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where it goes, secrets included.
    pub url: WebhookUrl,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl HttpRequest {
    pub(super) fn json(
        method: Method,
        url: WebhookUrl,
        authorization: Option<&HeaderValue>,
        body: &Value,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Self { method, url, headers, body: Bytes::from(body.to_string()) }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("origin", &self.url.origin())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
