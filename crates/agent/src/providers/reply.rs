//! What a model has said so far in one round.

use clawhook_model::Usage;
use serde_json::Value;

use crate::live::{LiveOutput, LivePiece};

/// How much text of an answer is kept.
pub(crate) const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// How much of what a model thinks is kept.
const THINKING_LIMIT: usize = 1024 * 1024;

/// How many tools a model may call at once. More is no work but a loop.
pub(super) const CALLS_LIMIT: usize = 128;

const CUT_MARKER: &str = "\n[the answer was cut here: it is longer than 4 MiB]";

/// One round of a model, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// What it said.
    pub(crate) text: String,
    /// What it thought.
    pub(crate) thinking: String,
    /// The tools it asks for.
    pub(crate) calls: Vec<RawCall>,
    /// The round in the provider's own form, where a later round of the turn must hold it unchanged.
    pub(crate) native: Vec<Value>,
    /// Tokens used.
    pub(crate) usage: Option<Usage>,
    /// The model that answered, by its own word.
    pub(crate) model: Option<String>,
    /// Why the model ended, once it has.
    pub(crate) finish: Option<Finish>,
    /// Whether the text was cut at its limit.
    pub(crate) cut: bool,
    live: LiveOutput,
}

/// A call as the model wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RawCall {
    /// What its result refers to.
    pub(crate) id: String,
    /// The tool.
    pub(crate) name: String,
    /// JSON, or what the model takes for it.
    pub(crate) arguments: String,
}

/// Why a model ended its round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finish {
    /// What it means.
    pub(crate) kind: FinishKind,
    /// The provider's word for it.
    pub(crate) word: String,
}

/// What an end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishKind {
    /// It has said all it wants to say.
    Done,
    /// It had no more tokens.
    Length,
    /// It declined, or its provider did.
    Refused,
}

impl Reply {
    /// Nothing yet; `live` hears what comes.
    pub(crate) fn new(live: LiveOutput) -> Self {
        Self { live, ..Self::default() }
    }

    /// The model says more.
    pub(super) fn say(&mut self, text: &str) {
        if text.is_empty() || self.cut {
            return;
        }
        let room = TEXT_LIMIT - self.text.len();
        let kept = &text[..text.floor_char_boundary(room)];
        self.text.push_str(kept);
        self.live.tell(|| LivePiece::Text { text: kept.to_owned() });
        if kept.len() < text.len() {
            self.text.push_str(CUT_MARKER);
            self.cut = true;
        }
    }

    /// The model thinks more; what is beyond the limit is told and not kept.
    pub(super) fn think(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let room = THINKING_LIMIT - self.thinking.len();
        self.thinking.push_str(&text[..text.floor_char_boundary(room)]);
        self.live.tell(|| LivePiece::Thinking { text: text.to_owned() });
    }

    /// The model has ended. The first word counts: some servers send an empty one after it.
    pub(super) fn end(&mut self, kind: FinishKind, word: &str) {
        if self.finish.is_none() {
            self.finish = Some(Finish { kind, word: word.to_owned() });
        }
    }

    /// A whole call.
    pub(super) fn call(&mut self, id: &str, name: &str, arguments: String) {
        let id = if id.is_empty() { format!("call_{}", self.calls.len() + 1) } else { id.to_owned() };
        self.calls.push(RawCall { id, name: name.to_owned(), arguments });
    }

    /// The name by which the model calls itself.
    pub(super) fn name_model(&mut self, name: Option<&Value>) {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty() && name.len() <= 200)
        {
            self.model = Some(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_beyond_the_limit_is_cut_between_characters_and_says_so() {
        let mut reply = Reply::default();
        reply.say("a");
        reply.say(&"字".repeat(TEXT_LIMIT / 3 + 1));
        reply.say("more");
        assert!(reply.cut);
        assert!(reply.text.ends_with(&format!("字{CUT_MARKER}")));
        assert!(reply.text.len() <= TEXT_LIMIT + CUT_MARKER.len());
    }

    #[test]
    fn thoughts_beyond_their_limit_are_not_kept() {
        let mut reply = Reply::default();
        reply.think(&"字".repeat(THINKING_LIMIT));
        reply.think("more");
        assert!(reply.thinking.len() <= THINKING_LIMIT);
    }
}
