//! Chat channels, e-mail and whatever else takes a text: `channels.<channel>`, in OpenClaw's shape.
//!
//! What stands at a channel itself is its account `default`; the accounts of `accounts` have the same keys, and take over
//! what they do not say, but for what signs in: a credential is never another account's.

use std::collections::{BTreeMap, BTreeSet};

use clawhook_delivery::Guard;
use clawhook_delivery::channels::{Account, ChannelKind, Place, ServerUrl};
use clawhook_model::{ChannelRoutes, DefaultPlace, Routes, SecretSource};

use super::block::{Block, Written, shorten};
use super::keys::{Absent, Default, Documented, Key};
use super::problem::Findings;
use super::setting::TextForm;

/// The account that stands at its channel itself.
const DEFAULT: &str = "default";
/// The longest name of an account.
const LONGEST_NAME: usize = 64;

/// `channels`.
#[derive(Debug, Clone, std::default::Default)]
pub struct ChannelsConfig {
    /// The accounts, by channel and by name.
    pub accounts: BTreeMap<(String, String), Account>,
    /// What of that routes need to know.
    pub routes: Routes,
}

impl ChannelsConfig {
    /// The channels that have an account, by their names.
    pub(super) fn kinds(&self) -> Vec<String> {
        let kinds: BTreeSet<&String> = self.accounts.keys().map(|(kind, _)| kind).collect();
        kinds.into_iter().cloned().collect()
    }
}

static ENABLED: Key<bool, Default<bool>> = Key {
    path: "channels.*.enabled",
    form: (),
    default: || true,
    meaning: "Whether the channel `*` (`slack`, `discord`, `telegram`, `mattermost`, `matrix`, `email`, `ntfy`, `webhook`, \
              `openclaw`), or this account of it, can be announced to. [More](channels.md).",
};

static TOKEN: Key<SecretSource, Absent> = Key {
    path: "channels.*.token",
    form: (),
    default: Absent("none"),
    meaning: "The token that signs in; OpenClaw's `botToken` and `accessToken` mean the same, and so does `password` (of `email`). \
              One of them is given.",
};

static BOT_TOKEN: Key<SecretSource, Absent> =
    Key { path: "channels.*.botToken", form: (), default: Absent("none"), meaning: "The same as `token`." };

static ACCESS_TOKEN: Key<SecretSource, Absent> = Key {
    path: "channels.*.accessToken",
    form: (),
    default: Absent("none"),
    meaning: "The same as `token`.",
};

static PASSWORD: Key<SecretSource, Absent> =
    Key { path: "channels.*.password", form: (), default: Absent("none"), meaning: "The same as `token`." };

static URL: Key<String, Absent> = Key {
    path: "channels.*.url",
    form: TextForm { most: 4096 },
    default: Absent("the service's own"),
    meaning: "The server: the base of the service's API; `smtps://…` or `smtp://…` for `email`; for `webhook` the whole address, in which \
              `{to}` and `{thread}` stand for the place. Required for `mattermost`, `matrix`, `email`, `webhook` and `openclaw`.",
};

static ALLOW_PRIVATE: Key<bool, Default<bool>> = Key {
    path: "channels.*.allowPrivate",
    form: (),
    default: || false,
    meaning: "Whether that server may lie in a private network or on this machine, on any port and without TLS.",
};

static USER: Key<String, Absent> = Key {
    path: "channels.*.user",
    form: TextForm { most: 256 },
    default: Absent("none"),
    meaning: "The name to sign in with, of `email` alone.",
};

static FROM: Key<String, Absent> = Key {
    path: "channels.*.from",
    form: TextForm { most: 256 },
    default: Absent("required for `email`"),
    meaning: "Whom mail is from, such as `Clawhook <clawhook@example.com>`.",
};

static TO: Key<String, Absent> = Key {
    path: "channels.*.to",
    form: TextForm { most: 512 },
    default: Absent("none"),
    meaning: "Where a message goes that names no place.",
};

