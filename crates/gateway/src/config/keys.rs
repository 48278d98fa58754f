//! Every key of the configuration, once: its name, what its value must be, its default and its meaning.
//!
//! The reader accepts a key by asking for its definition here, the defaults are taken from here, and the table in
//! `docs/configuration.md` is held to this list by a test.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clawhook_delivery::Proxy;
use clawhook_engine::CatchUpPace;
use clawhook_model::{
    DEFAULT_MAX_HOPS, FailureRules, MisfirePolicy, Overlap, SecretSource, TransientClass, Usd,
};

use super::destinations::Declarations;
use super::setting::{AtMost, Bind, Bounds, HostName, KeptFor, ListOf, MisfireName, Setting, TokenAuth};
use super::{agents, alerts, channels, hooks, job_hooks, mcp, models};

/// The definition of one key, which has a default of kind `D`.
pub(super) struct Key<T: Setting, D> {
    /// The full name; `*` stands for a name that the user chose, `[]` for each entry of a list.
    pub(super) path: &'static str,
    /// What the value must be, beyond its kind.
    pub(super) form: T::Form,
    /// What holds where the key is not written.
    pub(super) default: D,
    /// What it means.
    pub(super) meaning: &'static str,
}

/// A default value.
pub(super) type Default<T> = fn() -> T;

/// No default value; the text tells what the absence means.
pub(super) struct Absent(pub(super) &'static str);

impl<T: Setting> Key<T, Default<T>> {
    /// What was written, or else the default.
    pub(super) fn or_default(&self, written: Option<super::block::Written<T>>) -> T {
        written.map_or_else(self.default, |written| written.value)
    }
}

/// A key as the documentation tells it.
pub(super) trait Documented: Sync {
    /// The full name.
    fn path(&self) -> &'static str;
    /// One row of the table: name, value, default, meaning.
    fn row(&self) -> String;
}

/// The table of all keys, in Markdown.
pub(super) fn reference() -> String {
    let rows: Vec<String> = all().map(Documented::row).collect();
    format!("| key | value | default | meaning |\n|---|---|---|---|\n{}\n", rows.join("\n"))
}

impl<T: Setting> Documented for Key<T, Default<T>>
where
    T::Form: Sync,
{
    fn path(&self) -> &'static str {
        self.path
    }

    fn row(&self) -> String {
        row(self, &format!("`{}`", (self.default)().written()))
    }
}

impl<T: Setting> Documented for Key<T, Absent>
where
    T::Form: Sync,
{
    fn path(&self) -> &'static str {
        self.path
    }

    fn row(&self) -> String {
        row(self, self.default.0)
    }
}

/// A part of the file that the documentation tells and that is no key with a value of its own.
pub(super) struct Row {
    /// The full name.
    pub(super) path: &'static str,
    /// What it must be.
    pub(super) value: &'static str,
    /// What holds where it is not written.
    pub(super) default: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
}

impl Documented for Row {
    fn path(&self) -> &'static str {
        self.path
    }

    fn row(&self) -> String {
        let Self { path, value, default, meaning } = self;
        format!("| `{path}` | {value} | {default} | {meaning} |")
    }
}

fn row<T: Setting, D>(key: &Key<T, D>, default: &str) -> String {
    format!("| `{}` | {} | {default} | {} |", key.path, T::documented(&key.form), key.meaning)
}

