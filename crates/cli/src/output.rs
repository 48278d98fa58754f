//! The one printer: data to standard output, messages to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

/// Prints data, and a line break if it has none.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Prints a part of a text that goes on.
pub(crate) fn part(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a line beside the data, dim where that can be seen.
pub(crate) fn aside(text: &str, dim: bool) {
    let (begin, end) = if dim { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    writeln!(io::stderr().lock(), "{begin}{}{end}", printable(text)).ok();
}

/// Prints an answer of the API as it is.
pub(crate) fn json(value: &Value) -> io::Result<()> {
    data(&format!("{value:#}"))
}

/// Prints a message for people, `kind: text`.
pub(crate) fn message(kind: &str, text: &str) {
    // If standard error is closed, nobody is there to be told.
    writeln!(io::stderr().lock(), "{kind}: {}", printable_lines(text)).ok();
}

/// The width of the terminal that standard output is; none where it is something else.
pub(crate) fn terminal_width() -> Option<u16> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&out).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// A line on standard error that overwrites itself; nothing where that is not a terminal.
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// A line that shows nothing yet.
    pub(crate) fn new() -> Self {
        Self { shown: false }
    }

    /// Shows this instead of what was shown before.
    pub(crate) fn show(&mut self, text: &str) {
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            write!(err, "\r\x1b[K{}", printable(text)).and_then(|()| err.flush()).ok();
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let mut err = io::stderr().lock();
            write!(err, "\r\x1b[K").and_then(|()| err.flush()).ok();
        }
    }
}

/// A text from outside on one line, with nothing in it that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.split_whitespace()
        .map(without_controls)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text from outside with its lines, and nothing in it that a terminal would obey.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(without_controls).collect::<Vec<_>>().join("\n")
}

/// A part of a text from outside, with its line breaks, and nothing in it that a terminal would obey.
pub(crate) fn printable_stream(text: &str) -> String {
    text.split('\n').map(without_controls).collect::<Vec<_>>().join("\n")
}

/// Control characters, and those that reorder the text around them, are left out.
fn without_controls(text: &str) -> String {
    let reorders =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control() && !reorders(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_control_characters_from_outside() {
        assert_eq!(printable("a\x1b[31mred\u{202e}\r\nb\t c"), "a[31mred b c");
        assert_eq!(printable_lines("a\x07\n\tb"), "a\n b");
        assert_eq!(printable_stream("\n a\x1b[2J\r\n"), "\n a[2J\n");
    }
}
