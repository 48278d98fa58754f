//! What was said before, as the messages of a chat.

use clawhook_model::{EntryDetail, Role, TranscriptEntry};
use serde_json::{Map, Value};

use super::fence;
use crate::providers::{ChatMessage, ToolCall, ToolResult};

/// The longest name of a tool that every provider takes.
const LONGEST_NAME: usize = 64;

/// The messages. A call without its result and a result without its call are left out, since no provider takes them, and so
/// is what was thought. The ids of calls are given anew: each provider has its own rules for them.
pub(crate) fn messages(history: &[TranscriptEntry], unfenced: bool) -> Vec<ChatMessage> {
    let mut telling = Telling { messages: Vec::new(), open: None, ids: 0, unfenced };
    for entry in history {
        telling.take(entry);
    }
    telling.close();
    telling.messages
}

struct Telling {
    messages: Vec<ChatMessage>,
    /// What the model says at the moment, with the calls that it makes.
    open: Option<Said>,
    /// How many calls there were.
    ids: u32,
    unfenced: bool,
}

#[derive(Default)]
struct Said {
    text: String,
    calls: Vec<Call>,
}

struct Call {
    /// The id in the transcript.
    known_as: String,
    call: ToolCall,
    result: Option<ToolResult>,
}

impl Telling {
    fn take(&mut self, entry: &TranscriptEntry) {
        match &entry.detail {
            None => self.take_speech(entry.role, &entry.text),
            Some(EntryDetail::Gateway) if entry.role == Role::User => self.user(entry.text.clone()),
            Some(EntryDetail::Gateway) => self.user(format!("(A note of the gateway: {})", entry.text)),
            Some(EntryDetail::ToolCall { call_id, name, arguments }) => self.call(call_id, name, arguments),
            Some(EntryDetail::ToolResult { call_id, is_error, .. }) => {
                self.result(call_id, &entry.text, *is_error);
            }
            Some(EntryDetail::Thinking | EntryDetail::Permission { .. }) => {}
        }
    }

    fn take_speech(&mut self, role: Role, text: &str) {
        match role {
            Role::User => self.user(text.to_owned()),
            Role::System => self.user(format!("(A note of the gateway: {text})")),
            Role::Tool => {
                let output = self.outside(text);
                self.user(format!("(The output of a command:)\n{output}"));
            }
            Role::Assistant if text.trim().is_empty() => {}
            Role::Assistant => {
                self.close();
                self.open = Some(Said { text: text.to_owned(), calls: Vec::new() });
            }
        }
    }

    fn user(&mut self, text: String) {
        self.close();
        self.messages.push(ChatMessage::User(text));
    }

    fn call(&mut self, id: &str, name: &str, arguments: &Value) {
        // A call after a result belongs to a later round.
        if self.open.as_ref().is_some_and(|said| said.calls.iter().any(|call| call.result.is_some())) {
            self.close();
        }
        self.ids += 1;
        let call = ToolCall {
            id: format!("h{:08}", self.ids),
            name: fit_name(name),
            arguments: arguments.as_object().cloned().unwrap_or_else(Map::new),
        };
        let said = self.open.get_or_insert_default();
        said.calls.push(Call { known_as: id.to_owned(), call, result: None });
    }

    fn result(&mut self, id: &str, text: &str, is_error: bool) {
        let text = self.outside(text);
        let calls = self.open.iter_mut().flat_map(|said| &mut said.calls);
        for Call { known_as, call, result } in calls {
            if known_as == id && result.is_none() {
                let (call_id, name) = (call.id.clone(), call.name.clone());
                *result = Some(ToolResult { call_id, name, text, is_error });
                return;
            }
        }
    }

    /// Ends what the model says.
    fn close(&mut self) {
        let Some(said) = self.open.take() else { return };
        let answered = said.calls.into_iter().filter_map(|call| Some((call.call, call.result?)));
        let (calls, results): (Vec<_>, Vec<_>) = answered.unzip();
        if calls.is_empty() && said.text.is_empty() {
            return;
        }
        self.messages.push(ChatMessage::Assistant { text: said.text, calls, native: Vec::new() });
        if !results.is_empty() {
            self.messages.push(ChatMessage::ToolResults(results));
        }
    }

