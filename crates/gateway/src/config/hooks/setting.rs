//! The kinds of value that the keys of hooks have.

use std::fmt::Display;

use clawhook_delivery::signature::generic::{HmacAlgorithm, HmacEncoding, SignedMessage};
use clawhook_inbound::{FilterTest, HookId, JqProgram, Lookup, Preset, SessionMode, Template, TextTemplate};
use clawhook_model::{AgentId, DestinationName, SessionName, WakeMode, WebhookTarget, WebhookUrl};
use http::HeaderName;

use crate::config::document::{Node, range};
use crate::config::setting::{Complaint, Setting, text, unexpected};

/// A text that is read by a rule of its own; what is wrong is told as that rule tells it.
macro_rules! read_texts {
    ($($kind:ty, $expected:literal, $read:expr;)*) => {$(
        impl Setting for $kind {
            type Form = ();

            fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
                let given = text(node).ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
                let read: fn(&str) -> Result<Self, Told> = $read;
                read(given).map_err(|told| vec![told.complaint(node)])
            }

            fn expected((): &()) -> String {
                $expected.to_owned()
            }

            fn written(&self) -> String {
                String::new()
            }
        }
    )*};
}

/// What a rule tells of a text that it does not take.
struct Told {
    message: String,
    hint: Option<String>,
}

impl Told {
    fn of(error: &impl Display) -> Self {
        Self { message: error.to_string(), hint: None }
    }

    fn complaint(self, node: &Node<'_>) -> Complaint {
        let complaint = Complaint::new(range(node), self.message);
        match self.hint {
            Some(hint) => complaint.with_hint(hint),
            None => complaint,
        }
    }
}

read_texts! {
    HookId, "the id of a hook", |text| text.parse().map_err(|error| Told::of(&format!("cannot be an id: {error}")));
    Template, "a text with paths in it such as `{{payload.a}}`", |text| {
        Template::parse(text).map_err(|error| Told { hint: error.hint().map(str::to_owned), message: error.to_string() })
    };
    Lookup, "a path such as `payload.a.b[0]`, `headers.x-name` or `query.name`", |text| {
        Lookup::parse(text).map_err(|error| Told { hint: error.hint().map(str::to_owned), message: error.to_string() })
    };
    TextTemplate, "a Jinja template", |text| {
        TextTemplate::parse(text).map_err(|error| Told::of(&error))
    };
    JqProgram, "a program of jq", |text| {
        JqProgram::parse(text).map_err(|error| Told { hint: error.hint(), message: error.to_string() })
    };
    SessionName, "the key of a session", |text| text.parse().map_err(|error| Told::of(&error));
    Pattern, "a regular expression", |text| FilterTest::matches(text).map(Self).map_err(|error| Told::of(&error));
    Preset, "\"gmail\"", |text| {
        text.parse().map_err(|()| Told { message: format!("names `{text}`, which is no preset"), hint: Some("there is \"gmail\"".to_owned()) })
    };
    SignedMessage, "a text with `{{body}}` in it, and `{{timestamp}}` where there is one", |text| {
        text.parse().map_err(|error| Told::of(&error))
    };
    HeaderText, "the name of a header", |text| {
        let name = text.parse::<HeaderName>();
        name.map(Self).map_err(|_| Told::of(&format!("is `{text}`, which cannot be the name of a header")))
    };
    HookPath, "a path such as \"/hooks\"", |text| {
        let path = text.trim().trim_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if path.is_empty() || !path.chars().all(fits) || path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(Told { message: format!("is `{text}`, which cannot be the path of hooks"), hint: Some("write a path such as \"/hooks\"; `/` alone belongs to the API".to_owned()) });
        }
        Ok(Self(format!("/{path}")))
    };
    SubPath, "a path below `hooks.path`", |text| {
        let path = text.trim().trim_matches('/');
        if path.is_empty() || path.contains(|c: char| c.is_control() || "?#".contains(c)) {
            return Err(Told::of(&"cannot be the path of a hook"));
        }
        Ok(Self(path.to_owned()))
    };
    AllowedAgent, "the id of an agent, or \"*\"", |text| match text.trim() {
        "" => Err(Told::of(&"is empty")),
        "*" => Ok(Self(None)),
        id => Ok(Self(Some(AgentId::normalise(id)))),
    };
    TokenAgent, "the id of an agent", |text| match text.trim() {
        "" => Err(Told::of(&"is empty")),
        id => Ok(Self(AgentId::normalise(id))),
    };
}

