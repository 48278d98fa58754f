//! What an agent says and does in a turn, kept in order and within bounds.

use std::collections::HashMap;
use std::fmt::Write as _;

use agent_client_protocol_schema::v1::{
    ContentBlock, ContentChunk, Plan, PlanEntryStatus, SessionUpdate, ToolCall, ToolCallContent,
    ToolCallStatus, ToolCallUpdate,
};
use clawhook_clock::Clock;
use clawhook_model::{EntryDetail, Role, TranscriptEntry, Usage};
use serde_json::{Map, Value, json};

use super::options::AcpToolKind;
use crate::backend::Said;
use crate::live::{LiveOutput, LivePiece};
use crate::quote::start_of;

/// How much text of an answer is kept.
const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// How much is kept of all that is not the answer: thoughts, what tools were given and what they answered.
const ASIDE_LIMIT: usize = 4 * 1024 * 1024;

/// How much of what one tool answered.
const RESULT_LIMIT: usize = 256 * 1024;

/// How many things said and done are kept.
const ENTRY_LIMIT: usize = 10_000;

/// How many characters of a plan, and of what a tool is to do.
const NOTE_LIMIT: usize = 1000;

const CUT_MARKER: &str = "\n[the answer was cut here: it is longer than 4 MiB]";

/// Keeps what comes in `said`, and tells it on.
pub(super) struct Record<'a> {
    said: &'a mut Said,
    live: &'a LiveOutput,
    clock: &'a dyn Clock,
    /// All that was said, whatever came between.
    whole: String,
    /// Where in it the last message begins: after the last tool.
    last_message: usize,
    /// What the next piece goes on with, if it is of the same kind.
    open: Option<Voice>,
    aside_room: usize,
    calls: HashMap<String, Call>,
    plan: Option<String>,
    /// The sum of what the single answers of the model took; the whole turn's count, if it is told, is better.
    usage: Option<Usage>,
}

/// Speaking or thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Aloud,
    Inward,
}

/// A tool that was called.
struct Call {
    state: ToolCall,
    /// Its place in the transcript.
    entry: usize,
    is_told: bool,
    is_over: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(said: &'a mut Said, live: &'a LiveOutput, clock: &'a dyn Clock) -> Self {
        Self {
            said,
            live,
            clock,
            whole: String::new(),
            last_message: 0,
            open: None,
            aside_room: ASIDE_LIMIT,
            calls: HashMap::new(),
            plan: None,
            usage: None,
        }
    }