    fn outside(&self, text: &str) -> String {
        if self.unfenced { text.to_owned() } else { fence(text) }
    }
}

/// The name in the characters that every provider takes: agents name their tools as they like.
fn fit_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().map(fit).take(LONGEST_NAME).collect();
    if name.is_empty() { "tool".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use clawhook_model::UnixMs;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn said(role: Role, text: &str) -> TranscriptEntry {
        TranscriptEntry::said(UnixMs::EPOCH, role, text)
    }

    fn call(id: &str) -> TranscriptEntry {
        let detail = EntryDetail::ToolCall {
            call_id: id.into(),
            name: "files__read".into(),
            arguments: json!({ "path": "a" }),
        };
        TranscriptEntry::with(UnixMs::EPOCH, Role::Assistant, "", detail)
    }

    fn result(id: &str) -> TranscriptEntry {
        let detail =
            EntryDetail::ToolResult { call_id: id.into(), name: "files__read".into(), is_error: false };
        TranscriptEntry::with(UnixMs::EPOCH, Role::Tool, "content", detail)
    }

    #[test]
    fn a_conversation_with_tools_is_told_as_it_went() {
        let thought = TranscriptEntry::with(UnixMs::EPOCH, Role::Assistant, "hm", EntryDetail::Thinking);
        let history = [
            said(Role::User, "read it"),
            thought,
            said(Role::Assistant, "I look."),
            call("1"),
            call("2"),
            result("2"),
            result("1"),
            said(Role::Assistant, "Done."),
        ];
        let told = messages(&history, true);
        let id = |n: u32| format!("h{n:08}");
        let arguments = json!({ "path": "a" }).as_object().unwrap().clone();
        let call = |n| ToolCall { id: id(n), name: "files__read".into(), arguments: arguments.clone() };
        let result = |n| ToolResult {
            call_id: id(n),
            name: "files__read".into(),
            text: "content".into(),
            is_error: false,
        };
        let text =
            |text: &str, calls| ChatMessage::Assistant { text: text.into(), calls, native: Vec::new() };
        assert_eq!(
            told,
            [
                ChatMessage::User("read it".into()),
                text("I look.", vec![call(1), call(2)]),
                ChatMessage::ToolResults(vec![result(1), result(2)]),
                text("Done.", Vec::new()),
            ]
        );
    }

    #[test]
    fn what_a_tool_answered_stays_behind_its_fence_in_later_turns() {
        let told = messages(&[call("1"), result("1")], false);
        let ChatMessage::ToolResults(results) = &told[1] else { panic!("{told:?}") };
        assert!(results[0].text.starts_with("<<<external ") && results[0].text.contains("\ncontent\n"));
    }

    fn entries() -> impl Strategy<Value = Vec<TranscriptEntry>> {
        let id = || prop::sample::select(vec!["1", "2", "3"]);
        let entry = prop_oneof![
            Just(said(Role::User, "u")),
            Just(said(Role::Assistant, "a")),
            Just(said(Role::Assistant, " ")),
            Just(said(Role::System, "s")),
            Just(said(Role::Tool, "t")),
            id().prop_map(call),
            id().prop_map(result),
        ];
        prop::collection::vec(entry, 0..40)
    }

    proptest! {
        #[test]
        fn no_result_is_without_its_call_and_no_call_without_its_result(history in entries()) {
            let told = messages(&history, true);
            let mut asked: Vec<String> = Vec::new();
            for message in &told {
                if let ChatMessage::ToolResults(results) = message {
                    let answered: Vec<String> = results.iter().map(|result| result.call_id.clone()).collect();
                    prop_assert_eq!(std::mem::take(&mut asked), answered);
                } else {
                    prop_assert!(asked.is_empty(), "a call without its result: {told:?}");
                }
                if let ChatMessage::Assistant { text, calls, .. } = message {
                    prop_assert!(!text.is_empty() || !calls.is_empty());
                    asked = calls.iter().map(|call| call.id.clone()).collect();
                }
            }
            prop_assert!(asked.is_empty());
        }
    }
}
