//! The shape in which a destination wants its events.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::Fields;

/// The longest text of a template, of its body and of each header.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// The most headers that a template may set.
const MAX_TEMPLATE_HEADERS: usize = 32;
/// The longest content type; real ones have some thirty bytes.
const MAX_CONTENT_TYPE_BYTES: usize = 200;

/// Headers that a template may not set: they frame the request, prove who sent it, or tell what the sender alone knows.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "signature",
    "signature-input",
    "stripe-signature",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-hub-signature",
    "x-hub-signature-256",
];
/// Families of such headers, by what their names begin with.
const RESERVED_PREFIXES: &[&str] = &["clawhook-", "proxy-", "webhook-"];

/// The shape of the body that a destination is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BodyFormat {
    /// The finished event as it is stored.
    #[default]
    Event,
    /// CloudEvents 1.0, structured: one JSON object with the event in `data`.
    CloudEvents,
    /// CloudEvents 1.0, binary: the attributes in `ce-*` headers, the event as the body.
    CloudEventsBinary,
    /// The envelope that Standard Webhooks advises: `type`, `timestamp`, `data`.
    StandardWebhooks,
    /// What a well-known receiver takes.
    Preset(Preset),
    /// What the destination's owner wrote.
    Template(TemplateSpec),
}

/// A receiver whose own format is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// A Slack incoming webhook.
    Slack,
    /// A Discord webhook.
    Discord,
    /// A Microsoft Teams workflow that posts an adaptive card.
    Teams,
    /// An n8n Webhook node: flat JSON.
    N8n,
    /// Zapier's Catch Hook: flat JSON.
    Zapier,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::Slack, Self::Discord, Self::Teams, Self::N8n, Self::Zapier];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::N8n => "n8n",
            Self::Zapier => "zapier",
        }
    }
}

impl BodyFormat {
    /// Every format that has a name of its own.
    pub const NAMED: [Self; 9] = [
        Self::Event,
        Self::CloudEvents,
        Self::CloudEventsBinary,
        Self::StandardWebhooks,
        Self::Preset(Preset::Slack),
        Self::Preset(Preset::Discord),
        Self::Preset(Preset::Teams),
        Self::Preset(Preset::N8n),
        Self::Preset(Preset::Zapier),
    ];

    /// The wire's name; a template's is the name of the member that holds it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::CloudEvents => "cloudevents",
            Self::CloudEventsBinary => "cloudevents-binary",
            Self::StandardWebhooks => "standard-webhooks",
            Self::Preset(preset) => preset.as_str(),
            Self::Template(_) => "template",
        }
    }

    /// Reads what stands at a destination's `format`: a name, or `{"template": {…}}`.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        match value {
            Value::String(name) => Self::named(&name),
            object @ Value::Object(_) => {
                let mut fields = Fields::open("format", object)?;
                let template = fields
                    .value("template")
                    .ok_or_else(|| DefinitionError::Missing { field: "format.template".to_owned() })?;
                fields.close(&[])?;
                TemplateSpec::parse(template).map(Self::Template)
            }
            other => Err(DefinitionError::Type {
                field: "format".to_owned(),
                expected: "the name of a format, or an object with a template",
                got: if other.is_array() { "a list".to_owned() } else { other.to_string() },
            }),
        }
    }

    fn named(name: &str) -> Result<Self, DefinitionError> {
        let given = name.trim().to_lowercase();
        if let Some(format) = Self::NAMED.into_iter().find(|format| format.as_str() == given) {
            return Ok(format);
        }
        let near = Self::NAMED
            .iter()
            .map(|format| (strsim::damerau_levenshtein(format.as_str(), &given), format.as_str()))
            .min()
            .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
        let advice = match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => {
                let names: Vec<&str> = Self::NAMED.iter().map(Self::as_str).collect();
                format!("there are {}, and {{\"template\": {{…}}}}", names.join(", "))
            }
        };
        let shown: String = name.chars().take(40).collect();
        Err(DefinitionError::invalid("format", format!("`{shown}` is not a format; {advice}")))
    }

    /// The format as it is written: [`BodyFormat::parse`] reads it back the same.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Template(template) => json!({ "template": template.to_json() }),
            named => json!(named.as_str()),
        }
    }
}

/// A template as its owner wrote it: small enough, with headers that may be set. Whether it compiles is for the
/// `delivery` crate to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSpec {
    body: String,
    content_type: ContentType,
    headers: Vec<TemplateHeader>,
}