    /// Takes in what the agent tells of its turn.
    pub(super) fn update(&mut self, update: SessionUpdate) {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => self.speak(&chunk),
            SessionUpdate::AgentThoughtChunk(chunk) => self.think(&chunk),
            SessionUpdate::ToolCall(call) => self.call(call),
            SessionUpdate::ToolCallUpdate(update) => self.call_goes_on(update),
            SessionUpdate::Plan(plan) => self.plan = Some(plan_text(&plan)),
            // What commands it has, how full its context is, what the session is called: nothing of the turn.
            _ => {}
        }
    }

    /// Whether more was said than is kept.
    pub(super) fn is_full(&self) -> bool {
        self.said.cut
    }

    /// How many tools were called.
    pub(super) fn tool_calls(&self) -> usize {
        self.calls.len()
    }

    /// What a tool is for which leave is asked: its kind, and in words what it is to do.
    pub(super) fn asked_about(&mut self, update: ToolCallUpdate) -> (AcpToolKind, String) {
        let id = update.tool_call_id.0.to_string();
        self.call_goes_on(update);
        let Some(call) = self.calls.get(&id) else { return (AcpToolKind::Other, String::new()) };
        let kind = AcpToolKind::from(call.state.kind);
        let title = start_of(call.state.title.trim(), NOTE_LIMIT);
        (
            kind,
            if title.is_empty() { kind.as_str().to_owned() } else { format!("{title} ({})", kind.as_str()) },
        )
    }

    /// Keeps that leave was asked for, and how that was answered.
    pub(super) fn permission(&mut self, what: &str, granted: bool) {
        self.push(Role::Assistant, what.to_owned(), EntryDetail::Permission { granted });
        if !granted {
            self.live.tell(|| LivePiece::Note { text: format!("not permitted: {what}") });
        }
    }

    /// Keeps something worth a note.
    pub(super) fn note(&mut self, text: String) {
        self.live.tell(|| LivePiece::Note { text: text.clone() });
        self.said.notes.push(text);
    }

    /// What the model answered last took so many tokens of the whole turn.
    pub(super) fn used_in_all(&mut self, usage: Option<&Value>) {
        self.usage = usage.and_then(usage_of).or(self.usage);
    }

    /// The turn is over: its result is the last message, or where nothing was said after the last tool, all that was
    /// said.
    pub(super) fn finish(mut self) {
        if let Some(plan) = self.plan.take() {
            self.said.notes.push(plan);
        }
        self.said.usage = self.usage;
        let last = self.whole[self.last_message..].trim();
        self.said.text = if last.is_empty() { self.whole.trim().to_owned() } else { last.to_owned() };
    }

    fn speak(&mut self, chunk: &ContentChunk) {
        if let Some(usage) = chunk.meta.as_ref().and_then(|meta| usage_of(meta.get("usage")?)) {
            self.usage = Some(self.usage.map_or(usage, |sum| {
                let mut sum = sum;
                sum += usage;
                sum
            }));
        }
        let text = block_text(&chunk.content);
        if text.is_empty() || self.said.cut {
            return;
        }
        if self.open != Some(Voice::Aloud) && !self.whole.is_empty() {
            self.whole.push_str("\n\n");
        }
        let room = TEXT_LIMIT.saturating_sub(self.whole.len());
        let mut text = text;
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
            text.push_str(CUT_MARKER);
            self.said.cut = true;
        }
        self.whole.push_str(&text);
        self.live.tell(|| LivePiece::Text { text: text.clone() });
        self.go_on(Voice::Aloud, &text);
    }

    fn think(&mut self, chunk: &ContentChunk) {
        let text = self.aside(block_text(&chunk.content), usize::MAX);
        if !text.is_empty() {
            self.live.tell(|| LivePiece::Thinking { text: text.clone() });
            self.go_on(Voice::Inward, &text);
        }
    }

    /// Adds to the entry that is open, or opens one.
    fn go_on(&mut self, voice: Voice, text: &str) {
        let is_full = self.said.transcript.len() >= ENTRY_LIMIT;
        match self.said.transcript.last_mut() {
            Some(entry) if self.open == Some(voice) => entry.text.push_str(text),
            _ if is_full => {}
            _ => {
                let at = self.clock.now();
                self.said.transcript.push(match voice {
                    Voice::Aloud => TranscriptEntry::said(at, Role::Assistant, text),
                    Voice::Inward => TranscriptEntry::with(at, Role::Assistant, text, EntryDetail::Thinking),
                });
                self.open = Some(voice);
            }
        }
    }

    fn push(&mut self, role: Role, text: String, detail: EntryDetail) {
        self.open = None;
        self.said.transcript.push(TranscriptEntry::with(self.clock.now(), role, text, detail));
    }

    /// A tool is called, or told of once more.
    fn call(&mut self, state: ToolCall) {
        let id = state.tool_call_id.0.to_string();
        match self.calls.get_mut(&id) {
            Some(call) => call.state = state,
            None => self.begin(id.clone(), state),
        }
        self.look_at(&id);
    }

    fn call_goes_on(&mut self, update: ToolCallUpdate) {
        let id = update.tool_call_id.0.to_string();
        if !self.calls.contains_key(&id) {
            self.begin(id.clone(), ToolCall::new(id.clone(), ""));
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.state.update(update.fields);
        }
        self.look_at(&id);
    }

    fn begin(&mut self, id: String, state: ToolCall) {
        self.last_message = self.whole.len();
        let entry = self.said.transcript.len();
        let detail = EntryDetail::ToolCall { call_id: id.clone(), name: String::new(), arguments: json!({}) };
        self.push(Role::Assistant, String::new(), detail);
        self.calls.insert(id, Call { state, entry, is_told: false, is_over: false });
    }

    /// Brings the transcript up to what is known of a call. Agents tell what a tool is given only after they have told that
    /// it is called.
    fn look_at(&mut self, id: &str) {
        let Some(mut call) = self.calls.remove(id) else { return };
        bound(&mut call.state);
        if !call.is_over {
            self.describe(id, &call);
            if call.state.status != ToolCallStatus::Pending && !call.is_told {
                call.is_told = true;
                self.tell_call(&call);
            }
            if matches!(call.state.status, ToolCallStatus::Completed | ToolCallStatus::Failed) {
                call.is_over = true;
                self.result(id, &call.state);
            }
        }
        if call.is_over {
            call.state = ToolCall::new(id.to_owned(), "").kind(call.state.kind);
        }
        self.calls.insert(id.to_owned(), call);
    }

    fn describe(&mut self, id: &str, call: &Call) {
        let arguments = call.state.raw_input.clone().unwrap_or_else(|| json!({}));
        let name = name_of(&call.state);
        if let Some(entry) = self.said.transcript.get_mut(call.entry) {
            entry.text = start_of(call.state.title.trim(), NOTE_LIMIT);
            entry.detail = Some(EntryDetail::ToolCall { call_id: id.to_owned(), name, arguments });
        }
    }

    fn tell_call(&mut self, call: &Call) {
        let entry = self.said.transcript.get(call.entry);
        if let Some(EntryDetail::ToolCall { name, arguments, .. }) =
            entry.and_then(|entry| entry.detail.clone())
        {
            self.live.tell(|| LivePiece::ToolCall { name, arguments });
        }
    }

    fn result(&mut self, id: &str, state: &ToolCall) {
        let text = self.aside(result_text(state), RESULT_LIMIT);
        let is_error = state.status == ToolCallStatus::Failed;
        let name = name_of(state);
        self.live.tell(|| LivePiece::ToolResult { name: name.clone(), is_error });
        self.push(Role::Tool, text, EntryDetail::ToolResult { call_id: id.to_owned(), name, is_error });
    }

    /// So much of `text` as there is room for.
    fn aside(&mut self, text: String, limit: usize) -> String {
        let text = cut(text, limit.min(self.aside_room));
        self.aside_room = self.aside_room.saturating_sub(text.len());
        text
    }
}

