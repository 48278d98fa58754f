//! The text of a configuration file as a tree in which every node knows where it was written.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Range;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};

use super::problem::Findings;

/// A value of the tree.
pub(super) type Node<'t> = Value<'t>;

/// Reads the text as JSON5 whose top is one object. The parser refuses nesting deeper than 512 levels by itself.
pub(super) fn parse<'t>(text: &'t str, findings: &mut Findings) -> Option<Object<'t>> {
    let options = ParseOptions { allow_missing_commas: false, ..ParseOptions::default() };
    match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(parsed) => top_object(parsed.value, findings),
        Err(error) => {
            findings.report(Some(error.range()), describe(&error), hint(error.kind()));
            None
        }
    }
}

fn top_object<'t>(top: Option<Value<'t>>, findings: &mut Findings) -> Option<Object<'t>> {
    const EXPECTED: &str = "the file must hold one object, `{ … }`";
    match top {
        Some(Value::Object(object)) => Some(object),
        Some(other) => {
            findings.report(Some(range(&other)), EXPECTED.to_owned(), None);
            None
        }
        None => {
            findings.report(Some(Range::new(0, 0)), format!("{EXPECTED}, and it is empty"), None);
            None
        }
    }
}

/// Where a node was written.
pub(super) fn range(node: &Node<'_>) -> Range {
    match node {
        Value::StringLit(literal) => literal.range,
        Value::NumberLit(literal) => literal.range,
        Value::BooleanLit(literal) => literal.range,
        Value::Object(object) => object.range,
        Value::Array(array) => array.range,
        Value::NullKeyword(keyword) => keyword.range,
    }
}

/// The parser's message, without the one detail that would quote from inside a string.
fn describe(error: &ParseError) -> String {
    let message = match error.kind() {
        ParseErrorKind::String(ParseStringErrorKind::InvalidUnicodeEscapeSequence(_)) => {
            return "a string has an invalid unicode escape".to_owned();
        }
        kind => kind.to_string(),
    };
    let mut letters = message.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn hint(kind: &ParseErrorKind) -> Option<String> {
    let hint = match kind {
        ParseErrorKind::UnexpectedWord | ParseErrorKind::UnexpectedToken => "a text is written in quotes",
        ParseErrorKind::ExpectedComma => "put a comma after the value before it",
        ParseErrorKind::UnterminatedObject => "its `}` is missing",
        ParseErrorKind::UnterminatedArray => "its `]` is missing",
        _ => return None,
    };
    Some(hint.to_owned())
}
