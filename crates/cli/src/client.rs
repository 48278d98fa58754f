//! The client of the gateway's API.

use std::error::Error;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::connection::Connection;
use crate::events::{Events, EventsEnd, ServerEvent};
use crate::failure::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, beyond what the gateway was asked to wait.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a live answer may be silent; the gateway sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What to do about an unknown job.
const WHERE_THE_IDS_ARE: &str = "`clawhook cron list --all` shows the ids";

/// A call of the API, to be made.
pub(crate) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    wait: Duration,
}

/// The value of a parameter, as text.
pub(crate) struct Parameter(String);

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<bool> for Parameter {
    fn from(flag: bool) -> Self {
        Self(flag.to_string())
    }
}

impl From<u32> for Parameter {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<u64> for Parameter {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl Call {
    /// Reads what is at `/api/v1/` and these segments.
    pub(crate) fn get<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes something.
    pub(crate) fn post<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Changes something.
    pub(crate) fn patch<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Removes something.
    pub(crate) fn delete<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn new<const N: usize>(method: Method, path: [&str; N]) -> Self {
        let path = path.map(str::to_owned).to_vec();
        Self { method, path, query: Vec::new(), body: None, wait: Duration::ZERO }
    }

    /// With a parameter.
    pub(crate) fn query(mut self, name: &'static str, value: impl Into<Parameter>) -> Self {
        self.query.push((name, value.into().0));
        self
    }

    /// With a parameter, where there is one.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Into<Parameter>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With this body.
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Gives the gateway so much longer than an answer usually takes.
    pub(crate) fn allowing(self, longer: Duration) -> Self {
        Self { wait: longer, ..self }
    }

    /// Has the gateway hold its answer back for so long.
    pub(crate) fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self.query("waitSeconds", wait.as_secs()) }
    }
}

/// The client.
pub(crate) struct Client {
    http: reqwest::Client,
    connection: Connection,
}

/// Why a call failed.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// There is no answer.
    #[error("cannot reach the gateway at {url}: {why}")]
    Unreachable {
        /// The address that was tried.
        url: String,
        /// The reason, as deep as it is known.
        why: String,
        /// The command that starts a gateway.
        start_command: String,
    },
    /// The gateway did not answer in time.
    #[error("the gateway at {url} did not answer within {seconds} s")]
    NoAnswer {
        /// Its address.
        url: String,
        /// How long it was given.
        seconds: u64,
    },
    /// Something else answers there.
    #[error("what answers at {url} is not a clawhook gateway: HTTP {status} without the API's JSON")]
    NotTheApi {
        /// The address.
        url: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is too long.
    #[error("the answer of the gateway is longer than {} MiB; ask for less with --limit", LONGEST_ANSWER >> 20)]
    TooLong,
    /// The gateway does not know the caller.
    #[error("the gateway at {url} does not accept the token")]
    Unauthorized {
        /// Its address.
        url: String,
        /// What to do about it.
        hint: String,
    },
    /// The gateway says why not.
    #[error("{message}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The reason.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// This side cannot make HTTP requests at all.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(reqwest::Error),
}

impl CallError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { start_command, .. } => {
                Some(format!("is it running? Start one with `{start_command}`"))
            }
            Self::NoAnswer { .. } | Self::TooLong | Self::Setup(_) => None,
            Self::NotTheApi { .. } => Some("check the address, and what else listens there".to_owned()),
            Self::Unauthorized { hint, .. } => Some(hint.clone()),
            Self::Refused { status, message, hint } => {
                let unknown_job =
                    *status == StatusCode::NOT_FOUND && message.starts_with("Automation not found");
                if unknown_job { Some(WHERE_THE_IDS_ARE.to_owned()) } else { hint.clone() }
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Error { message: error.to_string(), hint: error.hint() }
    }
}

/// The API's form of an error.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

