//! A conversation with a model: it is asked, uses its tools, and is asked again, until it has said what it has to say.
//!
//! The cast: [`history`] tells what was said before; each round is one request to [`ChatModels`]; what tools answer comes
//! back behind a [`fence`], because it is data and not orders; and [`silence`] is the tool by which an agent says that there
//! is nothing to report. Rounds and calls have limits, and one that is met is an error that says which.

mod history;
mod silence;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_model::{EntryDetail, ErrorReason, Role, TranscriptEntry};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::backend::{Ask, Backend, Said, TryError};
use crate::live::LivePiece;
use crate::providers::{
    ChatMessage, ChatModels, FinishKind, ModelInfo, Prompt, RawCall, Reply, ToolCall, ToolResult,
};
use crate::toolbox::{ToolAnswer, ToolSpec};
pub(crate) use clawhook_model::{FENCE_RULE, fence};

/// Answers messages by conversations with the models of one provider.
pub(crate) struct Conversations {
    provider: ChatModels,
    models: BTreeMap<String, ModelInfo>,
    clock: Arc<dyn Clock>,
}

impl Conversations {
    /// Conversations with the models of `provider`, of which `models` are known.
    pub(crate) fn new(
        provider: ChatModels,
        models: BTreeMap<String, ModelInfo>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { provider, models, clock }
    }
}

#[async_trait]
impl Backend for Conversations {
    async fn preflight(&self, ask: &Ask<'_>) -> Result<(), String> {
        self.provider.is_there(ask.model).await
    }

    async fn answer(&self, ask: &Ask<'_>, said: &mut Said, stop: &CancellationToken) -> Result<(), TryError> {
        let info = self.models.get(ask.model).cloned().unwrap_or_default();
        let mut conversation = Conversation {
            provider: &self.provider,
            clock: self.clock.as_ref(),
            ask,
            tools: offered(ask, &info),
            info,
            messages: history::messages(ask.history, ask.unfenced),
            reply: Reply::default(),
            calls: 0,
            said,
        };
        conversation.messages.push(ChatMessage::User(ask.text.to_owned()));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = conversation.hold() => return ended,
        }
        conversation.close_round();
        Err(TryError::new(ErrorReason::Interrupted, "the turn was stopped"))
    }
}

/// The tools that the model is told of.
fn offered(ask: &Ask<'_>, info: &ModelInfo) -> Vec<ToolSpec> {
    if !info.tools {
        return Vec::new();
    }
    let servers = ask.tools.tools();
    // A model that is offered tools cannot be held to a schema, so one that has no others is offered none.
    let may_be_silent = ask.may_be_silent && (ask.output_schema.is_none() || !servers.is_empty());
    servers.iter().cloned().chain(may_be_silent.then(silence::tool)).collect()
}

/// One conversation as it goes on.
struct Conversation<'a> {
    provider: &'a ChatModels,
    clock: &'a dyn Clock,
    ask: &'a Ask<'a>,
    info: ModelInfo,
    /// The tools that the model is told of.
    tools: Vec<ToolSpec>,
    messages: Vec<ChatMessage>,
    /// What came so far in the round that goes on.
    reply: Reply,
    /// How many tools were called.
    calls: u32,
    said: &'a mut Said,
}

/// A call, and what the model wrote for its arguments where that cannot be read.
struct Wanted {
    call: ToolCall,
    unreadable: Option<String>,
}

