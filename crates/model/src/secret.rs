//! Secrets as users give them: written once and never shown again, or referred to (invariant 12).

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::definition_error::DefinitionError;
use crate::webhook_url::MASK;

/// The most that a secret may have: ample for a chain of certificates, and no way to fill the memory.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The text of a secret. `Debug` shows a mask; whoever needs the text says so with [`SecretText::expose`].
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// The text itself: for the wire and for comparing, never for people.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The text as the `secrecy` crate's type.
    pub fn as_secret_string(&self) -> &SecretString {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<SecretString> for SecretText {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The user wrote the text itself. It is sealed before it is stored.
    Written(SecretText),
    /// The environment variable of this name holds it.
    Env(String),
    /// This file holds it.
    File(PathBuf),
    /// This program prints it; the first text is the program, the others are its arguments.
    Exec(Vec<String>),
    /// The text as the store keeps it, which only the gateway's key opens.
    Sealed(String),
}

/// Why something is not the source of a secret, to follow the name of its field. It never shows what was given, which
/// may be the secret itself in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretSourceError {
    /// A text without anything in it.
    #[error("is empty")]
    Empty,
    /// A text with more than any secret has.
    #[error("is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge,
    /// A text with something in it that is no character of a text.
    #[error("holds a control character")]
    Control,
    /// The mask, where nothing is stored that it could stand for.
    #[error("is `{MASK}`, which stands for a secret that is kept, and none is")]
    Masked,
    /// A text that refers to a variable, and is more or less than that.
    #[error("holds `${{` but is not exactly `${{NAME}}`, the name of one variable")]
    Interpolation,
    /// Not the name of a variable.
    #[error("must be the name of an environment variable")]
    Variable,
    /// Not a path.
    #[error("must be a path")]
    Path,
    /// A path that starts nowhere in particular.
    #[error("must be an absolute path, or begin with `~/`")]
    RelativePath,
    /// Not a program with its arguments.
    #[error("must be a list of texts that begins with a program")]
    Program,
    /// None of the forms.
    #[error(
        "must be a text, \"${{NAME}}\", {{\"env\": \"NAME\"}}, {{\"file\": \"path\"}} or {{\"exec\": [\"program\", \"argument\"]}}"
    )]
    Form,
}

/// Who wrote the JSON that a secret is read from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    User,
    Store,
}

impl SecretSource {
    /// Where it is to be looked for, in words; none where it is the text itself.
    pub fn reference(&self) -> Option<String> {
        match self {
            Self::Written(_) | Self::Sealed(_) => None,
            Self::Env(name) => Some(format!("the environment variable {name}")),
            Self::File(path) => Some(format!("the file {}", path.display())),
            Self::Exec(argv) => Some(format!("the program {}", argv.first().map_or("", String::as_str))),
        }
    }

