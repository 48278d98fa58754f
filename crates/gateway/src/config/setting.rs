//! The kinds of value that a key can have: how each is read, what it must be, and how it is told in the documentation.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clawhook_delivery::{Proxy, ProxyError};
use clawhook_model::{
    Overlap, SecretSource, SecretSourceError, TransientClass, Usd, format_duration, parse_duration,
};
use jsonc_parser::ast::Value;
use jsonc_parser::common::Range;
use url::{Host, Url};

use super::document::{Node, range};

/// A kind of value.
pub(super) trait Setting: Sized {
    /// What a key may further ask of its value, such as bounds.
    type Form: 'static;

    /// Whether the value may be shown in messages and excerpts.
    const PUBLIC: bool = true;

    /// Reads a value.
    fn read(node: &Node<'_>, form: &Self::Form) -> Result<Self, Vec<Complaint>>;

    /// What the value must be, to follow "must be".
    fn expected(form: &Self::Form) -> String;

    /// The same for the documentation, where it may refer to a chapter.
    fn documented(form: &Self::Form) -> String {
        Self::expected(form)
    }

    /// How a value is written, for the defaults in the documentation.
    fn written(&self) -> String {
        String::new()
    }
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Complaint {
    /// Where.
    pub(super) at: Range,
    /// Which part of the value, to follow the key's name: `[2]`, `.env`, or nothing.
    pub(super) part: String,
    /// What, to follow the name.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(at: Range, message: String) -> Self {
        Self { at, part: String::new(), message, hint: None }
    }

    pub(super) fn in_part(mut self, part: &str) -> Self {
        self.part.insert_str(0, part);
        self
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The complaint that a value is not what its key expects.
pub(super) fn unexpected<S: Setting>(node: &Node<'_>, form: &S::Form) -> Complaint {
    let found = if S::PUBLIC { quote(node) } else { kind(node).to_owned() };
    Complaint::new(range(node), format!("must be {}, not {found}", S::expected(form)))
}

/// A node's value for a message, or its kind where the value is not a short text.
fn quote(node: &Node<'_>) -> String {
    const LONGEST: usize = 60;
    match node {
        Value::StringLit(text) if text.value.chars().count() <= LONGEST => {
            format!("`\"{}\"`", text.value.escape_debug())
        }
        Value::NumberLit(number) if number.value.len() <= LONGEST => format!("`{}`", number.value),
        Value::BooleanLit(flag) => format!("`{}`", flag.value),
        Value::NullKeyword(_) => "`null`".to_owned(),
        _ => kind(node).to_owned(),
    }
}

fn kind(node: &Node<'_>) -> &'static str {
    match node {
        Value::StringLit(_) => "a text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "a truth value",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "`null`",
    }
}

pub(super) fn text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.as_string_lit().map(|literal| literal.value.as_ref())
}

impl Setting for bool {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let literal = node.as_boolean_lit().ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        Ok(literal.value)
    }

    fn expected((): &()) -> String {
        "true or false".to_owned()
    }

    fn written(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            type Form = RangeInclusive<$number>;

            fn read(node: &Node<'_>, form: &Self::Form) -> Result<Self, Vec<Complaint>> {
                let number = node.as_number_lit().and_then(|literal| whole(literal.value));
                number
                    .and_then(|number| Self::try_from(number).ok())
                    .filter(|number| form.contains(number))
                    .ok_or_else(|| vec![unexpected::<Self>(node, form)])
            }

            fn expected(form: &Self::Form) -> String {
                format!("a whole number from {} to {}", form.start(), form.end())
            }

            fn written(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

/// The value of a number that JSON5 writes in decimal or hexadecimal.
pub(super) fn whole(literal: &str) -> Option<u64> {
    let digits = literal.strip_prefix('+').unwrap_or(literal);
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The value of a number that JSON5 writes in decimal or hexadecimal, whole or not.
pub(super) fn decimal(node: &Node<'_>) -> Option<f64> {
    let literal = node.as_number_lit()?.value;
    match whole(literal) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is read so has far fewer digits than a double holds"
        )]
        Some(whole) => Some(whole as f64),
        None => literal.strip_prefix('+').unwrap_or(literal).parse().ok(),
    }
}

/// An amount of money, as dollars.
impl Setting for Usd {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let amount = decimal(node).and_then(Self::from_dollars);
        amount.ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        "an amount of US dollars, such as 2.5".to_owned()
    }
}

/// A whole number that is a limit; none is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtMost(pub(super) Option<u64>);

impl Setting for AtMost {
    type Form = RangeInclusive<u64>;

    fn read(node: &Node<'_>, form: &Self::Form) -> Result<Self, Vec<Complaint>> {
        if node.as_boolean_lit().is_some_and(|flag| !flag.value) {
            return Ok(Self(None));
        }
        match u64::read(node, form) {
            Ok(most) => Ok(Self(Some(most))),
            Err(_) => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected(form: &Self::Form) -> String {
        format!("{}, or false", u64::expected(form))
    }

    fn written(&self) -> String {
        self.0.map_or_else(|| "false".to_owned(), |most| most.to_string())
    }
}

/// How long something is kept; none is for as long as nothing else ends it. OpenClaw writes hours as a bare number, and
/// takes a length of nothing for no end.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptFor(pub(super) Option<Duration>);

impl Setting for KeptFor {
    /// The longest.
    type Form = Duration;

    fn read(node: &Node<'_>, most: &Duration) -> Result<Self, Vec<Complaint>> {
        const HOUR_SECONDS: u64 = 60 * 60;
        let number = text(node).map(str::trim).or_else(|| node.as_number_lit().map(|literal| literal.value));
        let length = match node.as_boolean_lit() {
            Some(flag) if !flag.value => Some(Duration::ZERO),
            Some(_) => None,
            None => match number.and_then(whole) {
                Some(hours) => Some(Duration::from_secs(hours.saturating_mul(HOUR_SECONDS))),
                None => text(node).and_then(|text| parse_duration(text).ok()),
            },
        };
        match length {
            Some(Duration::ZERO) => Ok(Self(None)),
            Some(length) if length <= *most => Ok(Self(Some(length))),
            _ => Err(vec![unexpected::<Self>(node, most)]),
        }
    }

    fn expected(most: &Duration) -> String {
        format!("a duration up to {}, a number of hours, or false", format_duration(*most))
    }

    fn written(&self) -> String {
        self.0.map_or_else(|| "false".to_owned(), |length| length.written())
    }
}

/// How long a text may be, in bytes.
#[derive(Debug)]
pub(super) struct TextForm {
    pub(super) most: usize,
}

impl Setting for String {
    type Form = TextForm;

    fn read(node: &Node<'_>, form: &TextForm) -> Result<Self, Vec<Complaint>> {
        match text(node) {
            Some(text) if !text.trim().is_empty() && text.len() <= form.most && !text.contains('\0') => {
                Ok(text.to_owned())
            }
            _ => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected(form: &TextForm) -> String {
        format!("a text of at most {} bytes", form.most)
    }
}

/// One argument of a program. It is not shown, as some carry a key.
#[derive(Debug, Clone)]
pub(super) struct Argument(pub(super) String);

impl Setting for Argument {
    type Form = ();

    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        match text(node).filter(|text| !text.contains('\0')) {
            Some(argument) => Ok(Self(argument.to_owned())),
            None => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "a text".to_owned()
    }
}

/// How short and how long a duration may be.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

impl Setting for Duration {
    type Form = Bounds;

    fn read(node: &Node<'_>, form: &Bounds) -> Result<Self, Vec<Complaint>> {
        let complaint = unexpected::<Self>(node, form);
        let Some(text) = text(node) else {
            return Err(vec![complaint.with_hint("write it as a text, such as \"15s\" or \"1h30m\"")]);
        };
        match parse_duration(text) {
            Ok(duration) if (form.least..=form.most).contains(&duration) => Ok(duration),
            Ok(_) => Err(vec![complaint]),
            Err(error) => Err(vec![complaint.with_hint(error.to_string())]),
        }
    }

    fn expected(form: &Bounds) -> String {
        format!("a duration from {} to {}", format_duration(form.least), format_duration(form.most))
    }

    fn written(&self) -> String {
        format!("\"{}\"", format_duration(*self))
    }
}

/// How many entries a list may have, and what each must be.
#[derive(Debug)]
pub(super) struct ListOf<F> {
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) each: F,
}

impl<S: Setting> Setting for Vec<S> {
    type Form = ListOf<S::Form>;

    const PUBLIC: bool = S::PUBLIC;

    fn read(node: &Node<'_>, form: &Self::Form) -> Result<Self, Vec<Complaint>> {
        let list = node.as_array().ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        if !(form.least..=form.most).contains(&list.elements.len()) {
            let message = format!("must be {}, not {} entries", Self::expected(form), list.elements.len());
            return Err(vec![Complaint::new(list.range, message)]);
        }
        let mut read = Vec::with_capacity(list.elements.len());
        let mut complaints = Vec::new();
        for (place, element) in list.elements.iter().enumerate() {
            match S::read(element, &form.each) {
                Ok(value) => read.push(value),
                Err(wrong) => complaints.extend(wrong.into_iter().map(|c| c.in_part(&format!("[{place}]")))),
            }
        }
        if complaints.is_empty() { Ok(read) } else { Err(complaints) }
    }

    fn expected(form: &Self::Form) -> String {
        let each = S::expected(&form.each);
        match form.least {
            0 => format!("a list of at most {}, each {each}", form.most),
            least => format!("a list of {least} to {}, each {each}", form.most),
        }
    }

    fn written(&self) -> String {
        let entries: Vec<String> = self.iter().map(S::written).collect();
        format!("[{}]", entries.join(", "))
    }
}

/// The address that the gateway listens on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bind(pub(super) IpAddr);

impl Setting for Bind {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let address = match text(node) {
            Some("loopback") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some("lan") => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Some(other) => other.parse().ok(),
            None => None,
        };
        address.map(Self).ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        "\"loopback\", \"lan\" or an IP address".to_owned()
    }

    fn written(&self) -> String {
        match self.0 {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => "\"loopback\"".to_owned(),
            other => format!("\"{other}\""),
        }
    }
}

/// How clients prove who they are; a shared token is the only way there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenAuth;

impl Setting for TokenAuth {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        match text(node) {
            Some("token") => Ok(Self),
            _ => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "\"token\"".to_owned()
    }

    fn written(&self) -> String {
        "\"token\"".to_owned()
    }
}

/// What becomes of instants at which nobody was there; how many are run stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MisfireName {
    Skip,
    Once,
    Each,
}

impl Setting for MisfireName {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        match text(node) {
            Some("skip") => Ok(Self::Skip),
            Some("once") => Ok(Self::Once),
            Some("each") => Ok(Self::Each),
            _ => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "\"skip\", \"once\" or \"each\"".to_owned()
    }

    fn written(&self) -> String {
        match self {
            Self::Skip => "\"skip\"".to_owned(),
            Self::Once => "\"once\"".to_owned(),
            Self::Each => "\"each\"".to_owned(),
        }
    }
}

impl Setting for Overlap {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let Some(object) = node.as_object() else {
            return text(node).and_then(Self::from_name).ok_or_else(|| vec![unexpected::<Self>(node, form)]);
        };
        let [policy, most] = members(object, ["policy", "max"])?;
        let policy = policy.ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        let named = text(policy)
            .and_then(Self::from_name)
            .ok_or_else(|| in_part(vec![unexpected::<Self>(policy, form)], ".policy"))?;
        match (named, most) {
            (named, None) => Ok(named),
            (Self::BufferAll { .. }, Some(most)) => match u32::read(most, &(1..=Self::MOST_OPEN)) {
                Ok(most) => Ok(Self::BufferAll { most }),
                Err(wrong) => Err(in_part(wrong, ".max")),
            },
            (_, Some(most)) => {
                let message = "has a place with the policy \"bufferAll\" alone".to_owned();
                Err(vec![Complaint::new(range(most), message).in_part(".max")])
            }
        }
    }

    fn expected((): &()) -> String {
        "\"skip\", \"bufferOne\", \"bufferAll\", \"cancelOther\", \"allowAll\" or \
         { policy: \"bufferAll\", max: 100 }"
            .to_owned()
    }

    fn written(&self) -> String {
        match self {
            Self::BufferAll { most } => format!("{{ policy: \"bufferAll\", max: {most} }}"),
            other => format!("\"{}\"", other.as_str()),
        }
    }
}

impl Setting for TransientClass {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let class = Self::ALL.into_iter().find(|class| text(node) == Some(class.as_str()));
        class.ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        let names = Self::ALL.map(|class| format!("\"{}\"", class.as_str()));
        format!("one of {}", names.join(", "))
    }

    fn written(&self) -> String {
        format!("\"{}\"", self.as_str())
    }
}

/// One exact host, in the form that the URL standard gives it.
#[derive(Debug, Clone)]
pub(super) struct HostName(pub(super) String);

impl Setting for HostName {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let given = text(node).map(str::trim).unwrap_or_default();
        let host = match given.parse::<IpAddr>() {
            Ok(address) => Some(address.to_string()),
            Err(_) if given.contains('*') => None,
            Err(_) => match Host::parse(given) {
                Ok(Host::Domain(name)) => Some(name),
                Ok(Host::Ipv4(address)) => Some(address.to_string()),
                Ok(Host::Ipv6(address)) => Some(address.to_string()),
                Err(_) => None,
            },
        };
        let complaint = || {
            unexpected::<Self>(node, form).with_hint(
                "name the host alone: no scheme, no port, no path, no `*`, as in \"hooks.example.com\"",
            )
        };
        host.map(Self).ok_or_else(|| vec![complaint()])
    }

