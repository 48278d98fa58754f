//! What a job's result must be: a JSON Schema, and whether a result fits it.
//!
//! Nothing is ever fetched for a schema: one that refers to a file or an address is refused.

use std::error::Error as StdError;

use boon::{CompileError, Compiler, SchemaIndex, Schemas, UrlLoader, ValidationError};
use regex::RegexBuilder;
use serde_json::Value;
use thiserror::Error;

/// The name under which a schema is compiled; it stands in no message.
const LOCATION: &str = "schema:output";

/// The longest misfit that is told, to the model and to people.
const LONGEST_MISFIT: usize = 500;

/// How much memory one pattern of a schema may take. A short one can take gigabytes.
const PATTERN_LIMIT: usize = 1024 * 1024;

/// A schema that was compiled.
pub(crate) struct OutputSchema {
    schemas: Schemas,
    index: SchemaIndex,
}

/// A value is no JSON Schema that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SchemaError(String);

/// A result does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Misfit {
    /// It is no JSON at all.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// Where it ends being JSON.
        line: usize,
        /// And at which character of that line.
        column: usize,
    },
    /// It is JSON and not what was asked for.
    #[error("at `{path}`: {why}")]
    NotThis {
        /// The first place that does not fit, as a JSON pointer; `/` is the whole.
        path: String,
        /// Why not.
        why: String,
    },
}

/// Refuses to load anything.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn StdError>> {
        Err("nothing is fetched for a schema".into())
    }
}

impl OutputSchema {
    /// Compiles `schema`, or says why it cannot be used.
    pub(crate) fn compile(schema: &Value) -> Result<Self, SchemaError> {
        if let Some(pattern) = huge_pattern(schema) {
            return Err(SchemaError(format!("the pattern `{}` takes too much memory", shown(pattern))));
        }
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NoLoader));
        let mut schemas = Schemas::new();
        let unusable = |error: CompileError| SchemaError(why_not(&error));
        compiler.add_resource(LOCATION, schema.clone()).map_err(unusable)?;
        let index = compiler.compile(LOCATION, &mut schemas).map_err(unusable)?;
        Ok(Self { schemas, index })
    }

    /// The value that `text` holds, where it fits.
    pub(crate) fn read(&self, text: &str) -> Result<Value, Misfit> {
        let value: Value = serde_json::from_str(json_of(text))
            .map_err(|error| Misfit::NotJson { line: error.line(), column: error.column() })?;
        if let Err(error) = self.schemas.validate(&value, self.index) {
            return Err(first_misfit(&error));
        }
        Ok(value)
    }
}

/// The JSON in a text: what stands in its block of code, where it has exactly one that begins so, or all of it.
fn json_of(text: &str) -> &str {
    let text = text.trim();
    let mut parts = text.split("```");
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(block), Some(_), None) => {
            let block = block.strip_prefix("json").or_else(|| block.strip_prefix("JSON")).unwrap_or(block);
            block.trim()
        }
        _ => text,
    }
}

/// The first pattern that would take more than its share of memory. Wherever a schema has a text named so it is looked at, since
/// only the compiler knows which of them are patterns.
fn huge_pattern(schema: &Value) -> Option<&str> {
    match schema {
        Value::Array(items) => items.iter().find_map(huge_pattern),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| match (key.as_str(), value) {
            ("pattern", Value::String(pattern)) => is_huge(pattern).then_some(pattern.as_str()),
            ("patternProperties", Value::Object(inner)) => inner.iter().find_map(|(pattern, value)| {
                is_huge(pattern).then_some(pattern.as_str()).or_else(|| huge_pattern(value))
            }),
            (_, value) => huge_pattern(value),
        }),
        _ => None,
    }
}

fn is_huge(pattern: &str) -> bool {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build();
    matches!(built, Err(regex::Error::CompiledTooBig(_)))
}