    /// A secret that was given as a text: itself, or `${NAME}`.
    pub fn text(given: &str) -> Result<Self, SecretSourceError> {
        if given.trim().is_empty() {
            return Err(SecretSourceError::Empty);
        }
        if given.len() > MAX_SECRET_BYTES {
            return Err(SecretSourceError::TooLarge);
        }
        // A private key in PEM has lines.
        if given.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(SecretSourceError::Control);
        }
        if given == MASK {
            return Err(SecretSourceError::Masked);
        }
        if !given.contains("${") {
            return Ok(Self::Written(given.to_owned().into()));
        }
        let name = given.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let name = name.ok_or(SecretSourceError::Interpolation)?;
        Self::env(name).map_err(|_| SecretSourceError::Interpolation)
    }

    /// The secret in the environment variable `name`.
    pub fn env(name: &str) -> Result<Self, SecretSourceError> {
        let mut letters = name.chars();
        let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name { Ok(Self::Env(name.to_owned())) } else { Err(SecretSourceError::Variable) }
    }

    /// The secret in the file at `path`.
    pub fn file(path: &str) -> Result<Self, SecretSourceError> {
        if path.trim().is_empty() || path.contains('\0') {
            return Err(SecretSourceError::Path);
        }
        Ok(Self::File(PathBuf::from(path)))
    }

    /// The secret that the program `argv[0]` prints when it is given the rest as its arguments.
    pub fn exec(argv: Vec<String>) -> Result<Self, SecretSourceError> {
        let has_program = argv.first().is_some_and(|program| !program.trim().is_empty());
        if !has_program || argv.iter().any(|argument| argument.contains('\0')) {
            return Err(SecretSourceError::Program);
        }
        Ok(Self::Exec(argv))
    }

    /// Reads a secret as a user writes it in the field of this full name. Paths must say where they start, since the
    /// one who writes them does not know where the gateway was started.
    pub fn parse(field: &str, value: &Value) -> Result<Self, DefinitionError> {
        Self::read(value, Author::User).map_err(|error| refused(field, error))
    }

    /// Reads a secret as the store keeps it, or as a user wrote it over what the store keeps.
    pub fn parse_stored(field: &str, value: &Value) -> Result<Self, DefinitionError> {
        Self::read(value, Author::Store).map_err(|error| refused(field, error))
    }

    fn read(value: &Value, author: Author) -> Result<Self, SecretSourceError> {
        let object = match value {
            Value::String(given) => return Self::text(given),
            Value::Object(object) if object.len() == 1 => object,
            _ => return Err(SecretSourceError::Form),
        };
        let (key, value) = object.iter().next().ok_or(SecretSourceError::Form)?;
        match (key.as_str(), value) {
            ("env", value) => Self::env(value.as_str().ok_or(SecretSourceError::Variable)?),
            ("file", value) => absolute(Self::file(value.as_str().ok_or(SecretSourceError::Path)?)?),
            ("exec", value) => Self::exec(texts(value).ok_or(SecretSourceError::Program)?),
            ("sealed", Value::String(sealed)) if author == Author::Store => Ok(Self::Sealed(sealed.clone())),
            _ => Err(SecretSourceError::Form),
        }
    }

    /// The source as it is shown: references as they are, texts as a mask.
    pub fn to_json_masked(&self) -> Value {
        match self {
            Self::Written(_) | Self::Sealed(_) => json!(MASK),
            reference => reference.to_stored_json(),
        }
    }

    /// The source as the store keeps it. A text must have been sealed before.
    pub fn to_stored_json(&self) -> Value {
        match self {
            Self::Written(text) => json!(text.expose()),
            Self::Env(name) => json!({ "env": name }),
            Self::File(path) => json!({ "file": path.to_string_lossy() }),
            Self::Exec(argv) => json!({ "exec": argv }),
            Self::Sealed(sealed) => json!({ "sealed": sealed }),
        }
    }
}

/// A reference shows itself; a text, sealed or not, shows a mask.
impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(text) => f.debug_tuple("Written").field(text).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Exec(argv) => f.debug_tuple("Exec").field(argv).finish(),
            Self::Sealed(_) => f.write_str("Sealed(***)"),
        }
    }
}

/// Puts back what `new` hides: wherever it holds the mask and `stored` holds something, it gets that.
pub(crate) fn keep_masked(new: &mut Value, stored: &Value) {
    match (new, stored) {
        (Value::Object(new), Value::Object(stored)) => keep_masked_members(new, stored),
        (new, stored) if *new == MASK => *new = stored.clone(),
        _ => {}
    }
}

/// The same for the members of an object.
pub(crate) fn keep_masked_members(new: &mut Map<String, Value>, stored: &Map<String, Value>) {
    for (name, value) in new.iter_mut() {
        if let Some(stored) = stored.get(name) {
            keep_masked(value, stored);
        }
    }
}

fn refused(field: &str, error: SecretSourceError) -> DefinitionError {
    DefinitionError::invalid(field, error.to_string())
}