/// A header that a template sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateHeader {
    name: String,
    value: String,
}

impl TemplateHeader {
    /// The header's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The template of its value.
    pub fn value(&self) -> &str {
        &self.value
    }

    fn parse(name: String, value: Value) -> Result<Self, DefinitionError> {
        if let Some(why) = unfit_header_name(&name) {
            let shown: String = name.chars().take(80).collect();
            return Err(DefinitionError::invalid("format.template.headers", format!("`{shown}` {why}")));
        }
        let field = format!("format.template.headers.{name}");
        match value {
            Value::String(value) => {
                check_length(&field, &value)?;
                Ok(Self { name, value })
            }
            other => Err(DefinitionError::Type {
                field,
                expected: "a text",
                got: if other.is_number() { "a number".to_owned() } else { "something else".to_owned() },
            }),
        }
    }
}

impl TemplateSpec {
    /// The template of the body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What the body is declared to be; it decides how values are escaped.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// The templates of the headers.
    pub fn headers(&self) -> &[TemplateHeader] {
        &self.headers
    }

    fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("format.template", value)?;
        let body = fields
            .text("body")?
            .ok_or_else(|| DefinitionError::Missing { field: "format.template.body".to_owned() })?;
        check_length("format.template.body", &body)?;
        let content_type = match fields.text("contentType")? {
            Some(text) => ContentType::parse(&text)?,
            None => ContentType::default(),
        };
        let headers = match fields.value("headers") {
            None => Vec::new(),
            Some(Value::Object(headers)) => parse_headers(headers)?,
            Some(other) => return Err(fields.wrong_type("headers", "an object of texts", &other)),
        };
        fields.close(&[])?;
        Ok(Self { body, content_type, headers })
    }

    fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("body".to_owned(), json!(self.body));
        out.insert("contentType".to_owned(), json!(self.content_type.as_str()));
        if !self.headers.is_empty() {
            let headers: Map<String, Value> =
                self.headers.iter().map(|header| (header.name.clone(), json!(header.value))).collect();
            out.insert("headers".to_owned(), Value::Object(headers));
        }
        Value::Object(out)
    }
}

fn parse_headers(headers: Map<String, Value>) -> Result<Vec<TemplateHeader>, DefinitionError> {
    const FIELD: &str = "format.template.headers";
    if headers.len() > MAX_TEMPLATE_HEADERS {
        let why =
            format!("{} headers are given, and at most {MAX_TEMPLATE_HEADERS} are taken", headers.len());
        return Err(DefinitionError::invalid(FIELD, why));
    }
    let mut parsed: Vec<TemplateHeader> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let header = TemplateHeader::parse(name, value)?;
        if parsed.iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) {
            return Err(DefinitionError::invalid(FIELD, format!("`{}` is given twice", header.name)));
        }
        parsed.push(header);
    }
    Ok(parsed)
}

fn check_length(field: &str, text: &str) -> Result<(), DefinitionError> {
    match text.len() {
        length if length > MAX_TEMPLATE_BYTES => {
            let why = format!("the template has {length} bytes, and at most {MAX_TEMPLATE_BYTES} are taken");
            Err(DefinitionError::invalid(field, why))
        }
        _ => Ok(()),
    }
}

/// Why a header of this name may not be set.
pub(super) fn unfit_header_name(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > 100 || !name.bytes().all(is_token_byte) {
        Some("cannot be the name of a header")
    } else if RESERVED_HEADERS.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
    {
        Some("is a header that the gateway sets itself")
    } else {
        None
    }
}

/// The characters of names in HTTP (RFC 9110 §5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A media type such as `application/json`, with its parameters if it has any.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentType(String);

impl ContentType {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and subtype, without the parameters.
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim_end()
    }

    /// Whether such a body is JSON: `application/json`, `text/json`, or a type that ends in `+json`.
    pub fn is_json(&self) -> bool {
        let essence = self.essence().to_ascii_lowercase();
        matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
    }

    fn parse(text: &str) -> Result<Self, DefinitionError> {
        let parsed = Self(text.trim().to_owned());
        let named = parsed.essence().split_once('/').is_some_and(|(top, sub)| {
            [top, sub].iter().all(|part| !part.is_empty() && part.bytes().all(is_token_byte))
        });
        let sendable = parsed.0.len() <= MAX_CONTENT_TYPE_BYTES
            && parsed.0.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if named && sendable {
            return Ok(parsed);
        }
        let shown: String = text.chars().take(80).collect();
        let why = format!("`{shown}` is not a media type; write one such as `application/json`");
        Err(DefinitionError::invalid("format.template.contentType", why))
    }
}

