//! Where a template's output stands, and how a value is written there.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use clawhook_model::ContentType;
use minijinja::value::{Object, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::super::percent;
use super::POSITION;

/// How values are written, by what the body is declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// By where they stand in the JSON around them.
    Json,
    /// As text of HTML and XML, safe in elements and in quoted attributes.
    Markup,
    /// As a value of a form.
    Form,
    /// As they are.
    Plain,
}

impl Escaping {
    pub(super) fn of(content_type: &ContentType) -> Self {
        let essence = content_type.essence().to_ascii_lowercase();
        match essence.as_str() {
            _ if content_type.is_json() => Self::Json,
            "text/html" | "text/xml" | "application/xml" => Self::Markup,
            xml if xml.ends_with("+xml") => Self::Markup,
            "application/x-www-form-urlencoded" => Self::Form,
            _ => Self::Plain,
        }
    }
}

/// Where in the JSON the output stands. The writer, which sees all that is put out, tells the formatter.
#[derive(Debug, Default)]
pub(super) struct Position(AtomicU8);

impl Object for Position {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    InText,
    AfterBackslash,
}

impl Position {
    // One render runs on one thread; the atomic only makes the type shareable.
    fn get(&self) -> Place {
        match self.0.load(Ordering::Relaxed) {
            0 => Place::Outside,
            1 => Place::InText,
            _ => Place::AfterBackslash,
        }
    }

    fn advance(&self, output: &[u8]) {
        let mut place = self.get();
        for byte in output {
            place = match (place, byte) {
                (Place::Outside, b'"') | (Place::AfterBackslash, _) => Place::InText,
                (Place::InText, b'"') => Place::Outside,
                (Place::InText, b'\\') => Place::AfterBackslash,
                (place, _) => place,
            };
        }
        self.0.store(place as u8, Ordering::Relaxed);
    }
}

/// Gathers output up to a limit.
pub(super) struct BoundedWriter {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl BoundedWriter {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_full: false }
    }

    /// Whether there was more than the limit.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl io::Write for BoundedWriter {
    fn write(&mut self, output: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + output.len() > self.limit {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(output);
        Ok(output.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes output on, and keeps track of where it stands.
pub(super) struct TrackingWriter<'a> {
    pub(super) inner: &'a mut BoundedWriter,
    pub(super) position: &'a Position,
}

impl io::Write for TrackingWriter<'_> {
    fn write(&mut self, output: &[u8]) -> io::Result<usize> {
        self.position.advance(output);
        self.inner.write(output)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text that is JSON already: what the filter `tojson` makes.
#[derive(Debug)]
pub(super) struct JsonText(pub(super) String);

impl Object for JsonText {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a value so that it stays one value where it stands.
pub(super) fn write_value(
    out: &mut Output<'_>,
    state: &State<'_, '_>,
    value: &Value,
    escaping: Escaping,
) -> Result<(), Error> {
    match escaping {
        Escaping::Json => write_in_json(out, state, value)?,
        Escaping::Markup => write_as_markup(out, &text_of(value)?)?,
        Escaping::Form => out.write_str(&percent::encode(&text_of(value)?, percent::is_unreserved))?,
        Escaping::Plain => out.write_str(&text_of(value)?)?,
    }
    Ok(())
}

fn write_in_json(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let position = state.lookup(POSITION);
    let place = position.as_ref().and_then(|value| value.downcast_object_ref::<Position>());
    match place.map(Position::get) {
        Some(Place::Outside) => out.write_str(&json_of(value)?)?,
        Some(Place::InText) => {
            let quoted = to_json(&*text_of(value)?)?;
            out.write_str(&quoted[1..quoted.len() - 1])?;
        }
        // Without a place nothing can be written safely.
        Some(Place::AfterBackslash) | None => {
            return Err(Error::new(ErrorKind::BadEscape, "a value right after a backslash"));
        }
    }
    Ok(())
}

fn write_as_markup(out: &mut Output<'_>, text: &str) -> std::fmt::Result {
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#x27;")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

/// A value as a person reads it: texts as they are, what is absent as nothing, lists and objects as JSON.
pub(super) fn text_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(Cow::Borrowed("")),
        _ => json_of(value),
    }
}

/// A value as JSON.
pub(super) fn json_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.downcast_object_ref::<JsonText>() {
        Some(JsonText(json)) => Ok(Cow::Borrowed(json)),
        None => to_json(value).map(Cow::Owned),
    }
}

fn to_json(value: &(impl serde::Serialize + ?Sized)) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, format!("a value is not JSON: {error}")))
}
