//! The chain of those who may answer a message: one after the other is asked until one has.
//!
//! The cast: a [`Candidate`] is a model and who answers for it; [`Preflights`] remember who is there at all; a [`Chain`] asks
//! within the turn's time, of which nobody gets more than a fair share as long as others wait; what each of them said, did
//! and used is kept, and at the end one error names each of them.
//!
//! Not guaranteed: that a provider stops to charge for an answer that was given up.

mod ending;
mod preflight;

use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{
    EntryDetail, ErrorReason, Role, RunOutcome, SessionRef, TranscriptEntry, UnixMs, Usage, Usd,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::preflight::Preflights;
use crate::backend::{Ask, Backend, Said, TryError};
use crate::live::{LiveOutput, LivePiece};
use crate::mcp::McpServers;
use crate::output_schema::{Misfit, OutputSchema};
use crate::profile::AgentProfile;
use crate::providers::Provider;
use crate::toolbox::{NoTools, Toolbox};
use crate::{Message, ModelRef, NoSuchModel, TurnResult};

/// How long somebody who was told to stop may take to end what they started.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A model, and who answers for it.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) backend: &'a dyn Backend,
}

/// A model that was named, and who answers for it where anybody does.
pub(crate) type Named<'a> = Result<(ModelRef, Candidate<'a>), NoSuchModel>;

/// What a chain needs to know.
pub(crate) struct Chain<'a> {
    pub(crate) profile: &'a AgentProfile,
    pub(crate) message: &'a Message,
    pub(crate) session: &'a SessionRef,
    pub(crate) system: &'a str,
    pub(crate) schema: Option<OutputSchema>,
    pub(crate) tools: &'a McpServers,
    pub(crate) timeout: Option<Duration>,
    pub(crate) live: &'a LiveOutput,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) preflights: &'a Preflights,
    pub(crate) cancel: &'a CancellationToken,
}

/// What came of a chain so far.
struct Course {
    begun_at: Instant,
    tries: Vec<Tried>,
    transcript: Vec<TranscriptEntry>,
    usage: Option<Usage>,
    cost: Option<Usd>,
    notes: Vec<String>,
    /// What was said last, by whom.
    text: String,
    model: Option<String>,
    provider: Option<String>,
    cut: bool,
}

/// Somebody who did not answer.
struct Tried {
    error: TryError,
    /// Whether anything was begun.
    begun: bool,
}

