//! What a job and the gateway say of alerts, and where they go.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::AlertRules;
use crate::definition_error::DefinitionError;
use crate::delivery_settings::{AnnounceTarget, DeliveryMode, DeliverySettings};
use crate::destination::DestinationName;
use crate::fields::Fields;
use crate::job::JobDefinition;
use crate::outbox::Target;
use crate::target::is_url;
use crate::webhook_url::WebhookUrl;

/// How many second routes an alert may have.
pub(super) const MOST_FALLBACKS: usize = 8;
/// The greatest threshold.
const MOST_AFTER: u64 = 1_000_000;
/// The longest cooldown: ten years.
const LONGEST_COOLDOWN_MS: u64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// What a job says of alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FailureAlert {
    /// What the gateway says.
    #[default]
    Inherit,
    /// Nobody is told.
    Off,
    /// Its own rules; what they leave open is the gateway's to say.
    Own(Box<AlertSettings>),
}

/// Rules of a job's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// After how many failures in a row.
    pub after: Option<u32>,
    /// How long after one alert the next comes at the earliest.
    pub cooldown: Option<Duration>,
    /// Whether skipped runs count.
    pub include_skipped: Option<bool>,
    /// Where alerts go.
    pub route: AlertRoute,
    /// Where they go next, when they do not arrive there.
    pub fallback: Vec<Target>,
}

/// What the gateway says of alerts (`cron.failureAlert`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayAlerts {
    /// Whether jobs without rules of their own raise alerts: `None` where they have a route.
    pub enabled: Option<bool>,
    /// When they do.
    pub rules: AlertRules,
    /// Where alerts go.
    pub route: AlertRoute,
    /// Where they go next, when they do not arrive there.
    pub fallback: Vec<Target>,
}

/// The way an alert takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertMode {
    /// To a chat channel.
    Announce,
    /// As a signed POST.
    Webhook,
}

impl AlertMode {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Webhook => "webhook",
        }
    }
}

/// Where an alert goes, or the part of it that one place says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertRoute {
    /// The way, where it is said.
    pub mode: Option<AlertMode>,
    /// The receiver's address, of a webhook.
    pub url: Option<WebhookUrl>,
    /// The destination, of a webhook.
    pub destination: Option<DestinationName>,
    /// The place, of a message.
    pub place: AnnounceTarget,
}