/// The part of a full name after the last dot.
pub(super) fn last_name(path: &'static str) -> &'static str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// The one key whose last name this is.
pub(super) fn with_last_name(name: &str) -> Option<&'static str> {
    let mut named = all().map(Documented::path).filter(|path| last_name(path) == name);
    match (named.next(), named.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

const COUNT: RangeInclusive<usize> = 1..=4096;
const MILLISECOND: Duration = Duration::from_millis(1);
const TENTH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) static GATEWAY_PORT: Key<u16, Default<u16>> = Key {
    path: "gateway.port",
    form: 0..=65_535,
    default: || 18_780,
    meaning: "The TCP port that the gateway listens on; `0` lets the system choose a free one.",
};

pub(super) static GATEWAY_BIND: Key<Bind, Default<Bind>> = Key {
    path: "gateway.bind",
    form: (),
    default: || Bind(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    meaning: "The address that the gateway listens on: `loopback` is 127.0.0.1, `lan` is 0.0.0.0. \
              Any address that others can reach needs `gateway.auth.token`.",
};

pub(super) static GATEWAY_AUTH_MODE: Key<TokenAuth, Default<TokenAuth>> = Key {
    path: "gateway.auth.mode",
    form: (),
    default: || TokenAuth,
    meaning: "How clients prove who they are.",
};

pub(super) static GATEWAY_AUTH_TOKEN: Key<SecretSource, Absent> = Key {
    path: "gateway.auth.token",
    form: (),
    default: Absent("none"),
    meaning: "The token that clients present.",
};

pub(super) static CRON_ENABLED: Key<bool, Default<bool>> = Key {
    path: "cron.enabled",
    form: (),
    default: || true,
    meaning: "Whether jobs run when they are due. Deliveries that wait are sent either way.",
};

pub(super) static CRON_MAX_CONCURRENT_RUNS: Key<usize, Default<usize>> = Key {
    path: "cron.maxConcurrentRuns",
    form: 1..=1024,
    default: || 8,
    meaning: "How many runs go on at a time; further ones wait their turn.",
};

pub(super) static CRON_WEBHOOK_TOKEN: Key<SecretSource, Absent> = Key {
    path: "cron.webhookToken",
    form: (),
    default: Absent("none"),
    meaning: "The bearer token that is sent to webhooks.",
};

pub(super) static CRON_ALLOWED_HOSTNAMES: Key<Vec<HostName>, Default<Vec<HostName>>> = Key {
    path: "cron.webhookSsrfPolicy.allowedHostnames",
    form: ListOf { least: 0, most: 1000, each: () },
    default: Vec::new,
    meaning: "Hosts that webhooks may reach although they are private, internal or on this machine.",
};

pub(super) static CRON_SHUTDOWN_GRACE: Key<Duration, Default<Duration>> = Key {
    path: "cron.shutdownGrace",
    form: Bounds { least: Duration::ZERO, most: HOUR },
    default: || Duration::from_secs(20),
    meaning: "How long runs may go on after the gateway was told to stop; then they are interrupted.",
};

pub(super) static CRON_SKIP_MISSED_JOBS: Key<bool, Default<bool>> = Key {
    path: "cron.skipMissedJobs",
    form: (),
    default: || false,
    meaning: "OpenClaw's name for `cron.misfire.policy: \"skip\"`.",
};

pub(super) static CRON_MISFIRE_POLICY: Key<MisfireName, Default<MisfireName>> = Key {
    path: "cron.misfire.policy",
    form: (),
    default: || MisfireName::Once,
    meaning: "Which of the instants are run at which nobody was there, where a job does not say: none, the last one, or \
              each.",
};

pub(super) static CRON_MISFIRE_MAX: Key<u32, Default<u32>> = Key {
    path: "cron.misfire.max",
    form: 1..=MisfirePolicy::MOST_EACH,
    default: || MisfirePolicy::EACH,
    meaning: "How many of them are run at most with the policy `each`: the last ones.",
};

pub(super) static CRON_MISFIRE_MAX_LATENESS: Key<Duration, Absent> = Key {
    path: "cron.misfire.maxLateness",
    form: Bounds { least: Duration::ZERO, most: DAY.saturating_mul(365) },
    default: Absent("none"),
    meaning: "How late an instant may be begun at most, where a job does not say; one that is later is missed.",
};

pub(super) static CRON_OVERLAP: Key<Overlap, Default<Overlap>> = Key {
    path: "cron.overlap",
    form: (),
    default: Overlap::default,
    meaning: "What becomes of an instant while a run of the job is not over, where a job does not say.",
};

pub(super) static CRON_MAX_HOPS: Key<u32, Default<u32>> = Key {
    path: "cron.maxHops",
    form: 0..=100,
    default: || DEFAULT_MAX_HOPS,
    meaning: "How many hops work may be away from its beginning, through [chains](chains.md) and hooks that events call; \
              what is further is taken for a circle and refused.",
};

pub(super) static CRON_CATCH_UP_AT_ONCE: Key<u32, Default<u32>> = Key {
    path: "cron.catchUp.atOnce",
    form: 1..=1000,
    default: || CatchUpPace::default().at_once,
    meaning: "How many runs begin at once after an absence, of those that were missed.",
};

pub(super) static CRON_CATCH_UP_EVERY: Key<Duration, Default<Duration>> = Key {
    path: "cron.catchUp.every",
    form: Bounds { least: Duration::ZERO, most: HOUR },
    default: || CatchUpPace::default().every,
    meaning: "How long after one another the others begin.",
};

pub(super) static CRON_FAILURES_DISABLE_AFTER: Key<u32, Default<u32>> = Key {
    path: "cron.failures.disableAfter",
    form: 1..=1000,
    default: || FailureRules::default().disable_after,
    meaning: "After how many failures in a row a job that recurs is switched off.",
};

pub(super) static CRON_RETRY_MAX_ATTEMPTS: Key<u32, Default<u32>> = Key {
    path: "cron.retry.maxAttempts",
    form: 0..=10,
    default: || FailureRules::default().most_retries,
    meaning: "How often an occurrence is tried again after an error that may pass.",
};

pub(super) static CRON_RETRY_BACKOFF_MS: Key<Vec<u32>, Default<Vec<u32>>> = Key {
    path: "cron.retry.backoffMs",
    form: ListOf { least: 1, most: 10, each: 0..=86_400_000 },
    default: || {
        let waits = FailureRules::default().retry_after;
        waits.iter().map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)).collect()
    },
    meaning: "How long to wait before each of these tries, in milliseconds; the last one holds for all that follow.",
};