    fn expected((): &()) -> String {
        "an exact host name or IP address".to_owned()
    }
}

impl Setting for PathBuf {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        match text(node) {
            Some(path) if !path.trim().is_empty() && !path.contains('\0') => Ok(Self::from(path)),
            _ => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "a path".to_owned()
    }
}

/// The address under which a model provider's API lies. It is not shown, as some carry a key.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl(pub(super) Url);

impl Setting for BaseUrl {
    type Form = ();

    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let wrong = |message: &str| vec![Complaint::new(range(node), message.to_owned())];
        let given = text(node).ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        let url = Url::parse(given.trim()).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("carries a user name or password; a key belongs in `apiKey`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must end with its path: `?…` and `#…` have no place in a base URL"));
        }
        Ok(Self(url))
    }

    fn expected((): &()) -> String {
        "an https or http URL".to_owned()
    }
}

impl Setting for SecretSource {
    type Form = ();

    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let wrong = || vec![unexpected::<Self>(node, form)];
        if let Some(given) = text(node) {
            let source = Self::text(given).map_err(|error| complaint(node, error))?;
            return match &source {
                // Those that the configuration has are tokens and keys of one line.
                Self::Written(text) if text.expose().contains(char::is_control) => {
                    Err(vec![Complaint::new(range(node), A_LINE_BREAK.to_owned())])
                }
                _ => Ok(source),
            };
        }
        let object = node.as_object().ok_or_else(wrong)?;
        match members(object, ["env", "file", "exec", "source", "id"])? {
            [Some(name), None, None, None, None] => variable(name).map_err(|wrong| in_part(wrong, ".env")),
            [None, Some(path), None, None, None] => file(path).map_err(|wrong| in_part(wrong, ".file")),
            [None, None, Some(argv), None, None] => program(argv).map_err(|wrong| in_part(wrong, ".exec")),
            [None, None, None, Some(source), Some(id)] => match text(source) {
                Some("env") => variable(id).map_err(|wrong| in_part(wrong, ".id")),
                Some("file") => file(id).map_err(|wrong| in_part(wrong, ".id")),
                _ => {
                    let message = "must be \"env\" or \"file\"".to_owned();
                    Err(vec![Complaint::new(range(source), message).in_part(".source")])
                }
            },
            _ => Err(wrong()),
        }
    }

    fn expected((): &()) -> String {
        "a text, \"${NAME}\", { env: \"NAME\" }, { file: \"path\" }, { exec: [\"program\", \"argument\"] } or \
         { source: \"env\" or \"file\", id: \"…\" }"
            .to_owned()
    }

    fn documented((): &()) -> String {
        "a [secret](#secrets)".to_owned()
    }
}

