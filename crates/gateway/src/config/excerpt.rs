//! The source line of a problem, fit to be shown (invariant 12).
//!
//! A line of a configuration may hold a token beside the mistake, or hold the token as the mistake. So a line is
//! rebuilt from its parts: keys and punctuation stand as they are, values only where the reader knew them to be public,
//! everything else as [`MASK`]. What the scanner could not read is hidden whole.

use std::collections::HashSet;

use clawhook_model::MASK;
use jsonc_parser::common::Range;
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

/// How much of a long line is shown before and after the place.
const BEFORE: usize = 50;
const AFTER: usize = 50;

/// A place in the text, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column in characters, from 1.
    pub(super) column: usize,
    /// The line as it may be shown.
    pub(super) excerpt: String,
    /// How many characters of the excerpt come before what is pointed at.
    pub(super) indent: usize,
    /// How many characters are pointed at.
    pub(super) width: usize,
}

/// One text, cut into lines and parts.
pub(super) struct Excerpts<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    parts: Vec<Part>,
    public: HashSet<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key, punctuation, or one of the words of JSON.
    Plain,
    /// A value, which is shown only if it is public.
    Value,
    /// A comment or what could not be read.
    Hidden,
}

impl<'t> Excerpts<'t> {
    /// Prepares `text`, of which the values that start at the `public` places may be shown.
    pub(super) fn new(text: &'t str, public: Vec<Range>) -> Self {
        let public = public.into_iter().map(|range| range.start).collect();
        Self { text, line_starts: line_starts(text), parts: parts(text), public }
    }

    /// The place where `at` begins.
    pub(super) fn place(&self, at: Range) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= at.start).max(1);
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        let column = self.text[start..at.start].chars().count() + 1;
        let mut drawing = Drawing { at: at.start, shown: Vec::new(), pointer: None };
        self.draw(start, end, &mut drawing);
        let (excerpt, indent, width) = drawing.finish();
        Place { line, column, excerpt, indent, width }
    }

    fn draw(&self, start: usize, end: usize, drawing: &mut Drawing) {
        let mut cursor = start;
        let first = self.parts.partition_point(|part| part.end <= start);
        for part in self.parts[first..].iter().take_while(|part| part.start < end) {
            drawing.blank(cursor, &self.text[cursor..part.start.max(cursor)]);
            let (from, to) = (part.start.max(start), part.end.min(end));
            let open =
                part.kind == Kind::Plain || part.kind == Kind::Value && self.public.contains(&part.start);
            drawing.part(from, to, if open { &self.text[from..to] } else { MASK });
            cursor = to;
        }
        drawing.blank(cursor, &self.text[cursor..end.max(cursor)]);
    }
}

/// A line while it is rebuilt.
struct Drawing {
    at: usize,
    shown: Vec<char>,
    pointer: Option<(usize, usize)>,
}

impl Drawing {
    /// Adds white space, every character of which takes one column.
    fn blank(&mut self, from: usize, space: &str) {
        if self.pointer.is_none() && (from..from + space.len()).contains(&self.at) {
            let before = space[..self.at - from].chars().count();
            self.pointer = Some((self.shown.len() + before, 1));
        }
        self.shown.extend(space.chars().map(|_| ' '));
    }

    fn part(&mut self, from: usize, to: usize, drawn: &str) {
        let column = self.shown.len();
        self.shown.extend(drawn.chars().map(|c| if c.is_control() { ' ' } else { c }));
        if self.pointer.is_none() && (from..to).contains(&self.at) {
            self.pointer = Some((column, self.shown.len() - column));
        }
    }

    /// The line without its trailing blanks and, if it is long, without what is far from the pointer.
    fn finish(mut self) -> (String, usize, usize) {
        let (pointer, width) = self.pointer.unwrap_or((self.shown.len(), 1));
        while self.shown.last() == Some(&' ') {
            self.shown.pop();
        }
        let from = if pointer > BEFORE * 2 { pointer - BEFORE } else { 0 };
        let from = from.min(self.shown.len());
        let to = self.shown.len().min(pointer + BEFORE + AFTER);
        let mut excerpt: String = self.shown[from..to].iter().collect();
        let mut indent = pointer - from;
        if from > 0 {
            excerpt.insert(0, '…');
            indent += 1;
        }
        if to < self.shown.len() {
            excerpt.push('…');
        }
        (excerpt, indent, width.clamp(1, AFTER))
    }
}

/// The offsets at which lines start; a line ends with `\n`, `\r\n` or a lone `\r`.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let breaks = bytes.iter().enumerate().filter(|(place, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(place + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(breaks.map(|(place, _)| place + 1)).collect()
}

/// Cuts the text into parts. A word or string before a colon is a key, unless it stands after a colon itself.
fn parts(text: &str) -> Vec<Part> {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let mut parts: Vec<Part> = Vec::new();
    let mut candidate: Option<usize> = None;
    let mut after_colon = false;
    loop {
        let kind = match scanner.scan() {
            Ok(None) => return parts,
            Err(_) => {
                parts.push(Part { start: scanner.token_start(), end: text.len(), kind: Kind::Hidden });
                return parts;
            }
            Ok(Some(Token::CommentLine(_) | Token::CommentBlock(_))) => Kind::Hidden,
            Ok(Some(Token::Colon)) => {
                if let Some(key) = candidate.take() {
                    parts[key].kind = Kind::Plain;
                }
                after_colon = true;
                Kind::Plain
            }
            Ok(Some(Token::String(_) | Token::Word(_) | Token::Number(_))) => {
                candidate = (!after_colon).then_some(parts.len());
                after_colon = false;
                Kind::Value
            }
            Ok(Some(_)) => {
                candidate = None;
                after_colon = false;
                Kind::Plain
            }
        };
        parts.push(Part { start: scanner.token_start(), end: scanner.token_end(), kind });
    }
}