impl Client {
    /// A client of this gateway.
    pub(crate) fn new(connection: Connection) -> Result<Self, CallError> {
        // Another part of the process may have installed it already, and it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        #[expect(clippy::disallowed_methods, reason = "the gateway's own API: no proxy, no redirect")]
        let builder = reqwest::Client::builder();
        let builder = builder.no_proxy().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT);
        // Reading the machine's certificates takes longer than the whole call, and http needs none.
        let builder = if connection.url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        Ok(Self { http: builder.build().map_err(CallError::Setup)?, connection })
    }

    /// Makes a call and reads the answer's JSON.
    pub(crate) async fn call(&self, call: Call) -> Result<Value, CallError> {
        let limit = ANSWER + call.wait;
        let address = self.address(&call.path, &call.query);
        let request = self.http.request(call.method, address).timeout(limit);
        let mut request = request.header(ACCEPT, "application/json");
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Ok(token) = &self.connection.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(|error| self.no_answer(&error, limit))?;
        let status = answer.status();
        let body = self.read(answer, limit).await?;
        self.interpret(status, &body)
    }

    /// Makes a call whose answer is a stream of events.
    pub(crate) async fn events(&self, call: Call) -> Result<Events, CallError> {
        let request = self.http.request(call.method, self.address(&call.path, &call.query));
        let mut request = request.header(ACCEPT, "text/event-stream");
        if let Ok(token) = &self.connection.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = tokio::time::timeout(ANSWER, request.send());
        let answer = answer.await.map_err(|_| self.silent(ANSWER))?;
        let answer = answer.map_err(|error| self.no_answer(&error, ANSWER))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Events::of(answer));
        }
        let body = self.read(answer, ANSWER).await?;
        let refused = self.interpret(status, &body);
        Err(refused.err().unwrap_or_else(|| CallError::NotTheApi { url: self.url(), status }))
    }

    /// The next of these events; none once the gateway has ended them.
    pub(crate) async fn next_event(&self, events: &mut Events) -> Result<Option<ServerEvent>, CallError> {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Err(_) => Err(self.silent(SILENCE)),
            Ok(Err(EventsEnd::TooLong)) => Err(CallError::TooLong),
            Ok(Err(EventsEnd::Lost(error))) => Err(self.no_answer(&error, SILENCE)),
            Ok(Ok(event)) => Ok(event),
        }
    }

    fn silent(&self, limit: Duration) -> CallError {
        CallError::NoAnswer { url: self.url(), seconds: limit.as_secs() }
    }

    fn address(&self, segments: &[String], query: &[(&'static str, String)]) -> Url {
        let mut url = self.connection.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn read(&self, mut answer: reqwest::Response, limit: Duration) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.no_answer(&error, limit))? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(CallError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn interpret(&self, status: StatusCode, body: &[u8]) -> Result<Value, CallError> {
        let not_the_api = || CallError::NotTheApi { url: self.url(), status };
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|_| not_the_api());
        }
        let ErrorBody { error } = serde_json::from_slice(body).map_err(|_| not_the_api())?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(CallError::Unauthorized { url: self.url(), hint: self.token_hint(error.hint) });
        }
        let message = error.message.trim_end_matches('.').to_owned();
        Err(CallError::Refused { status, message, hint: error.hint })
    }

    fn token_hint(&self, from_gateway: Option<String>) -> String {
        match &self.connection.token {
            Err(no_token) => no_token.hint(),
            Ok(_) => {
                let told = from_gateway.map(|hint| format!("; the gateway says: {hint}")).unwrap_or_default();
                format!("give the gateway's token in the variable CLAWHOOK_TOKEN{told}")
            }
        }
    }

    fn no_answer(&self, error: &reqwest::Error, limit: Duration) -> CallError {
        if error.is_timeout() && !error.is_connect() {
            return CallError::NoAnswer { url: self.url(), seconds: limit.as_secs() };
        }
        let start_command = self.connection.start_command.clone();
        CallError::Unreachable { url: self.url(), why: deepest(error), start_command }
    }

    fn url(&self) -> String {
        self.connection.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// What lies at the bottom of an error: the layers above it say only that a request failed.
fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