impl AlertRoute {
    /// The route to a place in a channel.
    fn announce(place: AnnounceTarget) -> Self {
        Self { mode: Some(AlertMode::Announce), place, ..Self::default() }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The way, as far as it can be told.
    fn way(&self) -> Option<AlertMode> {
        let says_webhook = self.url.is_some() || self.destination.is_some();
        let says_announce = self.place != AnnounceTarget::default();
        self.mode
            .or(says_webhook.then_some(AlertMode::Webhook))
            .or(says_announce.then_some(AlertMode::Announce))
    }

    /// What this leaves open, filled in from `base`. Another way drops what was said for the one before.
    pub fn over(&self, base: &Self) -> Self {
        let (way, of_base) = (self.way(), base.way());
        if way.is_some() && way != of_base {
            return self.clone();
        }
        let names_receiver = self.url.is_some() || self.destination.is_some();
        let receiver = if names_receiver { self } else { base };
        let or = |own: &Option<String>, base: &Option<String>| own.clone().or_else(|| base.clone());
        // Another channel has recipients and accounts of its own.
        let moves = self.place.channel.is_some() && self.place.channel != base.place.channel;
        let place = if moves {
            self.place.clone()
        } else {
            AnnounceTarget {
                channel: or(&self.place.channel, &base.place.channel),
                to: or(&self.place.to, &base.place.to),
                account_id: or(&self.place.account_id, &base.place.account_id),
                thread_id: or(&self.place.thread_id, &base.place.thread_id),
            }
        };
        Self {
            mode: way.or(of_base),
            url: receiver.url.clone(),
            destination: receiver.destination.clone(),
            place,
        }
    }

    /// Where that is, if it is enough to send something there.
    pub fn target(&self) -> Option<Target> {
        match self.way()? {
            AlertMode::Webhook => self
                .url
                .clone()
                .map(Target::Webhook)
                .or_else(|| self.destination.clone().map(Target::Destination)),
            AlertMode::Announce => Some(Target::Announce(self.place.clone())),
        }
    }

    /// Takes the members of a route out of the object at `path`.
    pub(crate) fn take(fields: &mut Fields, path: &str) -> Result<Self, DefinitionError> {
        let mode = match fields.text("mode")?.map(|mode| mode.trim().to_lowercase()).as_deref() {
            None => None,
            Some("announce") => Some(AlertMode::Announce),
            Some("webhook") => Some(AlertMode::Webhook),
            Some(other) => {
                let why = format!("`{other}` is not announce or webhook");
                return Err(DefinitionError::invalid(format!("{path}.mode"), why));
            }
        };
        let to = fields.text("to")?.map(|to| to.trim().to_owned());
        let destination = fields.text("destination")?;
        let channel = fields.text("channel")?.map(|channel| channel.trim().to_lowercase());
        let (account_id, thread_id) = (fields.text("accountId")?, fields.text("threadId")?);
        let is_webhook =
            mode == Some(AlertMode::Webhook) || (mode.is_none() && to.as_deref().is_some_and(is_url));
        let url = match to.as_deref().filter(|_| is_webhook) {
            None => None,
            Some(to) => Some(
                to.parse().map_err(|error| DefinitionError::Url { field: format!("{path}.to"), error })?,
            ),
        };
        let place = AnnounceTarget { channel, to: to.filter(|_| !is_webhook), account_id, thread_id };
        let destination = destination
            .map(|name| {
                name.trim().parse().map_err(|error: crate::DestinationNameError| {
                    DefinitionError::invalid(format!("{path}.destination"), error.to_string())
                })
            })
            .transpose()?;
        let route = Self { mode, url, destination, place };
        route.check(path)?;
        Ok(route)
    }

    /// Refuses members that the way does not have, and a webhook with two receivers.
    fn check(&self, path: &str) -> Result<(), DefinitionError> {
        let says_webhook = self.url.is_some() || self.destination.is_some();
        if self.url.is_some() && self.destination.is_some() {
            return Err(DefinitionError::invalid(path, "give one of `to` and `destination`, and not both"));
        }
        let says_announce = self.place != AnnounceTarget::default();
        match self.way() {
            Some(AlertMode::Webhook) if says_announce => {
                let why = "mode `webhook` has `to` or `destination`, and no place in a channel";
                Err(DefinitionError::invalid(path, why))
            }
            Some(AlertMode::Announce) if says_webhook => Err(DefinitionError::invalid(
                path,
                "mode `announce` has a place in a channel, and no webhook",
            )),
            _ => Ok(()),
        }
    }

    /// A webhook must say where it goes where nothing else could.
    pub(crate) fn check_complete(&self, path: &str) -> Result<(), DefinitionError> {
        if self.mode == Some(AlertMode::Webhook) && self.url.is_none() && self.destination.is_none() {
            return Err(DefinitionError::Missing { field: format!("{path}.to") });
        }
        Ok(())
    }

    pub(crate) fn put(&self, out: &mut Map<String, Value>, mask: bool) {
        if let Some(mode) = self.mode {
            out.insert("mode".to_owned(), json!(mode.as_str()));
        }
        if let Some(url) = &self.url {
            let shown = if mask { url.to_string() } else { url.expose().to_owned() };
            out.insert("to".to_owned(), json!(shown));
        }
        if let Some(name) = &self.destination {
            out.insert("destination".to_owned(), json!(name));
        }
        let members = [
            ("channel", &self.place.channel),
            ("to", &self.place.to),
            ("accountId", &self.place.account_id),
            ("threadId", &self.place.thread_id),
        ];
        for (key, value) in members {
            if let Some(value) = value {
                out.insert(key.to_owned(), json!(value));
            }
        }
    }

    /// Reads `delivery.failureDestination`.
    pub(crate) fn parse_failure_destination(value: Value) -> Result<Self, DefinitionError> {
        const PATH: &str = "delivery.failureDestination";
        let mut fields = Fields::open(PATH, value)?;
        let route = Self::take(&mut fields, PATH)?;
        fields.close(&[])?;
        route.check_complete(PATH)?;
        Ok(route)
    }

    pub(crate) fn to_json(&self, mask: bool) -> Value {
        let mut out = Map::new();
        self.put(&mut out, mask);
        Value::Object(out)
    }
}

impl FailureAlert {
    /// Reads `false` or an object; `true` is what an empty object is.
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        const PATH: &str = "failureAlert";
        let value = match value {
            Value::Bool(false) => return Ok(Self::Off),
            Value::Bool(true) => Value::Object(Map::new()),
            other => other,
        };
        let mut fields = Fields::open(PATH, value)?;
        let after = match fields.count("after")? {
            None => None,
            Some(after @ 1..=MOST_AFTER) => Some(u32::try_from(after).unwrap_or(u32::MAX)),
            Some(other) => {
                let why = format!("`{other}` is not between 1 and {MOST_AFTER}");
                return Err(DefinitionError::invalid("failureAlert.after", why));
            }
        };
        let cooldown = fields.count("cooldownMs")?;
        if let Some(long) = cooldown.filter(|ms| *ms > LONGEST_COOLDOWN_MS) {
            let why = format!("`{long}` is more than {LONGEST_COOLDOWN_MS} ms");
            return Err(DefinitionError::invalid("failureAlert.cooldownMs", why));
        }
        let include_skipped = fields.flag("includeSkipped")?;
        let fallback = match fields.value("fallback") {
            None => Vec::new(),
            Some(list) => Target::parse_list("failureAlert.fallback", list, MOST_FALLBACKS)?,
        };
        let route = AlertRoute::take(&mut fields, PATH)?;
        fields.close(&[])?;
        route.check_complete(PATH)?;
        let cooldown = cooldown.map(Duration::from_millis);
        Ok(Self::Own(Box::new(AlertSettings { after, cooldown, include_skipped, route, fallback })))
    }

