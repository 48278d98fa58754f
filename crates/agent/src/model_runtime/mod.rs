//! Models behind OpenAI's chat completions, which nearly every provider and local server speaks.
//!
//! The cast: [`ModelOptions`] say which [`Provider`]s there are and which model a job gets; [`ModelRuntime`] sends a
//! job's message and reads the answer piece by piece. What came before a failure, a timeout or a cancellation is kept
//! as the run's summary.
//!
//! Not guaranteed: usage, which some servers do not send, and which a turn that ended early never learns.

mod answer;
mod chat;
pub(crate) mod client;
mod failure;
mod model_ref;
mod options;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{
    Diagnostic, Diagnostics, ErrorReason, Role, RunError, RunOutcome, Severity, TranscriptEntry,
};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::failure::CallError;
pub use self::model_ref::{ModelRef, ModelRefError};
use self::options::Target;
pub use self::options::{ModelOptions, NoSuchModel, Provider};
use crate::TurnResult;

/// Asks models.
pub struct ModelRuntime {
    options: ModelOptions,
    client: OnceCell<reqwest::Client>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for ModelRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelRuntime").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ModelRuntime {
    /// A runtime for these providers. It opens nothing before the first message.
    pub fn new(options: ModelOptions, clock: Arc<dyn Clock>) -> Self {
        Self { options, client: OnceCell::new(), clock }
    }

    /// Whether a job that asks for `model` has one to ask, by the configuration alone.
    pub fn check(&self, model: Option<&str>) -> Result<(), NoSuchModel> {
        self.options.resolve(model).map(|_| ())
    }

    /// Sends `text` to `model`, or to the default one, and returns its answer.
    pub async fn run(
        &self,
        text: &str,
        model: Option<&str>,
        timeout: Option<Duration>,
        cancel: &CancellationToken,
    ) -> TurnResult {
        let asked = self.entry(Role::User, text);
        let target = match self.options.resolve(model) {
            Ok(target) => target,
            Err(error) => {
                let error = RunError { reason: ErrorReason::ModelNotFound, message: error.to_string() };
                let outcome = self.outcome(None, Answer::default(), Some(error));
                return TurnResult { transcript: vec![asked], ..TurnResult::of(outcome) };
            }
        };
        let mut answer = Answer::default();
        let error = self.ask(&target, text, &mut answer, timeout, cancel).await.err();
        let said = (!answer.text.is_empty()).then(|| self.entry(Role::Assistant, &answer.text));
        let outcome = self.outcome(Some(&target), answer, error);
        TurnResult { transcript: [asked].into_iter().chain(said).collect(), ..TurnResult::of(outcome) }
    }

    /// Asks within the limits; what has been answered when one of them is met stays in `answer`.
    async fn ask(
        &self,
        target: &Target<'_>,
        text: &str,
        answer: &mut Answer,
        timeout: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<(), RunError> {
        let limit = timeout.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(failure::interrupted(target)),
            () = tokio::time::sleep(limit) => Err(failure::timed_out(target, limit)),
            called = self.call(target, text, answer) => called.map_err(|error| error.into_run_error(target)),
        }
    }

    async fn call(&self, target: &Target<'_>, text: &str, answer: &mut Answer) -> Result<(), CallError> {
        let client = self.client.get_or_try_init(client::connectable).await?;
        let mut request =
            client.post(target.provider.endpoint()).json(&chat::Request::question(&target.model.model, text));
        if let Some(key) = target.provider.key() {
            let mut value =
                HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| CallError::UnsendableKey)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| CallError::unreachable(&error))?;
        answer.read(response).await
    }

    fn outcome(&self, target: Option<&Target<'_>>, answer: Answer, error: Option<RunError>) -> RunOutcome {
        let diagnostics = self.diagnostics(&answer, error.as_ref());
        let mut outcome = match error {
            Some(error) => RunOutcome::error(error.reason, error.message),
            None => RunOutcome::ok(String::new()),
        };
        outcome.summary = Some(answer.text).filter(|text| !text.is_empty());
        outcome.diagnostics = diagnostics;
        outcome.usage = answer.usage;
        outcome.model = target.map(|target| target.model.model.clone());
        outcome.provider = target.map(|target| target.model.provider.clone());
        outcome
    }

    /// What is worth a note: a failure, or an answer that is shorter than the model meant it.
    fn diagnostics(&self, answer: &Answer, error: Option<&RunError>) -> Option<Diagnostics> {
        let (severity, message) = match error {
            Some(error) => (Severity::Error, error.message.clone()),
            None if answer.cut => (Severity::Warn, "the answer was cut: it is longer than 4 MiB".to_owned()),
            None if answer.finish_reason.as_deref() == Some("length") => {
                (Severity::Warn, "the answer ends early: the model reached its limit of tokens".to_owned())
            }
            None => return None,
        };
        let entry = Diagnostic {
            ts: self.clock.now(),
            source: "agent-run".to_owned(),
            severity,
            message: message.clone(),
            exit_code: None,
            truncated: answer.cut.then_some(true),
        };
        Some(Diagnostics { summary: Some(message), entries: vec![entry] })
    }

    fn entry(&self, role: Role, text: &str) -> TranscriptEntry {
        TranscriptEntry::said(self.clock.now(), role, text)
    }
}
