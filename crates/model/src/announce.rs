//! Where an announcement goes (contract §1.4): resolved from what its job says, what the operator configured, and where
//! something was last announced. Pure: the same when a job is saved and when its result is sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thiserror::Error;

use crate::delivery_settings::AnnounceTarget;

/// The channel of a job that leaves it to what was last announced.
const LAST: &str = "last";

/// What the operator configured of channels, as far as routes need to know it; there is no secret in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// The channels by their names.
    pub channels: BTreeMap<String, ChannelRoutes>,
}

/// One channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRoutes {
    /// The account that sends where a job names none.
    pub default_account: String,
    /// The accounts, each with where its messages go that name no place.
    pub accounts: BTreeMap<String, DefaultPlace>,
}

/// Where messages of an account go that name no place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultPlace {
    /// The recipient.
    pub to: Option<String>,
    /// The thread.
    pub thread_id: Option<String>,
}

/// Where an announcement goes, with all that is needed to send it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The channel.
    pub channel: String,
    /// The account that sends.
    pub account_id: String,
    /// The recipient.
    pub to: String,
    /// The thread.
    pub thread_id: Option<String>,
    /// How it came about.
    pub source: RouteSource,
}

/// How a route came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteSource {
    /// The job names the place.
    Explicit,
    /// It is where something was last announced.
    Last,
    /// It is the account's default.
    Default,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// Nothing is configured.
    #[error("no channel is configured")]
    NoChannels,
    /// The channel is not among those that are configured.
    #[error("there is no channel `{channel}`; configured are {known}")]
    UnknownChannel {
        /// The channel.
        channel: String,
        /// Those there are.
        known: String,
    },
    /// The account is not among those of the channel.
    #[error("the channel `{channel}` has no account `{account}`; it has {known}")]
    UnknownAccount {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
        /// Those there are.
        known: String,
    },
    /// There are several, and nobody says which.
    #[error("the job names no channel, and there are several: {channels}")]
    Ambiguous {
        /// Those there are.
        channels: String,
    },
    /// Nobody says where in the channel.
    #[error("the job names no recipient, and the account `{account}` of `{channel}` has no default")]
    NoPlace {
        /// The channel.
        channel: String,
        /// The account.
        account: String,
    },
}

impl RouteError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoChannels => {
                "configure one (`channels.<channel>`), or say `--webhook URL` or `--no-deliver`".to_owned()
            }
            Self::UnknownChannel { .. } => {
                "`clawhook channels list` shows those that are configured".to_owned()
            }
            Self::UnknownAccount { channel, .. } => {
                format!("take one of those, or add it to `channels.{channel}.accounts`")
            }
            Self::Ambiguous { .. } => {
                "name the channel (`--channel`), or write it before the recipient, as in `telegram:123`"
                    .to_owned()
            }
            Self::NoPlace { channel, account } => format!(
                "give a recipient (`--to`), or a default: `channels.{channel}.to` or `channels.{channel}.accounts.{account}.to`"
            ),
        }
    }

    /// The field of the job that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NoChannels | Self::UnknownChannel { .. } | Self::Ambiguous { .. } => "delivery.channel",
            Self::UnknownAccount { .. } => "delivery.accountId",
            Self::NoPlace { .. } => "delivery.to",
        }
    }
}

impl Routes {
    /// Whether a job that is saved must say more: it leaves the channel open, and several could be meant (contract §1.4).
    pub fn check_saved(&self, target: &AnnounceTarget, best_effort: bool) -> Result<(), RouteError> {
        let (channel, _) = self.named(target);
        if channel.is_none() && self.channels.len() > 1 && !best_effort {
            return Err(RouteError::Ambiguous { channels: names(self.channels.keys()) });
        }
        Ok(())
    }