/// The path below which all hooks lie, with a slash before it and none after.
#[derive(Debug, Clone)]
pub(in crate::config) struct HookPath(pub(super) String);

/// The path of one hook, without slashes around it.
#[derive(Debug, Clone)]
pub(in crate::config) struct SubPath(pub(super) String);

/// An agent that hooks may reach; none is every agent.
#[derive(Debug, Clone)]
pub(in crate::config) struct AllowedAgent(pub(super) Option<AgentId>);

/// An agent that a token may reach.
#[derive(Debug, Clone)]
pub(in crate::config) struct TokenAgent(pub(super) AgentId);

/// A pattern that is to be found.
#[derive(Debug, Clone)]
pub(in crate::config) struct Pattern(pub(super) FilterTest);

/// The name of a header.
#[derive(Debug, Clone)]
pub(in crate::config) struct HeaderText(pub(super) HeaderName);

/// Where something is sent: a destination's name, or a URL.
#[derive(Debug, Clone)]
pub(in crate::config) struct Receiver(pub(super) WebhookTarget);

impl Setting for Receiver {
    type Form = ();

    /// The query of a URL may be a secret.
    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let given = text(node).ok_or_else(|| vec![unexpected::<Self>(node, form)])?.trim();
        let target = if given.contains("://") {
            let url: Result<WebhookUrl, _> = given.parse();
            url.map(WebhookTarget::Url).map_err(|error| error.to_string())
        } else {
            let name: Result<DestinationName, _> = given.parse();
            name.map(WebhookTarget::Destination).map_err(|error| error.to_string())
        };
        target
            .map(Self)
            .map_err(|error| vec![Complaint::new(range(node), format!("cannot be used: {error}"))])
    }

    fn expected((): &()) -> String {
        "the name of a destination, or an https URL".to_owned()
    }
}

/// One of several words.
macro_rules! words {
    ($($kind:ty { $($word:literal => $value:expr,)+ })*) => {$(
        impl Setting for $kind {
            type Form = ();

            fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
                match text(node).map(str::trim) {
                    $(Some($word) => Ok($value),)+
                    _ => Err(vec![unexpected::<Self>(node, form)]),
                }
            }

            fn expected((): &()) -> String {
                format!("one of {}", [$(concat!("\"", $word, "\"")),+].join(", "))
            }

            fn written(&self) -> String {
                [$(($value, concat!("\"", $word, "\""))),+]
                    .into_iter()
                    .find(|(value, _)| value == self)
                    .map(|(_, word)| word.to_owned())
                    .unwrap_or_default()
            }
        }
    )*};
}

/// A scheme of signatures by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum SchemeName {
    Standard,
    Github,
    Gitlab,
    Stripe,
    Slack,
    Hmac,
}

/// What a mapping does, as OpenClaw names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum ActionName {
    Agent,
    Wake,
}

words! {
    SchemeName {
        "standard" => Self::Standard,
        "github" => Self::Github,
        "gitlab" => Self::Gitlab,
        "stripe" => Self::Stripe,
        "slack" => Self::Slack,
        "hmac" => Self::Hmac,
    }
    ActionName {
        "agent" => Self::Agent,
        "wake" => Self::Wake,
    }
    WakeMode {
        "now" => Self::Now,
        "next-heartbeat" => Self::NextHeartbeat,
    }
    SessionMode {
        "isolated" => Self::Isolated,
        "persistent" => Self::Persistent,
    }
    HmacAlgorithm {
        "sha1" => Self::Sha1,
        "sha256" => Self::Sha256,
        "sha512" => Self::Sha512,
    }
    HmacEncoding {
        "hex" => Self::Hex,
        "base64" => Self::Base64,
    }
}
