//! Cutting a text into pieces that a service takes.
//!
//! A piece ends after a paragraph where it can, else after a line, a word, or at the least after what a reader takes for
//! one character. A code block that is cut is closed in one piece and opened again in the next.

use unicode_segmentation::UnicodeSegmentation as _;

/// Says that there is more than the message shows.
pub(super) const CUT: &str = "… (cut: the whole text is in the run's record)";

/// The longest opening line of a code block that is repeated in the next piece.
const MAX_FENCE_BYTES: usize = 40;

/// The opening of a code block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence<'a> {
    /// The whole line, without its end.
    line: &'a str,
    /// The backticks or tildes.
    marks: &'a str,
}

/// One part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    text: String,
    /// Whether the part begins in a code block that was begun before.
    reopened: bool,
    /// Whether a code block goes on after it.
    closed: bool,
}

/// `text` in at most `most` pieces, of which each `fits`. Where that is not enough the last one says that more is left
/// out. There is always at least one.
pub(super) fn split(text: &str, most: usize, fits: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut parts = parts(text, most, fits);
    let left_out = parts.len() > most;
    parts.truncate(most);
    let mut pieces: Vec<String> = parts.into_iter().map(|part| part.text).collect();
    if left_out && let Some(last) = pieces.pop() {
        let with_note = |text: &str| {
            let mut text = text.trim_end().to_owned();
            close_fence(&mut text);
            format!("{text}\n\n{CUT}")
        };
        let shortened = self::parts(&last, 1, &|text| fits(&with_note(text)));
        pieces.push(with_note(shortened.first().map_or("", |part| part.text.as_str())));
    }
    pieces
}

/// The parts of `text`; when there are more than `most`, one more and not all of them.
fn parts(text: &str, most: usize, fits: &dyn Fn(&str) -> bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    let mut open: Option<Fence<'_>> = None;
    loop {
        let at = cut_at(rest, open, fits);
        if at == rest.len() {
            let text = put_together(open, rest, None);
            parts.push(Part { text, reopened: open.is_some(), closed: false });
            return parts;
        }
        let (taken, left) = rest.split_at(at);
        let still_open = fence_after(open, taken).filter(|fence| fence.line.len() <= MAX_FENCE_BYTES);
        parts.push(Part {
            text: put_together(open, taken.trim_end(), still_open),
            reopened: open.is_some(),
            closed: still_open.is_some(),
        });
        if parts.len() > most {
            return parts;
        }
        // In a code block the next line's indentation belongs to it.
        rest = if still_open.is_some() {
            left.trim_start_matches(['\r', '\n'])
        } else {
            without_blank_lines(left)
        };
        open = still_open;
    }
}

/// A part as it is sent: with the code block opened that goes on in it, and closed that goes on after it.
fn put_together(open: Option<Fence<'_>>, text: &str, closing: Option<Fence<'_>>) -> String {
    let mut part = String::with_capacity(text.len() + 2 * MAX_FENCE_BYTES);
    if let Some(fence) = open {
        part.push_str(fence.line);
        part.push('\n');
    }
    part.push_str(text);
    if let Some(fence) = closing {
        part.push('\n');
        part.push_str(fence.marks);
    }
    part
}

/// Where `rest` is to be cut so that the part before fits: never at its beginning, and at its end where all of it does.
fn cut_at(rest: &str, open: Option<Fence<'_>>, fits: &dyn Fn(&str) -> bool) -> usize {
    let part_fits = |at: usize| {
        let taken = &rest[..at];
        let closing = fence_after(open, taken).filter(|fence| fence.line.len() <= MAX_FENCE_BYTES);
        fits(&put_together(open, taken.trim_end(), closing))
    };
    // Nearly always a longer part costs more, so the longest that fits is looked for by halving.
    let mut least = 0;
    let mut beyond = rest.len();
    let mut reach = 256;
    loop {
        let at = rest.floor_char_boundary(reach);
        if at == rest.len() {
            if fits(&put_together(open, rest, None)) {
                return at;
            }
            break;
        }
        if !part_fits(at) {
            beyond = at;
            break;
        }
        least = at;
        reach *= 2;
    }
    while beyond - least > 1 {
        let middle = rest.floor_char_boundary(least.midpoint(beyond));
        if middle <= least {
            break;
        }
        if part_fits(middle) { least = middle } else { beyond = middle }
    }
    let mut longest = least;
    while longest > 0 {
        let at = nicest(rest, longest, open);
        if part_fits(at) {
            return at;
        }
        longest = rest.floor_char_boundary(at - 1);
    }
    // Not even one character fits: it is sent alone, and its service says so.
    rest.chars().next().map_or(rest.len(), char::len_utf8)
}