    /// Where an announcement goes; `last` is where something was last announced for the agent.
    pub fn resolve(&self, target: &AnnounceTarget, last: Option<&Route>) -> Result<Route, RouteError> {
        if self.channels.is_empty() {
            return Err(RouteError::NoChannels);
        }
        let last = last.filter(|last| self.has(&last.channel, &last.account_id));
        let (named, to) = self.named(target);
        let channel = match (named, last) {
            (Some(channel), _) => channel,
            (None, Some(last)) => last.channel.clone(),
            (None, None) => self.only_channel()?,
        };
        let routes = self.channels.get(&channel).ok_or_else(|| RouteError::UnknownChannel {
            channel: channel.clone(),
            known: names(self.channels.keys()),
        })?;
        let last = last.filter(|last| last.channel == channel);
        let account_id = match (&target.account_id, last) {
            (Some(account), _) => account.clone(),
            (None, Some(last)) => last.account_id.clone(),
            (None, None) => routes.default_account.clone(),
        };
        let default = routes.accounts.get(&account_id).ok_or_else(|| RouteError::UnknownAccount {
            channel: channel.clone(),
            account: account_id.clone(),
            known: names(routes.accounts.keys()),
        })?;
        let last = last.filter(|last| last.account_id == account_id);
        let (to, thread_id, source) = match (to, last, &default.to) {
            (Some(to), ..) => (to, None, RouteSource::Explicit),
            (None, Some(last), _) => (last.to.clone(), last.thread_id.clone(), RouteSource::Last),
            (None, None, Some(to)) => (to.clone(), default.thread_id.clone(), RouteSource::Default),
            (None, None, None) => return Err(RouteError::NoPlace { channel, account: account_id }),
        };
        let thread_id = target.thread_id.clone().or(thread_id);
        Ok(Route { channel, account_id, to, thread_id, source })
    }

    /// The channel that a target names, by itself or before its recipient, and that recipient.
    fn named(&self, target: &AnnounceTarget) -> (Option<String>, Option<String>) {
        let channel = target.channel.as_deref().filter(|channel| *channel != LAST).map(str::to_owned);
        let Some(to) = target.to.as_deref() else { return (channel, None) };
        let prefixed = to.split_once(':').filter(|(_, rest)| !rest.trim().is_empty());
        let (channel, to) = match (channel, prefixed) {
            (Some(channel), Some((prefix, rest))) if prefix.eq_ignore_ascii_case(&channel) => {
                (Some(channel), rest)
            }
            (None, Some((prefix, rest))) if self.channels.contains_key(&prefix.to_lowercase()) => {
                (Some(prefix.to_lowercase()), rest)
            }
            (channel, _) => (channel, to),
        };
        // OpenClaw's forms; to the services' APIs both are an id alike.
        let to = to.strip_prefix("channel:").or_else(|| to.strip_prefix("user:")).unwrap_or(to);
        (channel, Some(to.trim().to_owned()))
    }

    fn only_channel(&self) -> Result<String, RouteError> {
        match self.channels.keys().collect::<Vec<_>>().as_slice() {
            [only] => Ok((*only).clone()),
            _ => Err(RouteError::Ambiguous { channels: names(self.channels.keys()) }),
        }
    }