impl Default for ContentType {
    fn default() -> Self {
        Self("application/json".to_owned())
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: Value) -> String {
        BodyFormat::parse(value).expect_err("it is refused").to_string()
    }

    fn template(change: impl FnOnce(&mut Value)) -> Value {
        let mut template = json!({ "body": "{{ text }}", "headers": { "X-A": "{{ headline }}" } });
        change(&mut template);
        json!({ "template": template })
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let with_template = template(|template| template["contentType"] = json!("text/plain; charset=utf-8"));
        let formats = BodyFormat::NAMED.iter().map(BodyFormat::to_json).chain([with_template]);
        for written in formats {
            let format = BodyFormat::parse(written.clone()).unwrap();
            assert_eq!(format.to_json(), written);
        }
    }

    #[test]
    fn every_preset_has_a_name_that_is_read() {
        for preset in Preset::ALL {
            assert_eq!(BodyFormat::parse(json!(preset.as_str())), Ok(BodyFormat::Preset(preset)));
        }
    }

    #[test]
    fn an_unknown_format_is_told_with_the_near_one_or_with_all() {
        assert_eq!(refused(json!("slak")), "`format`: `slak` is not a format; did you mean `slack`?");
        assert_eq!(
            refused(json!("carrier pigeon")),
            "`format`: `carrier pigeon` is not a format; there are event, cloudevents, cloudevents-binary, \
             standard-webhooks, slack, discord, teams, n8n, zapier, and {\"template\": {…}}"
        );
        assert!(refused(json!(7)).contains("must be the name of a format"));
    }

    #[test]
    fn a_templates_unknown_field_is_named_with_the_near_one() {
        let error = BodyFormat::parse(template(|template| template["contenttype"] = json!("a/b")));
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "unknown field `format.template.contenttype`");
        assert_eq!(error.hint().unwrap(), "did you mean `format.template.contentType`?");
        assert_eq!(refused(json!({})), "`format.template` is required");
        assert_eq!(refused(json!({ "template": {} })), "`format.template.body` is required");
    }

    #[test]
    fn headers_that_frame_or_prove_the_request_are_refused() {
        for name in [
            "Host",
            "content-LENGTH",
            "Content-Type",
            "Transfer-Encoding",
            "webhook-id",
            "Webhook-Whatever",
            "AUTHORIZATION",
            "Proxy-Authorization",
            "clawhook-attempt",
            "Idempotency-Key",
            "X-Hub-Signature-256",
        ] {
            let error = refused(template(|template| template["headers"] = json!({ name: "x" })));
            assert!(error.contains(name) && error.contains("the gateway sets itself"), "{error}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
            let error = refused(template(|template| template["headers"] = json!({ name: "x" })));
            assert!(error.contains("cannot be the name of a header"), "{error}");
        }
        let twice = refused(template(|template| template["headers"] = json!({ "X-A": "1", "x-a": "2" })));
        assert!(twice.contains("is given twice"), "{twice}");
    }

    #[test]
    fn templates_and_content_types_are_bounded() {
        let long = "x".repeat(MAX_TEMPLATE_BYTES + 1);
        assert!(refused(template(|template| template["body"] = json!(long))).contains("65537 bytes"));
        let long_header = template(|template| template["headers"]["X-A"] = json!(long));
        assert!(refused(long_header).contains("format.template.headers.X-A"));
        let many: Map<String, Value> = (0..33).map(|n| (format!("x-{n}"), json!("x"))).collect();
        assert!(refused(template(|template| template["headers"] = json!(many))).contains("at most 32"));
        for bad in ["json", "application/", "/json", "a/b\r\nx: y", "a/ü", "a b/c"] {
            let error = refused(template(|template| template["contentType"] = json!(bad)));
            assert!(error.contains("is not a media type"), "{error}");
        }
    }

    #[test]
    fn json_types_are_known_as_such() {
        let is_json = |text| ContentType::parse(text).unwrap().is_json();
        for json in ["application/json", "Application/JSON ; charset=utf-8", "application/cloudevents+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["text/plain", "application/jsonl", "application/xml", "text/plain;x=application/json"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
