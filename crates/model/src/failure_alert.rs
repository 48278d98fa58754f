//! When somebody is told that a job is in trouble, and where that goes (contract §1.5, §2.8).
//!
//! Whether trouble is told is decided here, by pure functions of the job's rules, what was told before and what
//! happened; the store asks them in the transaction that writes what happened. One *incident* lasts from the first
//! trouble that is told until the next success. Within it the same cause is told once, and another cause not before the
//! cooldown is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dead_cause::DeadCause;
use crate::failure::AutoDisableReason;
use crate::id::EventId;
use crate::outbox::Target;
use crate::run::ErrorReason;
use crate::time::UnixMs;

pub use self::drill::AlertDrill;
pub use self::settings::{AlertMode, AlertRoute, AlertSettings, FailureAlert, GatewayAlerts};

mod drill;
mod settings;

/// How many causes of one incident are remembered.
const MOST_TOLD: usize = 16;

/// When trouble is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertRules {
    /// After how many failures in a row.
    pub after: u32,
    /// How long after an alert of the job the next one comes at the earliest.
    pub cooldown: Duration,
    /// Whether runs that were skipped count.
    pub include_skipped: bool,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { after: 2, cooldown: Duration::from_hours(1), include_skipped: false }
    }
}

/// What can be told of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A run of the schedule failed. `last` where nothing will try the same again, as with a one-shot.
    Failed {
        /// Why.
        reason: ErrorReason,
        /// Whether nothing follows.
        last: bool,
    },
    /// A run of the schedule was skipped, because what it needs is not there.
    Skipped {
        /// Why.
        reason: Option<ErrorReason>,
    },
    /// So many due instants passed because the gateway was not there.
    Missed {
        /// How many.
        instants: u32,
    },
    /// A result that the job asked to be delivered was given up.
    Undelivered {
        /// On whose side.
        cause: DeadCause,
    },
    /// The gateway has switched the job off.
    SwitchedOff {
        /// Why.
        reason: AutoDisableReason,
    },
}

impl Trouble {
    /// The status that the alert shows, as a finished run's event would.
    pub fn status(self) -> &'static str {
        match self {
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. }
            | Self::Missed { .. }
            | Self::Undelivered { .. }
            | Self::SwitchedOff { .. } => "error",
        }
    }

    /// What failed.
    pub fn scope(self) -> AlertScope {
        match self {
            Self::Failed { .. } | Self::Skipped { .. } => AlertScope::Run,
            Self::Missed { .. } => AlertScope::Instant,
            Self::Undelivered { .. } => AlertScope::Delivery,
            Self::SwitchedOff { .. } => AlertScope::Job,
        }
    }

    /// Why, in one word.
    pub fn cause(self) -> String {
        match self {
            Self::Failed { reason, .. } | Self::Skipped { reason: Some(reason) } => {
                reason.as_str().to_owned()
            }
            Self::Skipped { reason: None } => "skipped".to_owned(),
            Self::Missed { .. } => "missed".to_owned(),
            Self::Undelivered { cause } => cause.as_str().to_owned(),
            Self::SwitchedOff { reason } => reason.as_str().to_owned(),
        }
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertScope {
    /// A run.
    Run,
    /// An instant that nobody ran.
    Instant,
    /// A delivery.
    Delivery,
    /// The job as a whole.
    Job,
    /// The gateway.
    Gateway,
}

impl AlertScope {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Instant => "instant",
            Self::Delivery => "delivery",
            Self::Job => "job",
            Self::Gateway => "gateway",
        }
    }
}

/// What the gateway remembers of a job's trouble.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertState {
    /// Failures in a row: runs that failed and instants that were missed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Skipped runs in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub skips: u32,
    /// What was told since the last success of a run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// What was told of deliveries since the last that arrived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told_of_deliveries: Vec<Told>,
    /// When an alert was last raised of runs and instants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_told_at: Option<UnixMs>,
    /// When an alert was last raised of deliveries, which have a cooldown of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_told_of_deliveries_at: Option<UnixMs>,
    /// The event of the alert that was raised last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<EventId>,
}

/// A cause that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// What it is recognised by.
    pub signature: String,
    /// The event that told of it.
    pub event: EventId,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// An alert that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertDue {
    /// How often it has happened in a row.
    pub consecutive: u32,
}