    fn has(&self, channel: &str, account: &str) -> bool {
        self.channels.get(channel).is_some_and(|channel| channel.accounts.contains_key(account))
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Route {
    /// The same as a delivery's target.
    pub fn target(&self) -> AnnounceTarget {
        AnnounceTarget {
            channel: Some(self.channel.clone()),
            to: Some(self.to.clone()),
            account_id: Some(self.account_id.clone()),
            thread_id: self.thread_id.clone(),
        }
    }

    /// A route that was taken before; none where the target is not resolved.
    pub fn last(target: &AnnounceTarget) -> Option<Self> {
        Some(Self {
            channel: target.channel.clone()?,
            account_id: target.account_id.clone()?,
            to: target.to.clone()?,
            thread_id: target.thread_id.clone(),
            source: RouteSource::Last,
        })
    }

    /// As events and answers show it.
    pub fn to_json(&self) -> Value {
        let source = match self.source {
            RouteSource::Explicit => "explicit",
            RouteSource::Last => "last",
            RouteSource::Default => "default",
        };
        let mut out =
            json!({ "channel": self.channel, "to": self.to, "accountId": self.account_id, "source": source });
        if let Some(thread) = &self.thread_id {
            out["threadId"] = json!(thread);
        }
        out
    }

    /// In a few words: `telegram:123`, and how it came about where the job does not name it.
    pub fn describe(&self) -> (String, String) {
        let Self { channel, account_id, to, thread_id, source } = self;
        let thread = thread_id.as_ref().map(|thread| format!(", thread {thread}")).unwrap_or_default();
        let source = match source {
            RouteSource::Explicit => "named by the job",
            RouteSource::Last => "where something was last announced",
            RouteSource::Default => "the account's default",
        };
        (format!("announce:{channel}:{to}"), format!("account {account_id}{thread}; {source}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account, and where it announces to by default.
    type Given<'a> = (&'a str, Option<&'a str>);

    fn routes(channels: &[(&str, &[Given<'_>])]) -> Routes {
        let channel = |accounts: &[Given<'_>]| ChannelRoutes {
            default_account: accounts[0].0.to_owned(),
            accounts: accounts
                .iter()
                .map(|(name, to)| {
                    ((*name).to_owned(), DefaultPlace { to: to.map(str::to_owned), thread_id: None })
                })
                .collect(),
        };
        Routes {
            channels: channels
                .iter()
                .map(|(name, accounts)| ((*name).to_owned(), channel(accounts)))
                .collect(),
        }
    }

    fn target(channel: Option<&str>, to: Option<&str>) -> AnnounceTarget {
        AnnounceTarget {
            channel: channel.map(str::to_owned),
            to: to.map(str::to_owned),
            ..AnnounceTarget::default()
        }
    }

    fn shown(resolved: Result<Route, RouteError>) -> String {
        match resolved {
            Ok(route) => format!("{} by {}", route.describe().0, route.account_id),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_place_is_named_by_its_channel_by_a_prefix_or_by_the_only_channel_there_is() {
        let one = routes(&[("telegram", &[("main", Some("-100"))])]);
        let two = routes(&[("slack", &[("a", None), ("b", Some("C9"))]), ("telegram", &[("main", None)])]);
        for (routes, channel, to, expected) in [
            (&one, None, None, "announce:telegram:-100 by main"),
            (&one, Some("last"), Some("42"), "announce:telegram:42 by main"),
            (&one, Some("telegram"), Some("telegram:42"), "announce:telegram:42 by main"),
            (&two, None, Some("telegram:42"), "announce:telegram:42 by main"),
            (&two, None, Some("Slack:channel:C1"), "announce:slack:C1 by a"),
            (&two, Some("slack"), Some("user:U1"), "announce:slack:U1 by a"),
            (&two, None, Some("42"), "the job names no channel, and there are several: `slack`, `telegram`"),
            (
                &two,
                Some("slack"),
                None,
                "the job names no recipient, and the account `a` of `slack` has no default",
            ),
            (
                &two,
                Some("discord"),
                Some("1"),
                "there is no channel `discord`; configured are `slack`, `telegram`",
            ),
            (&Routes::default(), None, Some("1"), "no channel is configured"),
        ] {
            assert_eq!(shown(routes.resolve(&target(channel, to), None)), expected);
        }
        let of_account = |account: &str| AnnounceTarget {
            account_id: Some(account.to_owned()),
            ..target(Some("slack"), None)
        };
        assert_eq!(shown(two.resolve(&of_account("b"), None)), "announce:slack:C9 by b");
        assert_eq!(
            shown(two.resolve(&of_account("c"), None)),
            "the channel `slack` has no account `c`; it has `a`, `b`"
        );
    }

    #[test]
    fn the_last_place_counts_while_its_account_is_configured_and_the_job_names_no_other() {
        let routes = routes(&[("slack", &[("a", Some("C9"))]), ("telegram", &[("main", None)])]);
        let last = Route::last(&AnnounceTarget {
            account_id: Some("main".to_owned()),
            thread_id: Some("7".to_owned()),
            ..target(Some("telegram"), Some("42"))
        });
        let route = routes.resolve(&target(None, None), last.as_ref()).unwrap();
        assert_eq!(
            (route.to.as_str(), route.thread_id.as_deref(), route.source),
            ("42", Some("7"), RouteSource::Last)
        );
        let route = routes.resolve(&target(Some("slack"), None), last.as_ref()).unwrap();
        assert_eq!((route.to.as_str(), route.thread_id, route.source), ("C9", None, RouteSource::Default));
        let gone = last.map(|last| Route { account_id: "gone".to_owned(), ..last });
        assert!(matches!(
            routes.resolve(&target(None, None), gone.as_ref()),
            Err(RouteError::Ambiguous { .. })
        ));
    }

    #[test]
    fn a_job_that_leaves_the_channel_open_is_saved_only_where_it_is_clear_or_does_not_matter() {
        let routes = routes(&[("slack", &[("a", None)]), ("telegram", &[("main", None)])]);
        assert!(routes.check_saved(&target(None, Some("42")), false).is_err());
        assert!(routes.check_saved(&target(Some("last"), None), false).is_err());
        assert!(routes.check_saved(&target(None, Some("42")), true).is_ok());
        assert!(routes.check_saved(&target(None, Some("telegram:42")), false).is_ok());
        assert!(routes.check_saved(&target(Some("slack"), None), false).is_ok());
    }
}