static THREAD: Key<String, Absent> = Key {
    path: "channels.*.threadId",
    form: TextForm { most: 512 },
    default: Absent("none"),
    meaning: "The thread there.",
};

static DEFAULT_ACCOUNT: Key<String, Absent> = Key {
    path: "channels.*.defaultAccount",
    form: TextForm { most: 64 },
    default: Absent("`default`, or the first by name"),
    meaning: "The account that sends where a job names none. What stands at the channel itself is the account `default`; \
              `channels.*.accounts.<id>` holds more, with the same keys, and what they do not say is taken from the channel, but for what \
              signs in.",
};

/// All of them, in the order of the documentation.
pub(super) static ALL: &[&dyn Documented] = &[
    &ENABLED,
    &TOKEN,
    &BOT_TOKEN,
    &ACCESS_TOKEN,
    &PASSWORD,
    &URL,
    &ALLOW_PRIVATE,
    &USER,
    &FROM,
    &TO,
    &THREAD,
    &DEFAULT_ACCOUNT,
];

/// One of `channels` as it was written.
pub(super) struct RawChannel {
    name: Written<String>,
    own: RawAccount,
    accounts: Vec<(Written<String>, RawAccount)>,
    default_account: Option<Written<String>>,
}

#[derive(std::default::Default)]
struct RawAccount {
    enabled: Option<Written<bool>>,
    credentials: Vec<Written<SecretSource>>,
    url: Option<Written<String>>,
    allow_private: Option<Written<bool>>,
    user: Option<Written<String>>,
    from: Option<Written<String>>,
    to: Option<Written<String>>,
    thread: Option<Written<String>>,
}