pub(super) static CRON_RETRY_RETRY_ON: Key<Vec<TransientClass>, Default<Vec<TransientClass>>> = Key {
    path: "cron.retry.retryOn",
    form: ListOf { least: 0, most: 5, each: () },
    default: || FailureRules::default().retry_on,
    meaning: "Which errors may pass.",
};

pub(super) static CRON_SESSION_RETENTION: Key<KeptFor, Default<KeptFor>> = Key {
    path: "cron.sessionRetention",
    form: DAY.saturating_mul(3650),
    default: || KeptFor(Some(DAY)),
    meaning: "How long the session of an isolated run is kept, with its transcript; a bare number is hours. `false`, or a \
              length of nothing, keeps it for as long as its run.",
};

pub(super) static CRON_RETENTION_MAX_AGE: Key<KeptFor, Default<KeptFor>> = Key {
    path: "cron.retention.maxAge",
    form: DAY.saturating_mul(3650),
    default: || KeptFor(Some(DAY.saturating_mul(7))),
    meaning: "How long runs are kept, with their events and deliveries; a bare number is hours, `false` is for ever. What \
              is not yet delivered is kept in any case, here and below.",
};

pub(super) static CRON_RETENTION_RUNS_PER_JOB: Key<AtMost, Default<AtMost>> = Key {
    path: "cron.retention.runsPerJob",
    form: 1..=1_000_000,
    default: || AtMost(Some(2_000)),
    meaning: "How many runs of one job are kept at most: the last ones. `false` is all.",
};

pub(super) static CRON_RETENTION_MAX_BYTES: Key<AtMost, Default<AtMost>> = Key {
    path: "cron.retention.maxBytes",
    form: 1024 * 1024..=1024 * 1024 * 1024 * 1024,
    default: || AtMost(Some(2 * 1024 * 1024 * 1024)),
    meaning: "How much the whole store may hold: above it the oldest runs go, though they are young. `false` is no limit.",
};

pub(super) static CRON_RUN_LOG_KEEP_LINES: Key<AtMost, Absent> = Key {
    path: "cron.runLog.keepLines",
    form: 1..=1_000_000,
    default: Absent("`cron.retention.runsPerJob`"),
    meaning: "OpenClaw's name for `cron.retention.runsPerJob`.",
};

pub(super) static CRON_BUDGET_USD_PER_DAY: Key<Usd, Absent> = Key {
    path: "cron.budget.usdPerDay",
    form: (),
    default: Absent("no limit"),
    meaning: "How much money all jobs together may spend in a day of the host's zone, by the [prices](#models) of their \
              models; then runs are skipped until the next day.",
};

pub(super) static CRON_BUDGET_TOKENS_PER_DAY: Key<u64, Absent> = Key {
    path: "cron.budget.tokensPerDay",
    form: 1..=1_000_000_000_000_000,
    default: Absent("no limit"),
    meaning: "How many tokens all jobs together may use in a day, read and written.",
};

pub(super) static CRON_WATCHDOG_GRACE: Key<Duration, Default<Duration>> = Key {
    path: "cron.watchdog.grace",
    form: Bounds { least: Duration::from_secs(1), most: HOUR },
    default: || Duration::from_secs(30),
    meaning: "How long after it was due an instant may have no record before that is an [alarm](watchdog.md).",
};

pub(super) static CRON_WATCHDOG_SLOT_GRACE: Key<Duration, Default<Duration>> = Key {
    path: "cron.watchdog.slotGrace",
    form: Bounds { least: Duration::from_secs(1), most: DAY.saturating_mul(7) },
    default: || MINUTE.saturating_mul(15),
    meaning: "How long a run that could begin may wait for a slot before that is an alarm.",
};

pub(super) static CRON_WATCHDOG_PING_URL: Key<SecretSource, Absent> = Key {
    path: "cron.watchdog.pingUrl",
    form: (),
    default: Absent("none"),
    meaning: "A URL that is sent a POST for as long as no alarm is raised, so that somebody else notices when the \
              gateway is gone. Nothing but its host is ever shown.",
};