impl Conversation<'_> {
    async fn hold(&mut self) -> Result<(), TryError> {
        for _ in 0..self.ask.profile.limits.rounds.max(1) {
            let mut reply = self.round().await?;
            let wanted: Vec<Wanted> =
                std::mem::take(&mut reply.calls).into_iter().map(Wanted::read).collect();
            if wanted.is_empty() || reply.cut {
                return self.end(&reply);
            }
            let results = self.call_tools(&wanted).await?;
            let Some(results) = results else { return Ok(()) };
            let calls = wanted.into_iter().map(|wanted| wanted.call).collect();
            self.messages.push(ChatMessage::Assistant { text: reply.text, calls, native: reply.native });
            self.messages.push(ChatMessage::ToolResults(results));
        }
        Err(self.limit("rounds", self.ask.profile.limits.rounds, "asked for tools in each of the"))
    }

    /// Asks once. What came is recorded, whether it came to its end or not.
    async fn round(&mut self) -> Result<Reply, TryError> {
        let mut asked = self.ask_provider().await;
        let only_ours = self.ask.tools.tools().is_empty() && !self.tools.is_empty();
        if only_ours && asked.as_ref().is_err_and(|error| error.is_about_tools) && self.reply.text.is_empty()
        {
            // Its own tool is not worth a failure with a model that can use none.
            self.tools.clear();
            let note =
                format!("{}/{} takes no tools, so it was asked without", self.ask.provider, self.ask.model);
            self.said.notes.push(note);
            asked = self.ask_provider().await;
        }
        let reply = self.close_round();
        match asked {
            Ok(()) => Ok(reply),
            Err(error) => Err(error.error),
        }
    }

    async fn ask_provider(&mut self) -> Result<(), crate::providers::RoundError> {
        let ask = self.ask;
        self.reply = Reply::new(ask.live.clone());
        let prompt = Prompt {
            model: ask.model,
            system: ask.system,
            messages: &self.messages,
            tools: &self.tools,
            thinking: ask.thinking,
            max_tokens: ask.profile.limits.max_tokens.or(self.info.max_tokens),
            context_tokens: self.info.context_tokens,
            output_schema: ask.output_schema.filter(|_| self.tools.is_empty()),
        };
        self.provider.round(&prompt, ask.profile.limits.model_timeout, &mut self.reply).await
    }

    /// The round is over, or is broken off: what came of it is recorded.
    fn close_round(&mut self) -> Reply {
        let reply = std::mem::take(&mut self.reply);
        self.record(&reply);
        reply
    }

    fn record(&mut self, reply: &Reply) {
        if let Some(usage) = reply.usage {
            *self.said.usage.get_or_insert_default() += usage;
        }
        if reply.model.is_some() {
            self.said.model.clone_from(&reply.model);
        }
        self.said.cut |= reply.cut;
        if !reply.thinking.is_empty() {
            self.tell(Role::Assistant, &reply.thinking, Some(EntryDetail::Thinking));
        }
        if !reply.text.trim().is_empty() {
            self.tell(Role::Assistant, &reply.text, None);
            self.said.text.clone_from(&reply.text);
        }
    }

    /// The last round is over: it was the answer, or there is none.
    fn end(&mut self, reply: &Reply) -> Result<(), TryError> {
        let finish = reply.finish.as_ref();
        if let Some(finish) = finish.filter(|finish| finish.kind == FinishKind::Refused) {
            return Err(self.provider.declined(self.ask.model, &finish.word));
        }
        // A model may say its last words beside its last call.
        if self.said.text.is_empty() {
            return Err(self.provider.no_words(self.ask.model, reply));
        }
        if reply.cut {
            self.said.notes.push("the answer was cut: it is longer than 4 MiB".to_owned());
        } else if finish.is_some_and(|finish| finish.kind == FinishKind::Length) {
            self.said.notes.push("the answer ends early: the model reached its limit of tokens".to_owned());
        }
        Ok(())
    }

    /// Calls the tools, one after the other. None where the agent has nothing to report: then the turn is over.
    async fn call_tools(&mut self, wanted: &[Wanted]) -> Result<Option<Vec<ToolResult>>, TryError> {
        let mut results = Vec::with_capacity(wanted.len());
        for Wanted { call, unreadable } in wanted {
            let arguments = match unreadable {
                Some(text) => Value::String(text.clone()),
                None => Value::Object(call.arguments.clone()),
            };
            self.tell_call(call, arguments);
            if call.name == silence::NOTHING_TO_REPORT && self.is_offered(&call.name) {
                self.said.silent = true;
                self.said.text = silence::text(&call.arguments);
                return Ok(None);
            }
            let answer = match unreadable {
                Some(_) => ToolAnswer {
                    text: "the arguments are not a JSON object; call it again with one".to_owned(),
                    is_error: true,
                },
                None => self.call_tool(call).await?,
            };
            self.tell_result(call, &answer);
            let text = if self.ask.unfenced { answer.text } else { fence(&answer.text) };
            let (call_id, name) = (call.id.clone(), call.name.clone());
            results.push(ToolResult { call_id, name, text, is_error: answer.is_error });
        }
        Ok(Some(results))
    }

    async fn call_tool(&mut self, call: &ToolCall) -> Result<ToolAnswer, TryError> {
        let most = self.ask.profile.limits.tool_calls;
        if self.calls >= most {
            return Err(self.limit("toolCalls", most, "asked for more tools than the"));
        }
        self.calls += 1;
        if !self.is_offered(&call.name) {
            let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            let text = format!("there is no tool `{}`; there are: {}", call.name, names.join(", "));
            return Ok(ToolAnswer { text, is_error: true });
        }
        Ok(self.ask.tools.call(&call.name, call.arguments.clone()).await)
    }

    fn is_offered(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    fn limit(&self, which: &str, most: u32, what: &str) -> TryError {
        let Ask { provider, model, .. } = self.ask;
        let message = format!(
            "{provider}/{model} {what} {most} that it may have (limits.{which}). Raise that limit of the agent, or ask for \
             less in one run."
        );
        TryError { is_final: true, ..TryError::new(ErrorReason::TurnLimit, message) }
    }

    fn tell_call(&mut self, call: &ToolCall, arguments: Value) {
        self.ask.live.tell(|| LivePiece::ToolCall { name: call.name.clone(), arguments: arguments.clone() });
        let (call_id, name) = (call.id.clone(), call.name.clone());
        self.tell(Role::Assistant, "", Some(EntryDetail::ToolCall { call_id, name, arguments }));
    }

    fn tell_result(&mut self, call: &ToolCall, answer: &ToolAnswer) {
        let is_error = answer.is_error;
        self.ask.live.tell(|| LivePiece::ToolResult { name: call.name.clone(), is_error });
        let (call_id, name) = (call.id.clone(), call.name.clone());
        self.tell(Role::Tool, &answer.text, Some(EntryDetail::ToolResult { call_id, name, is_error }));
    }

    fn tell(&mut self, role: Role, text: &str, detail: Option<EntryDetail>) {
        let entry = TranscriptEntry { at: self.clock.now(), role, text: text.to_owned(), detail };
        self.said.transcript.push(entry);
    }
}

impl Wanted {
    /// No arguments at all are an empty object.
    fn read(raw: RawCall) -> Self {
        let RawCall { id, name, arguments } = raw;
        let (read, unreadable) = match serde_json::from_str::<Map<String, Value>>(&arguments) {
            Ok(map) => (map, None),
            Err(_) if arguments.trim().is_empty() => (Map::new(), None),
            Err(_) => (Map::new(), Some(arguments)),
        };
        Self { call: ToolCall { id, name, arguments: read }, unreadable }
    }
}

#[cfg(test)]
mod tests;