fn absolute(source: SecretSource) -> Result<SecretSource, SecretSourceError> {
    match &source {
        SecretSource::File(path) if !path.is_absolute() && !path.starts_with(Path::new("~")) => {
            Err(SecretSourceError::RelativePath)
        }
        _ => Ok(source),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &Value) -> Result<SecretSource, String> {
        SecretSource::parse("signing.secret", value).map_err(|error| error.to_string())
    }

    #[test]
    fn each_form_is_read_and_stored_as_it_was_given() {
        for form in [
            json!("text"),
            json!("-----BEGIN PRIVATE KEY-----\r\nAAAA\n-----END PRIVATE KEY-----\n"),
            json!({ "env": "OPS_TOKEN" }),
            json!({ "file": "/run/secrets/ops" }),
            json!({ "file": "~/ops" }),
            json!({ "exec": ["pass", "show", "ops"] }),
        ] {
            let source = parse(&form).unwrap();
            assert_eq!(source.to_stored_json(), form);
            assert_eq!(SecretSource::parse_stored("x", &form).unwrap(), source);
        }
        assert_eq!(parse(&json!("${OPS_TOKEN}")), Ok(SecretSource::Env("OPS_TOKEN".to_owned())));
    }

    #[test]
    fn what_is_no_source_is_refused_by_its_field_and_never_shown() {
        for (form, why) in [
            (json!(""), "is empty"),
            (json!(" \n"), "is empty"),
            (json!("s3cret\u{7}"), "control character"),
            (json!("x".repeat(MAX_SECRET_BYTES + 1)), "larger than 65536 bytes"),
            (json!("a${s3cret}"), "not exactly `${NAME}`"),
            (json!("${s3cret value}"), "not exactly `${NAME}`"),
            (json!("***"), "stands for a secret that is kept"),
            (json!({ "env": "s3cret=1" }), "name of an environment variable"),
            (json!({ "env": 5 }), "name of an environment variable"),
            (json!({ "file": "" }), "must be a path"),
            (json!({ "file": "s3cret" }), "absolute path"),
            (json!({ "file": "~s3cret" }), "absolute path"),
            (json!({ "exec": "s3cret" }), "begins with a program"),
            (json!({ "exec": [] }), "begins with a program"),
            (json!({ "exec": ["", "s3cret"] }), "begins with a program"),
            (json!({ "exec": ["cat", "s3cret\0"] }), "begins with a program"),
            (json!({ "exec": ["cat", 5] }), "begins with a program"),
            (json!({ "env": "A", "file": "/s3cret" }), "must be a text, \"${NAME}\""),
            (json!({ "value": "s3cret" }), "must be a text, \"${NAME}\""),
            (json!({ "sealed": "v1.s3cret" }), "must be a text, \"${NAME}\""),
            (json!(5), "must be a text, \"${NAME}\""),
        ] {
            let error = parse(&form).unwrap_err();
            assert!(error.starts_with("`signing.secret`: ") && error.contains(why), "{form}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn i12_texts_are_masked_and_references_are_shown() {
        let written = parse(&json!("s3cret")).unwrap();
        let sealed = SecretSource::parse_stored("x", &json!({ "sealed": "v1.s3cret" })).unwrap();
        for hidden in [written, sealed] {
            assert_eq!(hidden.to_json_masked(), json!("***"));
            assert!(!format!("{hidden:?}").contains("s3cret"), "{hidden:?}");
        }
        for shown in [json!({ "env": "A" }), json!({ "file": "/a" }), json!({ "exec": ["pass", "a"] })] {
            assert_eq!(parse(&shown).unwrap().to_json_masked(), shown);
        }
    }

    #[test]
    fn the_mask_written_back_keeps_what_is_stored_wherever_it_stands() {
        let stored =
            json!({ "headers": { "A": { "sealed": "v1.a" } }, "signing": { "secret": { "env": "S" } } });
        let mut new = json!({
            "headers": { "A": "***", "B": "***", "C": "new" }, "signing": { "secret": "fresh" }, "name": "***",
        });
        keep_masked(&mut new, &stored);
        let expected = json!({
            "headers": { "A": { "sealed": "v1.a" }, "B": "***", "C": "new" },
            "signing": { "secret": "fresh" }, "name": "***",
        });
        assert_eq!(new, expected);
    }

    proptest! {
        #[test]
        fn i12_no_written_text_is_ever_shown(text in "[a-z]{12,40}") {
            let source = parse(&json!(text)).unwrap();
            let shown = format!("{source:?} {}", source.to_json_masked());
            prop_assert!(!shown.contains(&text), "{}", shown);
            prop_assert_eq!(source.to_stored_json(), json!(text));
        }
    }
}