impl Chain<'_> {
    /// Asks the candidates one after the other.
    pub(crate) async fn answer(&self, candidates: Vec<Named<'_>>) -> TurnResult {
        let mut course = Course::new();
        let mut waiting = candidates.len();
        for named in candidates {
            let tried = match named {
                Err(error) => Err(Tried {
                    error: TryError::new(ErrorReason::ModelNotFound, error.to_string()),
                    begun: false,
                }),
                Ok((model, candidate)) => self.ask_one(&model, candidate, waiting, &mut course).await,
            };
            waiting -= 1;
            match tried {
                Ok(outcome) => return course.answered(outcome, self.clock.now()),
                Err(tried) => {
                    let goes_on = waiting > 0 && !tried.error.is_final;
                    course.failed(tried, goes_on, self);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        course.none_answered(self.clock.now())
    }

    /// Asks one candidate; `waiting` counts it and those after it.
    async fn ask_one(
        &self,
        model: &ModelRef,
        candidate: Candidate<'_>,
        waiting: usize,
        course: &mut Course,
    ) -> Result<RunOutcome, Tried> {
        let not_begun = |error| Tried { error, begun: false };
        self.preflight(model, candidate).await.map_err(not_begun)?;
        let share = Share { ends_at: course.share(self.timeout, waiting), is_last: waiting == 1 };
        let tools = self.open_tools(share, model, candidate).await.map_err(not_begun)?;
        let answered = self.ask_with(tools.as_ref(), share, model, candidate, course).await;
        course.notes.extend(tools.notes().iter().cloned());
        tools.close().await;
        answered
    }

    async fn ask_with(
        &self,
        tools: &dyn Toolbox,
        share: Share,
        model: &ModelRef,
        candidate: Candidate<'_>,
        course: &mut Course,
    ) -> Result<RunOutcome, Tried> {
        let ask = self.ask(model, tools, share.left());
        self.live.tell(|| LivePiece::Asked { provider: model.provider.clone(), model: model.model.clone() });
        if course.transcript.is_empty() {
            course.transcript.push(self.entry(Role::User, &self.message.text, None));
        }
        course.provider = Some(model.provider.clone());
        course.model = Some(model.model.clone());
        let mut said = Said::default();
        let begun_at = course.transcript.len();
        let answered = self.within(share, model, candidate, &ask, &mut said).await;
        let silent = said.silent;
        course.take(said, model, candidate);
        let answered = match (answered, &self.schema) {
            (Ok(()), Some(schema)) if !silent => {
                self.fit(schema, share, (model, candidate), course, begun_at).await.map(Some)
            }
            (answered, _) => answered.map(|()| None),
        };
        match answered {
            Ok(output) => Ok(RunOutcome { output, silent, ..RunOutcome::ok(course.text.clone()) }),
            Err(error) => {
                if error.reason == ErrorReason::Network {
                    self.preflights.forget(&model.provider);
                }
                let begun = error.reason != ErrorReason::Unavailable || course.transcript.len() > begun_at;
                Err(Tried { error, begun })
            }
        }
    }

    /// The value of the result, where it fits the schema. Where it does not, the model is told so once.
    async fn fit(
        &self,
        schema: &OutputSchema,
        share: Share,
        (model, candidate): (&ModelRef, Candidate<'_>),
        course: &mut Course,
        begun_at: usize,
    ) -> Result<serde_json::Value, TryError> {
        let misfit = match schema.read(&course.text) {
            Ok(value) => return Ok(value),
            Err(misfit) => misfit,
        };
        course
            .notes
            .push(format!("the result did not fit the job's outputSchema: {misfit}; it was asked for again"));
        let text = repair(&misfit);
        let history =
            [self.message.history.as_slice(), &course.transcript[..1], &course.transcript[begun_at..]]
                .concat();
        let ask = Ask {
            history: &history,
            text: &text,
            may_be_silent: false,
            ..self.ask(model, &NoTools, share.left())
        };
        course.transcript.push(self.entry(Role::User, &text, Some(EntryDetail::Gateway)));
        let mut said = Said::default();
        let answered = self.within(share, model, candidate, &ask, &mut said).await;
        course.take(said, model, candidate);
        answered?;
        schema.read(&course.text).map_err(|misfit| does_not_fit(model, &misfit))
    }

    /// Has a candidate answer, until it has, the turn is cancelled, or its time is over.
    async fn within(
        &self,
        share: Share,
        model: &ModelRef,
        candidate: Candidate<'_>,
        ask: &Ask<'_>,
        said: &mut Said,
    ) -> Result<(), TryError> {
        let stop = CancellationToken::new();
        let mut answering = candidate.backend.answer(ask, said, &stop);
        let begun_at = Instant::now();
        let error = tokio::select! {
            biased;
            () = self.cancel.cancelled() => interrupted(model),
            () = share.over() => share.error(model, self.timeout, begun_at.elapsed()),
            answered = &mut answering => return answered,
        };
        stop.cancel();
        // It ends what it started; what it says of that does not matter any more.
        let _ = timeout(STOP_GRACE, answering).await;
        Err(error)
    }

    async fn preflight(&self, model: &ModelRef, candidate: Candidate<'_>) -> Result<(), TryError> {
        let workspace = self.profile.workspace.as_deref();
        let folder = workspace.filter(|_| candidate.backend.starts_in_workspace());
        let result = match self.preflights.known(&model.provider, folder, self.clock.now()) {
            Some(result) => result,
            None => {
                let ask = self.ask(model, &NoTools, None);
                let result = tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return Err(interrupted(model)),
                    result = candidate.backend.preflight(&ask) => result,
                };
                self.preflights.learn(&model.provider, folder, result.clone(), self.clock.now());
                result
            }
        };
        result.map_err(|why| TryError::new(ErrorReason::Unavailable, why))
    }

    /// The tools of the turn. Where one of their servers does not come up nobody is asked: to go on without it would silently
    /// change what the agent can do.
    async fn open_tools(
        &self,
        share: Share,
        model: &ModelRef,
        candidate: Candidate<'_>,
    ) -> Result<Box<dyn Toolbox>, TryError> {
        let tools_allow = self.message.tools_allow.as_deref();
        if candidate.backend.calls_tools_itself() {
            return Ok(self.tools.handover(self.profile, tools_allow));
        }
        let begun_at = Instant::now();
        tokio::select! {
            biased;
            opened = self.tools.toolbox(self.profile, tools_allow, self.cancel) => opened.map_err(|error| {
                if self.cancel.is_cancelled() {
                    return interrupted(model);
                }
                let hint = error.hint().map_or_else(String::new, |hint| format!("; {hint}"));
                TryError::new(error.reason(), format!("{model} could not be asked: {error}{hint}."))
            }),
            () = share.over() => Err(share.error(model, self.timeout, begun_at.elapsed())),
        }
    }

    fn ask<'b>(
        &'b self,
        model: &'b ModelRef,
        tools: &'b dyn Toolbox,
        time_left: Option<Duration>,
    ) -> Ask<'b> {
        let tools_allow = self.message.tools_allow.as_deref();
        Ask {
            profile: self.profile,
            provider: &model.provider,
            model: &model.model,
            session: self.session,
            system: Some(self.system),
            history: &self.message.history,
            text: &self.message.text,
            thinking: self.message.thinking.or(self.profile.thinking),
            tools,
            tools_allow,
            may_be_silent: tools_allow.is_none_or(|allowed| !allowed.is_empty()),
            output_schema: self.message.output_schema.as_ref(),
            unfenced: self.message.unfenced,
            time_left,
            live: self.live,
        }
    }

    fn entry(&self, role: Role, text: &str, detail: Option<EntryDetail>) -> TranscriptEntry {
        TranscriptEntry { at: self.clock.now(), role, text: text.to_owned(), detail }
    }
}