fn why_not(error: &CompileError) -> String {
    match error {
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedUrlScheme { url } => {
            format!(
                "it refers to `{}`; nothing is fetched for a schema, so write what it needs into it",
                shown(url)
            )
        }
        CompileError::ValidationError { src, .. } => {
            let misfit = first_misfit(src);
            format!("it is no JSON Schema: {misfit}")
        }
        CompileError::InvalidRegex { regex, .. } => {
            format!("`{}` is no pattern that can be used", shown(regex))
        }
        CompileError::JsonPointerNotFound(pointer) => {
            format!("it refers to `{}`, which it does not have", shown(pointer.trim_start_matches(LOCATION)))
        }
        CompileError::AnchorNotFound { reference, .. } => {
            format!(
                "it refers to `{}`, which it does not have",
                shown(reference.trim_start_matches(LOCATION))
            )
        }
        other => format!("it cannot be used: {}", shown(&other.to_string())),
    }
}

/// The innermost of the first causes: what a model, or a person, can do something about.
fn first_misfit(error: &ValidationError<'_, '_>) -> Misfit {
    let mut innermost = error;
    while let Some(cause) = innermost.causes.first() {
        innermost = cause;
    }
    let path = innermost.instance_location.to_string();
    let path = if path.is_empty() { "/".to_owned() } else { shown(&path) };
    Misfit::NotThis { path, why: shown(&innermost.kind.to_string()) }
}

/// One short line.
fn shown(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MISFIT).collect();
    if text.chars().nth(LONGEST_MISFIT).is_some() { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> OutputSchema {
        OutputSchema::compile(&json!({
            "type": "object",
            "properties": { "items": { "type": "array", "items": { "$ref": "#/$defs/item" } } },
            "required": ["items"],
            "additionalProperties": false,
            "$defs": { "item": { "type": "integer", "minimum": 1 } },
        }))
        .unwrap()
    }

    #[test]
    fn a_result_is_read_whole_or_from_its_block_of_code() {
        let value = json!({ "items": [1] });
        for text in [
            r#"{"items":[1]}"#,
            "  {\"items\": [1]}\n",
            "```json\n{\"items\":[1]}\n```",
            "Here it is:\n```\n{\"items\":[1]}\n```\nWell done.",
        ] {
            assert_eq!(schema().read(text), Ok(value.clone()), "{text}");
        }
    }

    #[test]
    fn a_misfit_names_its_place() {
        let misfit = |text: &str| schema().read(text).unwrap_err().to_string();
        assert_eq!(misfit("hello"), "it is not JSON (line 1, column 1)");
        assert_eq!(misfit(r#"{"items":[1,0]}"#), "at `/items/1`: must be >=1, but got 0");
        assert!(misfit("{}").starts_with("at `/`: missing properties"), "{}", misfit("{}"));
        assert!(misfit(r#"{"items":[],"more":1}"#).contains("more"));
    }

    #[test]
    fn a_schema_that_would_have_to_be_fetched_or_is_none_is_refused() {
        let refused = |schema: Value| OutputSchema::compile(&schema).err().unwrap().to_string();
        for url in ["file:///etc/passwd", "https://example.com/s.json", "other.json", "/etc/passwd"] {
            let why = refused(json!({ "$ref": url }));
            assert!(why.starts_with("it refers to") || why.starts_with("it cannot"), "{why}");
            assert!(!why.contains("root:"), "{why}");
        }
        assert!(refused(json!({ "type": "objekt" })).starts_with("it is no JSON Schema: at `/type`"));
        assert!(refused(json!({ "$ref": "#/$defs/none" })).contains("#/$defs/none"));
        assert!(refused(json!({ "pattern": "(" })).contains('('));
        let huge = "(a{1000}){1000}{1000}";
        for schema in [json!({ "pattern": huge }), json!({ "items": { "patternProperties": { huge: {} } } })]
        {
            assert!(refused(schema).contains("takes too much memory"));
        }
    }

    #[test]
    fn a_schema_that_goes_in_circles_ends() {
        let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } });
        if let Ok(schema) = OutputSchema::compile(&circle) {
            assert!(schema.read("1").is_err());
        }
    }
}