/// What is wrong with a secret that is to be one line.
pub(super) const A_LINE_BREAK: &str = "holds a line break or another control character";

fn variable(node: &Node<'_>) -> Result<SecretSource, Vec<Complaint>> {
    SecretSource::env(text(node).unwrap_or_default()).map_err(|error| complaint(node, error))
}

fn file(node: &Node<'_>) -> Result<SecretSource, Vec<Complaint>> {
    SecretSource::file(text(node).unwrap_or_default()).map_err(|error| complaint(node, error))
}

fn program(node: &Node<'_>) -> Result<SecretSource, Vec<Complaint>> {
    let words = node.as_array().and_then(|list| list.elements.iter().map(text).collect::<Option<Vec<_>>>());
    let argv = words.unwrap_or_default().into_iter().map(str::to_owned).collect();
    SecretSource::exec(argv).map_err(|error| complaint(node, error))
}

fn complaint(node: &Node<'_>, error: SecretSourceError) -> Vec<Complaint> {
    vec![Complaint::new(range(node), error.to_string())]
}

/// The proxy's address. It is not shown, as some write a password into it.
impl Setting for Proxy {
    type Form = ();

    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let given = text(node).ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        given.parse().map_err(|error: ProxyError| vec![Complaint::new(range(node), error.to_string())])
    }

    fn expected((): &()) -> String {
        "a URL such as \"http://proxy.example.com:3128\"".to_owned()
    }
}

/// The named members of a value that is written as an object; any other member is refused.
pub(super) fn members<'n, const N: usize>(
    object: &'n jsonc_parser::ast::Object<'_>,
    names: [&str; N],
) -> Result<[Option<&'n Node<'n>>; N], Vec<Complaint>> {
    let mut found = [None; N];
    let mut complaints = Vec::new();
    for property in &object.properties {
        let name = property.name.as_str();
        let at = super::block::name_range(&property.name);
        match names.iter().position(|known| *known == name) {
            Some(place) if found[place].is_none() => found[place] = Some(&property.value),
            Some(_) => complaints.push(Complaint::new(at, format!("has `{name}` twice"))),
            None => {
                let message = format!("has the unknown member `{}`", super::block::shorten(name));
                complaints
                    .push(Complaint::new(at, message).with_hint(format!("it takes {}", names.join(", "))));
            }
        }
    }
    if complaints.is_empty() { Ok(found) } else { Err(complaints) }
}

pub(super) fn in_part(complaints: Vec<Complaint>, part: &str) -> Vec<Complaint> {
    complaints.into_iter().map(|complaint| complaint.in_part(part)).collect()
}
