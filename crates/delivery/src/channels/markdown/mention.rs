//! Names in a text that a service would take for people to call.

use std::ops::Range;

use pulldown_cmark::{Event, Tag, TagEnd};

use super::parser;

/// Nothing to see, and no longer a name.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Names that call everybody; these are looked for in code as well.
const EVERYBODY: [&str; 5] = ["all", "channel", "here", "everyone", "room"];

/// `text` in which no `@name` calls anybody. Addresses such as `a@example.com` stay as they are.
pub(super) fn neutral(text: &str) -> String {
    rewritten(text, |_| true)
}

/// Markdown in which no `@name` calls anybody; in code only those are touched that call everybody.
pub(super) fn neutral_outside_code(source: &str) -> String {
    let code = code_ranges(source);
    let mut out = String::with_capacity(source.len() + 8);
    let mut done = 0;
    for range in code {
        if range.start < done {
            continue;
        }
        out.push_str(&neutral(&source[done..range.start]));
        out.push_str(&rewritten(&source[range.clone()], calls_everybody));
        done = range.end;
    }
    out.push_str(&neutral(&source[done..]));
    out
}

/// The same for a channel that is not known: `<@id>` and `<!name>` as well.
pub(super) fn neutral_anywhere(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut before = None;
    for c in neutral_outside_code(source).chars() {
        if before == Some('<') && matches!(c, '@' | '!' | '#') {
            out.push(ZERO_WIDTH_SPACE);
        }
        out.push(c);
        before = Some(c);
    }
    out
}

fn rewritten(text: &str, calls: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        out.push(c);
        let rest = &text[at + c.len_utf8()..];
        let begins = before.is_none_or(|before| !before.is_alphanumeric());
        if c == '@'
            && begins
            && rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
            && calls(rest)
        {
            out.push(ZERO_WIDTH_SPACE);
        }
        before = Some(c);
    }
    out
}

fn calls_everybody(rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    EVERYBODY.iter().any(|name| rest[..end].eq_ignore_ascii_case(name))
}

fn code_ranges(source: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut block = None;
    for (event, range) in parser(source).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => block = Some(range.start),
            Event::End(TagEnd::CodeBlock) => {
                ranges.extend(block.take().map(|start| start..range.end));
            }
            Event::Code(_) => ranges.push(range),
            _ => {}
        }
    }
    ranges
}
