//! The kinds of value that the keys of an agent can have.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clawhook_agent::ModelRef;
use clawhook_model::{Thinking, format_duration, parse_duration};
use clawhook_schedule::zone_named;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::config::document::{Node, range};
use crate::config::setting::{Bounds, Complaint, Setting, in_part, members, text, unexpected};

impl Setting for ModelRef {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        text(node).and_then(|text| text.parse().ok()).ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        "\"provider/model\"".to_owned()
    }
}

/// A model, with its fallbacks where it is written as OpenClaw's object.
#[derive(Debug, Clone)]
pub(in crate::config) struct ModelChoice {
    pub(super) primary: Option<ModelRef>,
    pub(super) fallbacks: Option<Vec<ModelRef>>,
}

impl Setting for ModelChoice {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let wrong = || vec![unexpected::<Self>(node, form)];
        let Some(object) = node.as_object() else {
            let primary = ModelRef::read(node, form).map_err(|_| wrong())?;
            return Ok(Self { primary: Some(primary), fallbacks: None });
        };
        let [primary, fallbacks] = members(object, ["primary", "fallbacks"])?;
        if primary.is_none() && fallbacks.is_none() {
            return Err(wrong());
        }
        let read_primary = |node| ModelRef::read(node, form).map_err(|wrong| in_part(wrong, ".primary"));
        let read_fallbacks = |node| {
            Vec::read(node, &super::keys::FALLBACKS.form).map_err(|wrong| in_part(wrong, ".fallbacks"))
        };
        Ok(Self {
            primary: primary.map(read_primary).transpose()?,
            fallbacks: fallbacks.map(read_fallbacks).transpose()?,
        })
    }

    fn expected((): &()) -> String {
        "\"provider/model\" or { primary: \"provider/model\", fallbacks: [\"provider/model\"] }".to_owned()
    }
}

/// A file within a folder: a relative path without a way out.
#[derive(Debug, Clone)]
pub(in crate::config) struct InnerPath(pub(super) PathBuf);

impl Setting for InnerPath {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let given = text(node).filter(|path| !path.trim().is_empty() && !path.contains('\0'));
        let path = Path::new(given.ok_or_else(|| vec![unexpected::<Self>(node, form)])?);
        let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if stays && !path.starts_with("~") {
            return Ok(Self(path.to_owned()));
        }
        let hint = "the file must lie in the agent's workspace; set `workspace` to where it is";
        Err(vec![unexpected::<Self>(node, form).with_hint(hint)])
    }

    fn expected((): &()) -> String {
        "a path within the workspace, such as \"AGENTS.md\"".to_owned()
    }
}

/// Which tools, by their names.
#[derive(Debug, Clone)]
pub(in crate::config) struct ToolPattern(pub(super) String);

impl ToolPattern {
    /// The pattern.
    pub(in crate::config) fn as_str(&self) -> &str {
        &self.0
    }

    /// The server whose tools are meant, where the pattern says it whole.
    pub(super) fn server(&self) -> Option<&str> {
        let server = self.0.split_once("__").map_or(self.0.as_str(), |(server, _)| server);
        (!server.contains('*')).then_some(server)
    }
}

impl Setting for ToolPattern {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        const LONGEST: usize = 128;
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-*.".contains(c);
        match text(node).map(str::trim) {
            Some(name) if (1..=LONGEST).contains(&name.len()) && name.chars().all(fits) => {
                Ok(Self(name.to_owned()))
            }
            _ => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "\"server__tool\", \"server\" or a name with `*`".to_owned()
    }

    fn written(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl Setting for Thinking {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        text(node).and_then(|text| text.parse().ok()).ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        let names = Self::ALL.map(|level| format!("\"{}\"", level.as_str()));
        format!("one of {}", names.join(", "))
    }
}

/// The IANA name of a zone.
#[derive(Debug, Clone)]
pub(in crate::config) struct ZoneName(pub(super) String);

/// The zone of a name that was checked.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    zone_named(name).ok()
}