/// The best place to cut at or before `longest`; at least one character.
fn nicest(rest: &str, longest: usize, open: Option<Fence<'_>>) -> usize {
    let start = &rest[..longest];
    let half = longest / 2;
    let paragraph =
        start.rfind("\n\n").filter(|at| *at > longest / 3 && fence_after(open, &rest[..*at]).is_none());
    if let Some(at) = paragraph {
        return at + 1;
    }
    if rest[longest..].starts_with('\n') {
        return longest;
    }
    if let Some(at) = start.rfind('\n').filter(|at| *at > half) {
        return at + 1;
    }
    let word = start.char_indices().rev().find(|(_, c)| c.is_whitespace());
    if let Some((at, c)) = word.filter(|(at, _)| *at > half) {
        return at + c.len_utf8();
    }
    let entity = start.rfind('&').filter(|at| is_in_entity(&rest[*at..], longest - at));
    let longest = entity.filter(|at| *at > 0).unwrap_or(longest);
    // Clusters are looked for from a little before, so that a long text is not gone through for each piece.
    let from = rest.floor_char_boundary(longest.saturating_sub(256));
    let until = rest.ceil_char_boundary((longest + 256).min(rest.len()));
    let cluster = rest[from..until]
        .grapheme_indices(true)
        .map(|(at, _)| from + at)
        .take_while(|at| *at <= longest)
        .last()
        .filter(|at| *at > from.max(half));
    cluster.unwrap_or(longest)
}

/// Whether the first `at` bytes of `text` end within an entity that it begins with.
fn is_in_entity(text: &str, at: usize) -> bool {
    let end = text.bytes().take(34).position(|byte| byte == b';');
    end.is_some_and(|end| {
        at <= end && text[1..end].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#') && end > 1
    })
}

fn without_blank_lines(text: &str) -> &str {
    let mut left = text;
    while let Some((line, after)) = left.split_once('\n') {
        if !line.trim().is_empty() {
            break;
        }
        left = after;
    }
    if left.trim().is_empty() { "" } else { left }
}

/// The code block that is open after `text`, where `open` was open before.
fn fence_after<'a>(open: Option<Fence<'a>>, text: &'a str) -> Option<Fence<'a>> {
    let mut open = open;
    for line in text.lines() {
        let Some(fence) = fence_of(line) else { continue };
        open = match open {
            None => Some(fence),
            Some(opened) if closes(fence, opened) => None,
            still => still,
        };
    }
    open
}

fn closes(fence: Fence<'_>, opened: Fence<'_>) -> bool {
    fence.marks.as_bytes()[0] == opened.marks.as_bytes()[0]
        && fence.marks.len() >= opened.marks.len()
        && fence.line.trim() == fence.marks
}

/// The fence that a line is, if it is one.
fn fence_of(line: &str) -> Option<Fence<'_>> {
    let trimmed = line.trim_start();
    let mark = trimmed.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = trimmed.bytes().take_while(|byte| char::from(*byte) == mark).count();
    let (marks, info) = trimmed.split_at(count);
    let is_fence = count >= 3 && !(mark == '`' && info.contains('`'));
    is_fence.then_some(Fence { line: line.trim_end(), marks })
}

/// Closes the code block that `text` ends in, so that what follows is not in it.
pub(super) fn close_fence(text: &mut String) {
    if let Some(marks) = fence_after(None, text).map(|fence| fence.marks.to_owned()) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&marks);
    }
}

#[cfg(test)]
mod tests;