    /// As JSON; none where nothing is said.
    pub(crate) fn to_json(&self, mask: bool) -> Option<Value> {
        let settings = match self {
            Self::Inherit => return None,
            Self::Off => return Some(json!(false)),
            Self::Own(settings) => settings,
        };
        let mut out = Map::new();
        if let Some(after) = settings.after {
            out.insert("after".to_owned(), json!(after));
        }
        if let Some(cooldown) = settings.cooldown {
            let ms = u64::try_from(cooldown.as_millis()).unwrap_or(LONGEST_COOLDOWN_MS);
            out.insert("cooldownMs".to_owned(), json!(ms));
        }
        if let Some(include) = settings.include_skipped {
            out.insert("includeSkipped".to_owned(), json!(include));
        }
        settings.route.put(&mut out, mask);
        if !settings.fallback.is_empty() {
            out.insert("fallback".to_owned(), Target::list_json(&settings.fallback, mask));
        }
        Some(Value::Object(out))
    }

    fn own(&self) -> Option<&AlertSettings> {
        match self {
            Self::Own(settings) => Some(settings),
            Self::Inherit | Self::Off => None,
        }
    }
}

impl JobDefinition {
    /// When trouble of this job is told, if it is at all. A job whose delivery may fail raises no alerts that it did
    /// not ask for itself.
    pub fn alert_rules(&self, gateway: &GatewayAlerts) -> Option<AlertRules> {
        match &self.failure_alert {
            FailureAlert::Off => None,
            FailureAlert::Own(own) => Some(AlertRules {
                after: own.after.unwrap_or(gateway.rules.after),
                cooldown: own.cooldown.unwrap_or(gateway.rules.cooldown),
                include_skipped: own.include_skipped.unwrap_or(gateway.rules.include_skipped),
            }),
            FailureAlert::Inherit if self.delivery.best_effort || gateway.enabled == Some(false) => None,
            FailureAlert::Inherit => Some(gateway.rules),
        }
    }

    /// Where its alerts go, one after the other: the route of its own rules, or else its failure destination over the
    /// gateway's, or else where its results are announced; then the second routes. Where a delivery failed, the way that
    /// failed is not among them.
    pub fn alert_targets(&self, gateway: &GatewayAlerts, failed: Option<&Target>) -> Vec<Target> {
        let primary = match &self.delivery.mode {
            DeliveryMode::Announce(place) => AlertRoute::announce(place.clone()),
            DeliveryMode::None | DeliveryMode::Webhook(_) => AlertRoute::default(),
        };
        let own = self.failure_alert.own();
        let of_rules = own.map(|own| &own.route).filter(|route| !route.is_empty());
        let of_delivery = self.delivery.failure_destination.clone().unwrap_or_default().over(&gateway.route);
        let candidates = [
            of_rules.and_then(|route| route.over(&primary).target()),
            Some(of_delivery)
                .filter(|route| !route.is_empty())
                .and_then(|route| route.over(&primary).target()),
            primary.target(),
        ];
        let goes = |target: &Target| failed != Some(target);
        let mut targets: Vec<Target> = candidates.into_iter().flatten().find(goes).into_iter().collect();
        let own = own.map(|own| own.fallback.as_slice()).filter(|fallback| !fallback.is_empty());
        for next in own.unwrap_or(&gateway.fallback).iter().filter(|target| goes(target)) {
            if !targets.contains(next) {
                targets.push(next.clone());
            }
        }
        targets
    }