/// The time that a candidate has.
#[derive(Clone, Copy)]
struct Share {
    ends_at: Option<Instant>,
    /// Whether nobody comes after it, so that its share is all that is left of the turn's time.
    is_last: bool,
}

impl Share {
    async fn over(&self) {
        match self.ends_at {
            Some(end) => tokio::time::sleep_until(end).await,
            None => sleep(Duration::MAX).await,
        }
    }

    fn left(&self) -> Option<Duration> {
        self.ends_at.map(|end| end.saturating_duration_since(Instant::now()))
    }

    fn error(&self, model: &ModelRef, turn: Option<Duration>, took: Duration) -> TryError {
        if self.is_last {
            return timed_out(model, turn.unwrap_or(took));
        }
        let message =
            format!("{model} had not answered after {took:.1?}, its share of the time that the run has.");
        TryError::new(ErrorReason::Timeout, message)
    }
}

/// The failure of a turn that was out of time.
fn timed_out(model: &ModelRef, limit: Duration) -> TryError {
    let message = format!("cron: job execution timed out after {limit:?}, while {model} was answering");
    TryError { is_final: true, ..TryError::new(ErrorReason::Timeout, message) }
}

/// The failure of a turn that was cancelled.
fn interrupted(model: &ModelRef) -> TryError {
    let message = format!("cron: job interrupted, while {model} was answering");
    TryError { is_final: true, ..TryError::new(ErrorReason::Interrupted, message) }
}

fn does_not_fit(model: &ModelRef, misfit: &Misfit) -> TryError {
    let message = format!(
        "the result of {model} does not fit the job's outputSchema, even after it was told so: {misfit}."
    );
    TryError { is_final: true, ..TryError::new(ErrorReason::OutputSchema, message) }
}

fn repair(misfit: &Misfit) -> String {
    format!(
        "Your answer does not fit the JSON Schema that it must fit: {misfit}. Answer again with the whole result: the JSON \
         alone, without any other words."
    )
}

impl Course {
    fn new() -> Self {
        Self {
            begun_at: Instant::now(),
            tries: Vec::new(),
            transcript: Vec::new(),
            usage: None,
            cost: None,
            notes: Vec::new(),
            text: String::new(),
            model: None,
            provider: None,
            cut: false,
        }
    }

    /// What is left of the turn's time.
    fn left(&self, limit: Option<Duration>) -> Option<Duration> {
        limit.map(|limit| limit.saturating_sub(self.begun_at.elapsed()))
    }

    /// Until when a candidate may take, if `waiting` of them wait: an equal part of what is left. The last gets all of it.
    fn share(&self, limit: Option<Duration>, waiting: usize) -> Option<Instant> {
        let waiting = u32::try_from(waiting.max(1)).unwrap_or(u32::MAX);
        let left = self.left(limit)?;
        Instant::now().checked_add(left / waiting)
    }

    /// Keeps what a candidate said and used.
    fn take(&mut self, said: Said, model: &ModelRef, candidate: Candidate<'_>) {
        let Said { text, transcript, usage, model: by_its_own_name, silent: _, cut, notes } = said;
        if !text.is_empty() {
            self.text = text;
        }
        self.transcript.extend(transcript);
        if let Some(usage) = usage {
            *self.usage.get_or_insert_default() += usage;
            let price = candidate.provider.models.get(&model.model).and_then(|info| info.price);
            if let Some(price) = price {
                *self.cost.get_or_insert_default() += price.of(&usage);
            }
        }
        if by_its_own_name.is_some() {
            self.model = by_its_own_name;
        }
        self.cut = cut;
        self.notes.extend(notes);
    }

    fn failed(&mut self, tried: Tried, goes_on: bool, chain: &Chain<'_>) {
        if goes_on {
            let note = format!("{} The next model is asked.", tried.error.message);
            if tried.begun && !self.transcript.is_empty() {
                self.transcript.push(chain.entry(Role::System, &note, Some(EntryDetail::Gateway)));
            }
            chain.live.tell(|| LivePiece::Note { text: note });
        }
        self.tries.push(tried);
    }

    /// Whether a tool did something, which a later run would do again.
    fn has_done_something(&self) -> bool {
        self.transcript.iter().any(|entry| matches!(entry.detail, Some(EntryDetail::ToolResult { .. })))
    }

    /// When to try again, where somebody said so.
    fn ask_again_at(&self) -> Option<UnixMs> {
        if self.has_done_something() {
            return None;
        }
        self.tries.iter().filter_map(|tried| tried.error.retry_at).min()
    }
}
