//! Models behind the APIs that their providers speak.
//!
//! The cast: a [`Provider`] is somebody who answers messages, by a name in the configuration; a [`ChatEndpoint`] is where one
//! of the [`ChatApi`]s lies. [`ChatModels`] asks such an endpoint for one round of a chat: the [`wire`] makes the request and
//! reads the pieces, the [`call`] holds everything to its bounds (time, silence, size), and a [`failure`] becomes a class for
//! programs and a sentence for people. What came before a failure stays in the [`Reply`].
//!
//! Not guaranteed: usage, which some servers do not send, and which a round that ended early never learns.

mod call;
mod client;
mod failure;
mod framing;
mod options;
mod reply;
mod retry_at;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use reqwest::header::HeaderMap;

use self::call::Call;
pub(crate) use self::client::SharedClient;
use self::failure::{CallError, Complaint, Target};
pub(crate) use self::options::nearby;
pub use self::options::{ChatApi, ChatEndpoint, ModelInfo, Provider, ProviderApi, UnknownApi};
pub(crate) use self::reply::{FinishKind, RawCall, Reply};
pub(crate) use self::wire::{ChatMessage, Prompt, ToolCall, ToolResult};
use crate::ModelRef;
use crate::backend::TryError;

/// How long somebody nearby may take to accept a connection before they count as not there.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(2);

/// The models behind one endpoint.
pub(crate) struct ChatModels {
    /// The provider's name in the configuration.
    name: String,
    endpoint: ChatEndpoint,
    client: SharedClient,
    clock: Arc<dyn Clock>,
}

/// Why a round brought no answer.
pub(crate) struct RoundError {
    /// The failure of the try.
    pub(crate) error: TryError,
    /// Whether the provider refused because it was offered tools.
    pub(crate) is_about_tools: bool,
}

impl ChatModels {
    /// The models of the provider `name`. Nothing is opened before the first round.
    pub(crate) fn new(
        name: &str,
        endpoint: ChatEndpoint,
        client: SharedClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { name: name.to_owned(), endpoint, client, clock }
    }

    /// One round: asks `prompt` and reads the answer into `reply`, until nothing came for `silence`.
    pub(crate) async fn round(
        &self,
        prompt: &Prompt<'_>,
        silence: Duration,
        reply: &mut Reply,
    ) -> Result<(), RoundError> {
        let call =
            Call { client: &self.client, endpoint: &self.endpoint, clock: self.clock.as_ref(), silence };
        call.ask(prompt, reply).await.map_err(|error| RoundError {
            is_about_tools: error.is_about_tools(),
            error: error.into_try_error(&self.target(prompt.model)),
        })
    }

    /// The failure of a model that ended without a word.
    pub(crate) fn no_words(&self, model: &str, reply: &Reply) -> TryError {
        let finish_reason = reply.finish.as_ref().map(|finish| finish.word.clone());
        CallError::Empty { finish_reason }.into_try_error(&self.target(model))
    }

    /// The failure of a model that declined.
    pub(crate) fn declined(&self, model: &str, word: &str) -> TryError {
        CallError::Declined { word: word.to_owned() }.into_try_error(&self.target(model))
    }

    /// Whether the endpoint, where it is nearby, takes connections. One that is far tells when it is asked.
    pub(crate) async fn is_there(&self, model: &str) -> Result<(), String> {
        let Some(nearby) = self.endpoint.nearby() else { return Ok(()) };
        let unreachable = |why| CallError::Unreachable(why).into_try_error(&self.target(model)).message;
        takes_connections(nearby).await.map_err(unreachable)
    }

    fn target(&self, model: &str) -> Target<'_> {
        let model = ModelRef { provider: self.name.clone(), model: model.to_owned() };
        Target { model, endpoint: &self.endpoint }
    }
}

/// Whether somebody takes connections at `address`; if not, why.
pub(crate) async fn takes_connections(address: (String, u16)) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "providers are the operator's choice, not a job's")]
    let connecting = tokio::net::TcpStream::connect(address);
    match tokio::time::timeout(PREFLIGHT_TIMEOUT, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {PREFLIGHT_TIMEOUT:?}")),
    }
}

/// When somebody wants to be asked again, by the headers of their refusal alone.
pub(crate) fn retry_at(headers: &HeaderMap, now: UnixMs) -> Option<UnixMs> {
    retry_at::retry_at(headers, &Complaint::default(), now)
}