pub(super) static CRON_WATCHDOG_PING_EVERY: Key<Duration, Default<Duration>> = Key {
    path: "cron.watchdog.pingEvery",
    form: Bounds { least: Duration::from_secs(1), most: DAY },
    default: || MINUTE,
    meaning: "How often it is sent.",
};

pub(super) static DELIVERY_RETRY_SCHEDULE: Key<Vec<Duration>, Default<Vec<Duration>>> = Key {
    path: "delivery.retrySchedule",
    form: ListOf { least: 0, most: 50, each: Bounds { least: MILLISECOND, most: DAY.saturating_mul(30) } },
    default: || {
        let minutes = [5, 30, 120, 300, 600, 840, 1200, 1440].map(|count| MINUTE.saturating_mul(count));
        std::iter::once(Duration::from_secs(5)).chain(minutes).collect()
    },
    meaning: "How long to wait after each failed attempt before the next. After the last one the delivery is dead; \
              an empty list means one attempt.",
};

pub(super) static DELIVERY_RETRY_WINDOW: Key<Duration, Absent> = Key {
    path: "delivery.retryWindow",
    form: Bounds { least: Duration::from_secs(1), most: DAY.saturating_mul(365) },
    default: Absent("half as long again as the schedule, and a day"),
    meaning: "How long after its beginning a delivery may still be tried; then it is dead, whatever is left of the \
              schedule.",
};

pub(super) static DELIVERY_CLIENT_ERROR_TRIES: Key<u16, Default<u16>> = Key {
    path: "delivery.clientErrorTries",
    form: 1..=50,
    default: || 3,
    meaning: "How many attempts a receiver may refuse with a 4xx before the delivery is dead. 408, 425 and 429 are no \
              refusals, and 410 pauses the destination.",
};

pub(super) static DELIVERY_MAX_RETRY_AFTER: Key<Duration, Default<Duration>> = Key {
    path: "delivery.maxRetryAfter",
    form: Bounds { least: Duration::ZERO, most: DAY.saturating_mul(30) },
    default: || MINUTE.saturating_mul(60),
    meaning: "How much of a receiver's `Retry-After` (with 429 and 503) is heeded; `0s` heeds none.",
};

pub(super) static DELIVERY_SIGNING_SECRET: Key<SecretSource, Absent> = Key {
    path: "delivery.signingSecret",
    form: (),
    default: Absent("none"),
    meaning: "The secret that webhooks are signed with, as Standard Webhooks writes it (`whsec_…`).",
};

pub(super) static DELIVERY_TIMEOUT: Key<Duration, Default<Duration>> = Key {
    path: "delivery.timeout",
    form: Bounds { least: TENTH, most: MINUTE },
    default: || Duration::from_secs(15),
    meaning: "How long one attempt may take in all.",
};

pub(super) static DELIVERY_CONNECT_TIMEOUT: Key<Duration, Default<Duration>> = Key {
    path: "delivery.connectTimeout",
    form: Bounds { least: TENTH, most: MINUTE },
    default: || Duration::from_secs(5),
    meaning: "How long it may take to connect, at most `delivery.timeout`; the default shrinks to that.",
};

pub(super) static DELIVERY_MAX_CONCURRENT: Key<usize, Default<usize>> = Key {
    path: "delivery.maxConcurrent",
    form: COUNT,
    default: || 256,
    meaning: "How many attempts go on at a time.",
};

pub(super) static DELIVERY_MAX_CONCURRENT_PER_DESTINATION: Key<usize, Default<usize>> = Key {
    path: "delivery.maxConcurrentPerDestination",
    form: COUNT,
    default: || 64,
    meaning: "How many of them go to one destination that has no limit of its own, at most \
              `delivery.maxConcurrent`; the default shrinks to that.",
};

pub(super) static DELIVERY_PAUSE_AFTER: Key<Duration, Default<Duration>> = Key {
    path: "delivery.pauseAfter",
    form: Bounds { least: MINUTE, most: DAY.saturating_mul(30) },
    default: || DAY,
    meaning: "How long a destination may fail without a success before it is paused. What waits for it is kept, and \
              from then on it gets one delivery an hour, until one arrives.",
};

pub(super) static DELIVERY_DISABLE_AFTER: Key<Duration, Default<Duration>> = Key {
    path: "delivery.disableAfter",
    form: Bounds { least: MINUTE, most: DAY.saturating_mul(365) },
    default: || DAY.saturating_mul(5),
    meaning: "How long a destination may fail without a success before it is disabled: it gets nothing more until a \
              person resumes it. What waits for it is kept.",
};

