//! What was said, for people: who, what, and when.

use clawhook_model::UnixMs;
use serde::Deserialize;
use serde_json::Value;

use crate::output::{printable, printable_lines};

/// How many characters of a text are shown where it is cut, and of a tool's arguments and results in any case.
const SHORT: usize = 400;
const LINE: usize = 120;

/// One thing said, of the API's answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryView {
    at_ms: UnixMs,
    #[serde(default)]
    role: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    detail: Value,
    #[serde(default = "yes")]
    remembered: bool,
}

fn yes() -> bool {
    true
}

/// How much of a long text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// All of it.
    Whole,
    /// Its beginning.
    Cut,
}

/// The entries, each with when and by whom; further lines of a text are set in, and tools take one line.
pub(crate) fn lines(entries: &[EntryView], length: Length) -> String {
    entries.iter().map(|entry| line(entry, length)).collect()
}

fn line(entry: &EntryView, length: Length) -> String {
    let EntryView { at_ms, role, text, detail, remembered } = entry;
    let name = || printable(detail["name"].as_str().unwrap_or("a tool"));
    let said = match detail["kind"].as_str() {
        Some("toolCall") => {
            format!("{role} calls {} {}", name(), in_a_line(&detail["arguments"].to_string(), length))
        }
        Some("toolResult") => {
            let failed = if detail["isError"] == true { " failed" } else { "" };
            format!("{}{failed}: {}", name(), in_a_line(text, length))
        }
        Some("permission") => {
            let given = if detail["granted"] == true { "granted" } else { "refused" };
            format!("permission {given}: {}", in_a_line(text, length))
        }
        Some("thinking") => format!("{role} thinks: {}", spoken(text, length)),
        Some("gateway") => format!("gateway: {}", spoken(text, length)),
        _ => format!("{role}: {}", spoken(text, length)),
    };
    let forgotten = if *remembered { "" } else { " (not told to later turns)" };
    format!("{at_ms} {said}{forgotten}\n")
}

/// A text with its lines, set in under the first.
fn spoken(text: &str, length: Length) -> String {
    let text = printable_lines(text.trim());
    let text = if length == Length::Cut { cut(&text, SHORT) } else { text };
    text.replace('\n', "\n    ")
}

fn in_a_line(text: &str, length: Length) -> String {
    let text = printable(text);
    if length == Length::Cut { cut(&text, LINE) } else { text }
}

fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most).collect();
    format!("{}… ({} characters more; --full shows them)", start.trim_end(), count - most)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(entry: Value, length: Length) -> String {
        let mut whole = json!({ "atMs": 0, "role": "assistant" });
        whole.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
        lines(&[EntryView::deserialize(whole).unwrap()], length)
    }

    #[test]
    fn it_is_told_who_said_what_and_when() {
        let entry = json!({ "role": "user", "text": "Sum up\nwhat \u{1b}[31mhappened\n" });
        assert_eq!(
            shown(entry, Length::Cut),
            "1970-01-01T00:00:00.000Z user: Sum up\n    what [31mhappened\n"
        );
        let try_again = json!({ "role": "user", "text": "hi", "remembered": false });
        assert_eq!(
            shown(try_again, Length::Cut),
            "1970-01-01T00:00:00.000Z user: hi (not told to later turns)\n"
        );
    }

    #[test]
    fn tools_take_one_line() {
        let call =
            json!({ "kind": "toolCall", "callId": "c", "name": "search", "arguments": { "q": "a\nb" } });
        assert_eq!(
            shown(json!({ "text": "", "detail": call }), Length::Cut),
            "1970-01-01T00:00:00.000Z assistant calls search {\"q\":\"a\\nb\"}\n"
        );
        let result = json!({ "kind": "toolResult", "callId": "c", "name": "search", "isError": true });
        assert_eq!(
            shown(json!({ "role": "tool", "text": "not\nthere", "detail": result }), Length::Whole),
            "1970-01-01T00:00:00.000Z search failed: not there\n"
        );
    }

    #[test]
    fn long_texts_are_cut_unless_they_are_asked_for_whole() {
        let long = json!({ "text": "x".repeat(500) });
        assert!(shown(long.clone(), Length::Cut).ends_with("x… (100 characters more; --full shows them)\n"));
        assert!(shown(long, Length::Whole).ends_with("xxx\n"));
    }
}