/// Reads `channels`.
pub(super) fn read(entries: Vec<(Written<String>, Block<'_>)>, findings: &mut Findings) -> Vec<RawChannel> {
    let mut channels = Vec::new();
    for (name, mut block) in entries {
        let own = RawAccount::read(&mut block, findings);
        let default_account = block.key(&DEFAULT_ACCOUNT, findings);
        let mut accounts = Vec::new();
        for (name, mut block) in block.entries("accounts", findings) {
            accounts.push((name, RawAccount::read(&mut block, findings)));
            block.finish(findings);
        }
        block.finish(findings);
        channels.push(RawChannel { name, own, accounts, default_account });
    }
    channels
}

impl RawAccount {
    fn read(block: &mut Block<'_>, findings: &mut Findings) -> Self {
        let credentials = [&TOKEN, &BOT_TOKEN, &ACCESS_TOKEN, &PASSWORD];
        Self {
            enabled: block.key(&ENABLED, findings),
            credentials: credentials.into_iter().filter_map(|key| block.key(key, findings)).collect(),
            url: block.key(&URL, findings),
            allow_private: block.key(&ALLOW_PRIVATE, findings),
            user: block.key(&USER, findings),
            from: block.key(&FROM, findings),
            to: block.key(&TO, findings),
            thread: block.key(&THREAD, findings),
        }
    }

    /// With what the channel says where the account does not.
    fn within(self, channel: &Self) -> Self {
        Self {
            enabled: self.enabled.or_else(|| channel.enabled.clone()),
            url: self.url.or_else(|| channel.url.clone()),
            allow_private: self.allow_private.or_else(|| channel.allow_private.clone()),
            from: self.from.or_else(|| channel.from.clone()),
            // A thread belongs to its place.
            thread: self.thread.or_else(|| channel.thread.clone().filter(|_| self.to.is_none())),
            to: self.to.or_else(|| channel.to.clone()),
            ..self
        }
    }
}

/// What the channels are; one that is not well is left out, and its problems are told.
pub(super) fn resolve(raw: Vec<RawChannel>, guard: &Guard, findings: &mut Findings) -> ChannelsConfig {
    let mut config = ChannelsConfig::default();
    for RawChannel { name, own, accounts, default_account } in raw {
        let kind: ChannelKind = match name.value.parse() {
            Ok(kind) if name.value == ChannelKind::as_str(kind) => kind,
            _ => {
                let known = ChannelKind::ALL.map(ChannelKind::as_str).join(", ");
                let message = format!("`channels.{}` is no channel", shorten(&name.value));
                findings.report(Some(name.at), message, Some(format!("the channels are {known}")));
                continue;
            }
        };
        let mut routes = ChannelRoutes::default();
        let stands_alone = accounts.is_empty() || !own.credentials.is_empty();
        let mut all: Vec<(String, jsonc_parser::common::Range, RawAccount)> = Vec::new();
        for (account, raw) in accounts {
            if !is_name(&account.value) {
                let message = format!("`{}` cannot be the name of an account", shorten(&account.value));
                let hint = format!("a name has 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`");
                findings.report(Some(account.at), message, Some(hint));
                continue;
            }
            all.push((account.value, account.at, raw.within(&own)));
        }
        if stands_alone && !all.iter().any(|(name, ..)| name == DEFAULT) {
            all.push((DEFAULT.to_owned(), name.at, own));
        }
        for (account, at, raw) in all {
            if let Some((resolved, place)) = resolve_account(kind, &account, at, raw, guard, findings) {
                routes.accounts.insert(account.clone(), place);
                config.accounts.insert((kind.as_str().to_owned(), account), resolved);
            }
        }
        let first = || routes.accounts.keys().next().cloned();
        let usual = routes.accounts.contains_key(DEFAULT).then(|| DEFAULT.to_owned());
        routes.default_account = match &default_account {
            Some(chosen) if !routes.accounts.contains_key(&chosen.value) => {
                let message = format!(
                    "`channels.{kind}.defaultAccount` names `{}`, which is no account of it",
                    shorten(&chosen.value)
                );
                findings.report(Some(chosen.at), message, None);
                continue;
            }
            Some(chosen) => chosen.value.clone(),
            None => usual.or_else(first).unwrap_or_default(),
        };
        if !routes.accounts.is_empty() {
            config.routes.channels.insert(kind.as_str().to_owned(), routes);
        }
    }
    config
}

/// An account, and where its messages go that name no place; none where it is not enabled, or not well.
fn resolve_account(
    kind: ChannelKind,
    name: &str,
    at: jsonc_parser::common::Range,
    raw: RawAccount,
    guard: &Guard,
    findings: &mut Findings,
) -> Option<(Account, DefaultPlace)> {
    let path =
        if name == DEFAULT { format!("channels.{kind}") } else { format!("channels.{kind}.accounts.{name}") };
    if let [_, second, ..] = raw.credentials.as_slice() {
        let message = format!("`{path}` has more than one credential");
        let hint = "`token`, `botToken`, `accessToken` and `password` mean the same; keep one".to_owned();
        findings.report(Some(second.at), message, Some(hint));
        return None;
    }
    let is_enabled = ENABLED.or_default(raw.enabled);
    let url = match raw.url.map(|url| (url.value.parse::<ServerUrl>(), url.at)) {
        None => None,
        Some((Ok(url), _)) => Some(url),
        Some((Err(error), at)) => {
            findings.report(Some(at), format!("`{path}`: {error}"), None);
            return None;
        }
    };
    let place = DefaultPlace {
        to: raw.to.map(|written| written.value.trim().to_owned()),
        thread_id: raw.thread.map(|written| written.value.trim().to_owned()),
    };
    let account = Account {
        kind,
        url,
        credential: raw.credentials.into_iter().next().map(|written| written.value),
        user: raw.user.map(|written| written.value),
        from: raw.from.map(|written| written.value),
        default_place: place.to.clone().map(|to| Place { to, thread: place.thread_id.clone() }),
        allow_private: ALLOW_PRIVATE.or_default(raw.allow_private),
    };
    if let Err(error) = account.check(guard) {
        let named = error.to_string().replace("`credential`", "`token`");
        findings.report(Some(at), format!("`{path}`: {named}"), None);
        return None;
    }
    is_enabled.then_some((account, place))
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(fits)
}
