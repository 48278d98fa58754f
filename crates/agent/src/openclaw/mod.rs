//! Another OpenClaw gateway: its agents do the work where they are, and only schedule and delivery are here.
//!
//! The cast: [`OpenClawBackend`] posts a message to the gateway's `/hooks/agent` and waits for the end of the turn there
//! (contract §5.4, `waitForCompletion`). That door tells how the turn ended, and never what was answered: the result says so.
//! Whoever needs the words uses the gateway's OpenAI-compatible endpoint, as any other provider of that kind.
//!
//! Not guaranteed: that a turn over there ends when this one is cancelled or out of time. It is given its limit with the
//! message, and nothing can be said to it afterwards.

mod error;
mod options;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::error::{HookError, words_of};
pub use self::options::OpenClawOptions;
use crate::backend::{Ask, Backend, Said, TryError};
use crate::briefing::briefing;
use crate::providers::{SharedClient, nearby, retry_at, takes_connections};

/// The agent that stands for the default one over there.
const DEFAULT_AGENT: &str = "default";

/// What an agent says who has nothing to report.
const SILENCE: &str = "NO_REPLY";

/// How much of an answer is read; OpenClaw's are a few hundred bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How long an answer is awaited by a turn without a limit. A connection on which nothing ever comes is not told from one that
/// is dead.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Has messages answered by the agents of another gateway.
pub(crate) struct OpenClawBackend {
    options: OpenClawOptions,
    client: SharedClient,
    clock: Arc<dyn Clock>,
}

/// The body of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HookMessage<'a> {
    message: String,
    /// What the gateway calls the turn in its notes.
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    /// The gateway notes each turn in its agent's main session; that need not wake the agent.
    wake_mode: &'static str,
    /// The result is delivered from here.
    deliver: bool,
    wait_for_completion: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HookAnswer {
    #[serde(default)]
    run_id: String,
    completion: Option<Completion>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completion {
    status: String,
    #[serde(default)]
    reply_disposition: String,
}

impl OpenClawBackend {
    /// A backend that opens nothing before it is asked.
    pub(crate) fn new(options: OpenClawOptions, client: SharedClient, clock: Arc<dyn Clock>) -> Self {
        Self { options, client, clock }
    }

    /// What is posted for `ask`. A session that is kept over there remembers by itself what was said in it.
    fn message<'a>(&self, ask: &Ask<'a>) -> HookMessage<'a> {
        let session_key = self.session_key(&ask.session.key);
        let history = if session_key.is_some() { &[] } else { ask.history };
        HookMessage {
            message: briefing(ask.system, history, ask.text),
            name: "Clawhook",
            agent_id: Some(ask.model).filter(|agent| *agent != DEFAULT_AGENT),
            session_mode: session_key.as_ref().map(|_| "persistent"),
            session_key,
            thinking: ask.thinking.map(clawhook_model::Thinking::as_str),
            timeout_seconds: ask.time_left.map(|left| left.as_secs().max(1)),
            wake_mode: "next-heartbeat",
            deliver: false,
            wait_for_completion: true,
        }
    }

    /// The key over there of the session `key`, where it is one that is kept.
    fn session_key(&self, key: &str) -> Option<String> {
        let prefix = self.options.session_key_prefix.as_deref()?;
        let rest = key.strip_prefix("agent:").unwrap_or(key);
        let is_of_one_run = rest.contains(":cron:") && rest.contains(":run:");
        (!is_of_one_run).then(|| format!("{prefix}{rest}"))
    }

    async fn turn(&self, ask: &Ask<'_>, said: &mut Said) -> Result<(), HookError> {
        if ask.tools_allow.is_some_and(|allow| !allow.iter().any(|name| name == "*")) {
            return Err(HookError::ToolsAllow);
        }
        if ask.output_schema.is_some() {
            return Err(HookError::OutputSchema);
        }
        let patience = ask.time_left.unwrap_or(LONGEST_WAIT);
        let answer = timeout(patience, self.post(&self.message(ask))).await;
        let HookAnswer { run_id, completion } = answer.map_err(|_| HookError::TimedOut(patience))??;
        let Some(completion) = completion else { return Err(HookError::NoCompletion(run_id)) };
        match (completion.status.as_str(), completion.reply_disposition.as_str()) {
            ("ok", "silent") => {
                said.silent = true;
                SILENCE.clone_into(&mut said.text);
                Ok(())
            }
            ("ok", "empty") => Err(HookError::Empty(run_id)),
            ("ok", _) => {
                said.text = format!("The agent has answered (OpenClaw run {run_id}).");
                said.notes.push("OpenClaw's hooks do not tell what an agent answered".to_owned());
                Ok(())
            }
            ("error", _) => Err(HookError::Failed(run_id)),
            ("skipped", _) => Err(HookError::Skipped(run_id)),
            (state, _) => Err(HookError::OddEnd { run: run_id, state: state.to_owned() }),
        }
    }

    async fn post(&self, message: &HookMessage<'_>) -> Result<HookAnswer, HookError> {
        let client = self.client.get().await.map_err(|error| HookError::Client(error.to_string()))?;
        let mut request = client.post(self.options.endpoint()).json(message);
        if let Some(token) = self.options.token() {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| HookError::UnsendableToken)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        if !status.is_success() {
            let retry_at = retry_at(&headers, self.clock.now());
            return Err(HookError::Refused { status: status.as_u16(), said: words_of(&body), retry_at });
        }
        serde_json::from_slice(&body).map_err(|_| HookError::Unreadable)
    }

    /// A request without an answer. Where a connection was made, the message may have been heard.
    fn lost(&self, error: &reqwest::Error) -> HookError {
        let address = self.options.address();
        if !error.is_connect() {
            return HookError::Broken(address);
        }
        let mut cause: &dyn StdError = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        HookError::Unreachable { address, why: cause.to_string() }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, HookError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) if body.len() + bytes.len() > ANSWER_LIMIT => {
                    return Err(HookError::Unreadable);
                }
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => return Ok(body),
                Err(_) => return Err(HookError::Broken(self.options.address())),
            }
        }
    }
}

#[async_trait]
impl Backend for OpenClawBackend {
    fn calls_tools_itself(&self) -> bool {
        true
    }

    async fn preflight(&self, ask: &Ask<'_>) -> Result<(), String> {
        let Some(nearby) = nearby(&self.options.base_url) else { return Ok(()) };
        let address = self.options.address();
        let error = |why| HookError::Unreachable { address, why };
        let subject = format!("{}/{}", ask.provider, ask.model);
        let message = |why| error(why).into_try_error(&subject, ask.provider, &self.options).message;
        takes_connections(nearby).await.map_err(message)
    }

    async fn answer(&self, ask: &Ask<'_>, said: &mut Said, stop: &CancellationToken) -> Result<(), TryError> {
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => Err(HookError::Broken(self.options.address())),
            end = Box::pin(self.turn(ask, said)) => end,
        };
        let subject = format!("{}/{}", ask.provider, ask.model);
        end.map_err(|error| error.into_try_error(&subject, ask.provider, &self.options))
    }
}

#[cfg(test)]
mod tests;