    /// Every receiver that the definition names, with the field that names it: each must be there when it is saved.
    pub fn named_targets(&self) -> Vec<(&'static str, Target)> {
        let mut named: Vec<(&'static str, Target)> = match &self.delivery.mode {
            DeliveryMode::Webhook(targets) => {
                targets.iter().map(|target| ("delivery", target.into())).collect()
            }
            DeliveryMode::None | DeliveryMode::Announce(_) => Vec::new(),
        };
        if let Some(acknowledge) = &self.delivery.acknowledge {
            named.extend(acknowledge.then.iter().map(|target| ("delivery.acknowledge.then", target.clone())));
        }
        if let Some(own) = self.failure_alert.own() {
            named.extend(own.route.target().map(|target| ("failureAlert", target)));
            named.extend(own.fallback.iter().map(|target| ("failureAlert.fallback", target.clone())));
        }
        let of_delivery = self.delivery.failure_destination.as_ref().and_then(AlertRoute::target);
        named.extend(of_delivery.map(|target| ("delivery.failureDestination", target)));
        named
    }

    /// What a person should know of its alerts when it is saved.
    pub fn alert_note(&self, gateway: &GatewayAlerts) -> Option<String> {
        self.failure_alert.own()?;
        self.alert_targets(gateway, None).is_empty().then(|| {
            "failureAlert has no route: name one (`to`, `destination` or a channel), or set `cron.failureAlert` in the configuration"
                .to_owned()
        })
    }
}

impl GatewayAlerts {
    /// Where alerts of the gateway itself go, one after the other.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = self.route.target().into_iter().collect();
        for next in &self.fallback {
            if !targets.contains(next) {
                targets.push(next.clone());
            }
        }
        targets
    }

    /// Reads the block of the configuration, and OpenClaw's older block that it took over (`cron.failureDestination`).
    pub fn parse(block: Value, older: Option<Value>) -> Result<Self, DefinitionError> {
        let enabled = match &block {
            Value::Object(members) => members.get("enabled").cloned(),
            _ => None,
        };
        let mut block = block;
        if let Value::Object(members) = &mut block {
            members.remove("enabled");
        }
        let enabled = match enabled {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(other) => {
                return Err(DefinitionError::Type {
                    field: "failureAlert.enabled".to_owned(),
                    expected: "true or false",
                    got: crate::fields::kind_of(&other),
                });
            }
        };
        let FailureAlert::Own(settings) = FailureAlert::parse(block)? else {
            return Ok(Self { enabled: Some(false), ..Self::default() });
        };
        let older = match older {
            None => AlertRoute::default(),
            Some(value) => {
                let mut fields = Fields::open("failureDestination", value)?;
                let route = AlertRoute::take(&mut fields, "failureDestination")?;
                fields.close(&[])?;
                route
            }
        };
        let defaults = AlertRules::default();
        let rules = AlertRules {
            after: settings.after.unwrap_or(defaults.after),
            cooldown: settings.cooldown.unwrap_or(defaults.cooldown),
            include_skipped: settings.include_skipped.unwrap_or(defaults.include_skipped),
        };
        Ok(Self { enabled, rules, route: settings.route.over(&older), fallback: settings.fallback })
    }
}

impl DeliverySettings {
    /// Whether `target` is among those that the job's results go to.
    pub fn goes_to(&self, target: &Target) -> bool {
        match &self.mode {
            DeliveryMode::None => false,
            DeliveryMode::Announce(place) => *target == Target::Announce(place.clone()),
            DeliveryMode::Webhook(targets) => targets.iter().any(|own| Target::from(own) == *target),
        }
    }
}