/// The start of `text`, with a sign where there is more; of nothing there is no sign.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        if limit > 0 {
            text.push_str("\n[cut here]");
        }
    }
    text
}

/// Lets go of what is more than is kept of a call, however often it is told of.
fn bound(state: &mut ToolCall) {
    let size = state.raw_input.as_ref().map_or(0, |input| input.to_string().len());
    if size > RESULT_LIMIT {
        state.raw_input = Some(json!({ "leftOut": format!("{size} bytes") }));
    }
    let text = result_text(state);
    if text.len() > RESULT_LIMIT {
        state.raw_output = None;
        state.content = vec![cut(text, RESULT_LIMIT).into()];
    }
}

/// The tool's name where it has one, else what it does.
fn name_of(state: &ToolCall) -> String {
    let name = state.name.as_deref().or_else(|| state.meta.as_ref()?.get("toolName")?.as_str());
    start_of(name.unwrap_or_else(|| AcpToolKind::from(state.kind).as_str()), 100)
}

fn block_text(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[{}, {} bytes as text]", image.mime_type, image.data.len()),
        ContentBlock::Audio(audio) => format!("[{}, {} bytes as text]", audio.mime_type, audio.data.len()),
        ContentBlock::ResourceLink(link) => format!("[{}]", link.uri),
        _ => "[a resource]".to_owned(),
    }
}

fn result_text(state: &ToolCall) -> String {
    let mut parts = Vec::new();
    for content in &state.content {
        match content {
            ToolCallContent::Content(content) => parts.push(block_text(&content.content)),
            ToolCallContent::Diff(diff) => parts.push(format!("[changed {}]", diff.path.display())),
            _ => {}
        }
    }
    if parts.is_empty() {
        match &state.raw_output {
            Some(Value::String(text)) => parts.push(text.clone()),
            Some(Value::Null) | None => {}
            Some(value) => parts.push(value.to_string()),
        }
    }
    parts.join("\n")
}

fn plan_text(plan: &Plan) -> String {
    let mut text = "the agent's plan:".to_owned();
    for entry in &plan.entries {
        let sign = match entry.status {
            PlanEntryStatus::Completed => "done",
            PlanEntryStatus::InProgress => "under way",
            _ => "open",
        };
        let _ = write!(text, " [{sign}] {};", entry.content.trim());
    }
    start_of(text.trim_end_matches(';'), NOTE_LIMIT)
}

/// Tokens, as the protocol and the agents of today count them.
fn usage_of(usage: &Value) -> Option<Usage> {
    let usage: &Map<String, Value> = usage.as_object()?;
    let count = |name| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, output) = (count("inputTokens"), count("outputTokens"));
    let (cache_read_tokens, cache_write_tokens) = (count("cachedReadTokens"), count("cachedWriteTokens"));
    let total = count("totalTokens").max(input.saturating_add(output));
    // Some count what came from the cache among what was read, others beside it.
    let cached = cache_read_tokens.saturating_add(cache_write_tokens);
    let is_beside = input.saturating_add(output).saturating_add(cached) <= total;
    let input_tokens = if is_beside { input.saturating_add(cached) } else { input };
    let usage = Usage {
        total_tokens: total,
        cache_read_tokens,
        cache_write_tokens,
        ..Usage::new(input_tokens, output)
    };
    (usage.total_tokens > 0).then_some(usage)
}

#[cfg(test)]
mod tests;