impl AlertState {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes trouble, and says whether it is told: `route` is where it would go first, `event` the event that would
    /// tell of it. Without rules nothing is told, and what happens in a row is counted all the same.
    pub fn note(
        &mut self,
        trouble: Trouble,
        rules: Option<AlertRules>,
        route: Option<&Target>,
        event: EventId,
        now: UnixMs,
    ) -> Option<AlertDue> {
        let consecutive = self.count(trouble);
        let rules = rules?;
        let (enough, heeds_cooldown) = match trouble {
            Trouble::Failed { last, .. } => (last || self.failures >= rules.after, true),
            Trouble::Missed { .. } => (self.failures >= rules.after, true),
            Trouble::Skipped { .. } => (rules.include_skipped && self.skips >= rules.after, true),
            // All tries of the delivery are used up, which was patience enough.
            Trouble::Undelivered { .. } => (true, true),
            // Nothing follows that could tell of it later.
            Trouble::SwitchedOff { .. } => (true, false),
        };
        let (told, last) = match trouble.scope() {
            AlertScope::Delivery => (&mut self.told_of_deliveries, &mut self.last_told_of_deliveries_at),
            _ => (&mut self.told, &mut self.last_told_at),
        };
        if !enough || (heeds_cooldown && is_cooling(*last, rules.cooldown, now)) {
            return None;
        }
        let signature = signature(trouble, route);
        if told.iter().any(|told| told.signature == signature) {
            return None;
        }
        if told.len() >= MOST_TOLD {
            told.remove(0);
        }
        told.push(Told { signature, event });
        *last = Some(now);
        self.last_event = Some(event);
        Some(AlertDue { consecutive })
    }

    fn count(&mut self, trouble: Trouble) -> u32 {
        match trouble {
            Trouble::Failed { .. } => {
                self.skips = 0;
                self.failures = self.failures.saturating_add(1);
                self.failures
            }
            Trouble::Missed { instants } => {
                self.failures = self.failures.saturating_add(instants);
                self.failures
            }
            Trouble::Skipped { .. } => {
                self.failures = 0;
                self.skips = self.skips.saturating_add(1);
                self.skips
            }
            Trouble::Undelivered { .. } => 1,
            Trouble::SwitchedOff { .. } => {
                self.failures = self.failures.saturating_add(1);
                self.failures
            }
        }
    }

    /// When an alert was last raised.
    pub fn last_alert_at(&self) -> Option<UnixMs> {
        self.last_told_at.max(self.last_told_of_deliveries_at)
    }

    /// A run succeeded: the incident is over. Gives the alerts that told of it, and how many failures there were.
    pub fn succeeded(&mut self) -> (Vec<EventId>, u32) {
        let failures = self.failures.max(self.skips);
        (self.failures, self.skips) = (0, 0);
        (events(std::mem::take(&mut self.told)), failures)
    }

    /// A result arrived. Gives the alerts that told of those that did not.
    pub fn delivered(&mut self) -> Vec<EventId> {
        events(std::mem::take(&mut self.told_of_deliveries))
    }
}

/// A clock that was set back is not believed to prolong a cooldown.
fn is_cooling(last: Option<UnixMs>, cooldown: Duration, now: UnixMs) -> bool {
    last.is_some_and(|last| last <= now && now.since(last) < cooldown)
}

fn events(told: Vec<Told>) -> Vec<EventId> {
    told.into_iter().map(|told| told.event).collect()
}

/// What an alert is recognised by: SHA-256 over status, scope, cause and where it goes (contract §2.8).
fn signature(trouble: Trouble, route: Option<&Target>) -> String {
    use base64::Engine as _;
    let place = match route {
        None => [None, None, None, None, None],
        Some(Target::Webhook(url)) => [Some("webhook"), None, Some(url.expose()), None, None],
        Some(Target::Destination(name)) => [Some("webhook"), None, Some(name.as_str()), None, None],
        Some(Target::Announce(place)) => [
            Some("announce"),
            place.channel.as_deref(),
            place.to.as_deref(),
            place.account_id.as_deref(),
            place.thread_id.as_deref(),
        ],
    };
    let text = serde_json::json!([trouble.status(), trouble.scope().as_str(), trouble.cause(), place]);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(text.to_string().as_bytes()))
}

/// As much of an error as an alert shows.
pub fn excerpt(error: &str) -> String {
    const MOST: usize = 200;
    let mut chars = error.trim().chars();
    let mut text: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