pub(super) static DELIVERY_PORTS: Key<Vec<u16>, Default<Vec<u16>>> = Key {
    path: "delivery.ports",
    form: ListOf { least: 0, most: 100, each: 1..=65_535 },
    default: Vec::new,
    meaning: "Ports that webhooks may go to beside 443 and 80. Hosts of `cron.webhookSsrfPolicy.allowedHostnames` may \
              have any.",
};

pub(super) static DELIVERY_PROXY: Key<Proxy, Absent> = Key {
    path: "delivery.proxy",
    form: (),
    default: Absent("none"),
    meaning: "The proxy that every webhook goes through. It is asked (`CONNECT`) for addresses that have been vetted \
              here. Variables such as `HTTPS_PROXY` have no effect.",
};

pub(super) static DELIVERY_PROXY_CREDENTIALS: Key<SecretSource, Absent> = Key {
    path: "delivery.proxyCredentials",
    form: (),
    default: Absent("none"),
    meaning: "What the proxy is told of who we are, `user:password`.",
};

pub(super) static DELIVERY_DESTINATIONS: Key<Declarations, Absent> = Key {
    path: "delivery.destinations",
    form: (),
    default: Absent("none"),
    meaning: "Destinations that are declared here, and are changed here alone. One that is taken out again is removed \
              when the gateway starts, unless something depends on it.",
};

pub(super) static STORE_PATH: Key<PathBuf, Absent> = Key {
    path: "store.path",
    form: (),
    default: Absent("`clawhook.db` in the state directory"),
    meaning: "The SQLite file that holds all jobs, runs and deliveries.",
};

/// All keys, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static dyn Documented> {
    let rooms = [
        FIRST,
        alerts::ALL,
        agents::keys::ALL,
        models::keys::ALL,
        mcp::ALL,
        channels::ALL,
        hooks::keys::ALL,
        job_hooks::ALL,
        LAST,
    ];
    rooms.into_iter().flatten().copied()
}

static LAST: &[&dyn Documented] = &[&STORE_PATH];

static FIRST: &[&dyn Documented] = &[
    &GATEWAY_PORT,
    &GATEWAY_BIND,
    &GATEWAY_AUTH_MODE,
    &GATEWAY_AUTH_TOKEN,
    &CRON_ENABLED,
    &CRON_MAX_CONCURRENT_RUNS,
    &CRON_WEBHOOK_TOKEN,
    &CRON_ALLOWED_HOSTNAMES,
    &CRON_SHUTDOWN_GRACE,
    &CRON_SKIP_MISSED_JOBS,
    &CRON_MISFIRE_POLICY,
    &CRON_MISFIRE_MAX,
    &CRON_MISFIRE_MAX_LATENESS,
    &CRON_OVERLAP,
    &CRON_MAX_HOPS,
    &CRON_CATCH_UP_AT_ONCE,
    &CRON_CATCH_UP_EVERY,
    &CRON_FAILURES_DISABLE_AFTER,
    &CRON_RETRY_MAX_ATTEMPTS,
    &CRON_RETRY_BACKOFF_MS,
    &CRON_RETRY_RETRY_ON,
    &CRON_SESSION_RETENTION,
    &CRON_RETENTION_MAX_AGE,
    &CRON_RETENTION_RUNS_PER_JOB,
    &CRON_RETENTION_MAX_BYTES,
    &CRON_RUN_LOG_KEEP_LINES,
    &CRON_BUDGET_USD_PER_DAY,
    &CRON_BUDGET_TOKENS_PER_DAY,
    &CRON_WATCHDOG_GRACE,
    &CRON_WATCHDOG_SLOT_GRACE,
    &CRON_WATCHDOG_PING_URL,
    &CRON_WATCHDOG_PING_EVERY,
    &DELIVERY_RETRY_SCHEDULE,
    &DELIVERY_RETRY_WINDOW,
    &DELIVERY_CLIENT_ERROR_TRIES,
    &DELIVERY_MAX_RETRY_AFTER,
    &DELIVERY_SIGNING_SECRET,
    &DELIVERY_TIMEOUT,
    &DELIVERY_CONNECT_TIMEOUT,
    &DELIVERY_MAX_CONCURRENT,
    &DELIVERY_MAX_CONCURRENT_PER_DESTINATION,
    &DELIVERY_PAUSE_AFTER,
    &DELIVERY_DISABLE_AFTER,
    &DELIVERY_PORTS,
    &DELIVERY_PROXY,
    &DELIVERY_PROXY_CREDENTIALS,
    &DELIVERY_DESTINATIONS,
];