impl Setting for ZoneName {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let given = text(node).map(str::trim).unwrap_or_default();
        match zone_named(given) {
            Ok(_) => Ok(Self(given.to_owned())),
            Err(error) => {
                let complaint = unexpected::<Self>(node, form);
                Err(vec![match error.hint().filter(|_| !given.is_empty()) {
                    Some(hint) => complaint.with_hint(hint),
                    None => complaint,
                }])
            }
        }
    }

    fn expected((): &()) -> String {
        "an IANA zone such as \"Europe/Berlin\"".to_owned()
    }
}

/// How often a heartbeat beats; none is never.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct HeartbeatEvery(pub(super) Option<Duration>);

impl Setting for HeartbeatEvery {
    type Form = Bounds;

    fn read(node: &Node<'_>, form: &Bounds) -> Result<Self, Vec<Complaint>> {
        let is_never = node.as_boolean_lit().is_some_and(|flag| !flag.value)
            || text(node).and_then(|text| parse_duration(text).ok()).is_some_and(|every| every.is_zero());
        if is_never {
            return Ok(Self(None));
        }
        match Duration::read(node, form) {
            Ok(every) => Ok(Self(Some(every))),
            Err(_) => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected(form: &Bounds) -> String {
        format!("{}, or false", Duration::expected(form))
    }

    fn written(&self) -> String {
        self.0.map_or_else(|| "false".to_owned(), |every| format!("\"{}\"", format_duration(every)))
    }
}

/// Where the hours of the day are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActiveZone {
    /// In the agent's zone, or where it has none in the host's.
    Agents,
    /// In the host's.
    Host,
    /// In this one.
    Named(String),
}

/// Active hours as they were written.
#[derive(Debug, Clone)]
pub(in crate::config) struct ActiveHoursGiven {
    /// When they begin and end; none is the whole day.
    pub(super) hours: Option<(Time, Time)>,
    pub(super) zone: ActiveZone,
}

impl Setting for ActiveHoursGiven {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let wrong = || vec![unexpected::<Self>(node, form)];
        let object = node.as_object().ok_or_else(wrong)?;
        let [start, end, zone] = members(object, ["start", "end", "timezone"])?;
        let (start, end) = (start.ok_or_else(wrong)?, end.ok_or_else(wrong)?);
        let (begins, ends) = (time(start, ".start")?, end_of_hours(end)?);
        let hours = match ends {
            None if begins == Time::midnight() => None,
            None => Some((begins, Time::midnight())),
            Some(ends) if begins == ends => {
                let message = "begins and ends at the same time, so that it would never be".to_owned();
                return Err(vec![Complaint::new(range(node), message)]);
            }
            Some(ends) => Some((begins, ends)),
        };
        let zone = match zone.map(|node| (node, text(node))) {
            None | Some((_, Some("user"))) => ActiveZone::Agents,
            Some((_, Some("local"))) => ActiveZone::Host,
            Some((node, _)) => {
                let name = ZoneName::read(node, &()).map_err(|wrong| in_part(wrong, ".timezone"))?;
                ActiveZone::Named(name.0)
            }
        };
        Ok(Self { hours, zone })
    }

    fn expected((): &()) -> String {
        "an object such as { start: \"08:00\", end: \"22:00\", timezone: \"Europe/Berlin\" }".to_owned()
    }
}

/// When hours end; none is the end of the day, which as a time is the beginning of the next.
fn end_of_hours(node: &Node<'_>) -> Result<Option<Time>, Vec<Complaint>> {
    if text(node).is_some_and(|text| text.trim() == "24:00") {
        return Ok(None);
    }
    time(node, ".end").map(Some)
}

/// A time of day, `HH:MM`.
fn time(node: &Node<'_>, part: &str) -> Result<Time, Vec<Complaint>> {
    let wrong = || {
        let message = "must be a time of day such as \"08:00\"".to_owned();
        vec![Complaint::new(range(node), message).in_part(part)]
    };
    let (hour, minute) = text(node).and_then(|text| text.trim().split_once(':')).ok_or_else(wrong)?;
    let number = |digits: &str| {
        let is_whole = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_whole.then(|| digits.parse::<i8>().ok()).flatten()
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}
