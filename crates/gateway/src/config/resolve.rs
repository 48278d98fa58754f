//! From what was written to what it means: defaults, references and overrides, and the rules between keys.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use clawhook_delivery::{Guard, PingUrl, Proxy};
use clawhook_engine::CatchUpPace;
use clawhook_model::{
    Budget, DestinationDefinition, DestinationName, FailureRules, Misfire, MisfirePolicy, RetryRules,
    RetrySchedule, SecretSource, SecretText, format_duration,
};
use secrecy::ExposeSecret as _;

use super::block::{Written, shorten};
use super::channels;
use super::destinations::{Declaration, Declarations};
use super::environment::{Environment, GATEWAY_PORT, GATEWAY_TOKEN, SKIP_CRON};
use super::keys::{self, Key};
use super::problem::Findings;
use super::raw::{
    RawConfig, RawCron, RawCronRetry, RawDelivery, RawGateway, RawMisfire, RawRetention, RawWatchdog,
};
use super::secret_map::SecretMap;
use super::setting::{A_LINE_BREAK, MisfireName, TokenAuth};
use super::{
    Config, CronConfig, DeliveryConfig, GatewayConfig, PingConfig, RetentionConfig, StoreConfig,
    WatchdogConfig,
};
use super::{agents, alerts};
use crate::secrets::follow_now;

/// Fills in and checks; every problem goes to `findings`, and then the result is not to be used.
pub(super) fn resolve(mut raw: RawConfig, environment: &Environment<'_>, findings: &mut Findings) -> Config {
    let mut resolver = Resolver { environment, findings };
    let state_dir = environment.state_dir();
    let gateway = resolver.gateway(raw.gateway);
    let raw_watchdog = std::mem::take(&mut raw.cron.watchdog);
    let cron = resolver.cron(raw.cron);
    let delivery = resolver.delivery(raw.delivery, &cron);
    let guard = cron.guard(&delivery.ports);
    let alerts = alerts::resolve(raw.alerts, &guard, resolver.findings);
    let watchdog = resolver.watchdog(raw_watchdog, &guard);
    let models = resolver.models(raw.providers);
    let mcp = resolver.mcp(raw.servers);
    let channels = channels::resolve(raw.channels, &cron.guard(&delivery.ports), resolver.findings);
    let surroundings =
        agents::Surroundings { models: &models, mcp: &mcp, environment, state_dir: &state_dir };
    let agents = agents::resolve(raw.agents, &surroundings, resolver.findings);
    resolver.check_hook_receivers(&raw.hooks, &cron.guard(&delivery.ports));
    let hook_slots = super::hooks::keys::SLOTS.or_default(raw.hooks.slots.clone());
    let hooks = resolver.hooks(raw.hooks, (&agents, &channels), gateway.token.as_ref());
    Config {
        file: environment.file(),
        gateway,
        cron,
        watchdog,
        alerts,
        delivery,
        agents,
        models,
        mcp,
        channels,
        hooks,
        hook_slots,
        store: StoreConfig {
            path: match raw.store_path {
                Some(written) => environment.locate(&written.value),
                None => state_dir.join("clawhook.db"),
            },
        },
        state_dir,
    }
}

pub(super) struct Resolver<'r, 'e> {
    pub(super) environment: &'r Environment<'e>,
    pub(super) findings: &'r mut Findings,
}

impl Resolver<'_, '_> {
    fn gateway(&mut self, raw: RawGateway) -> GatewayConfig {
        // There is one mode, so that nothing depends on it.
        let TokenAuth = keys::GATEWAY_AUTH_MODE.or_default(raw.auth_mode);
        let token_is_written = raw.auth_token.is_some();
        let bind_at = raw.bind.as_ref().map(|bind| bind.at);
        let bind = keys::GATEWAY_BIND.or_default(raw.bind).0;
        let written = self.secret(keys::GATEWAY_AUTH_TOKEN.path, raw.auth_token);
        let token = if token_is_written { written } else { self.token_of_environment() };
        if !bind.is_loopback() && !token_is_written && token.is_none() {
            let message = format!("`gateway.bind` is {bind}, which others can reach, but no token is set");
            let hint = format!("set `gateway.auth.token` or the variable {GATEWAY_TOKEN}");
            self.findings.report(bind_at, message, Some(hint));
        }
        let port = keys::GATEWAY_PORT.or_default(raw.port);
        GatewayConfig { port: self.port_of_environment().unwrap_or(port), bind, token }
    }

    fn token_of_environment(&mut self) -> Option<SecretText> {
        let value = self.environment.setting(GATEWAY_TOKEN)?;
        if value.contains(char::is_control) {
            self.findings.report(None, format!("{GATEWAY_TOKEN} holds a control character"), None);
        }
        Some(SecretText::from(value))
    }

    fn port_of_environment(&mut self) -> Option<u16> {
        let value = self.environment.setting(GATEWAY_PORT)?;
        let port = value.parse().ok();
        if port.is_none() {
            let message = format!("{GATEWAY_PORT} must be a port from 0 to 65535, not `{}`", shorten(&value));
            self.findings.report(None, message, None);
        }
        port
    }

    fn cron(&mut self, raw: RawCron) -> CronConfig {
        let hosts = keys::CRON_ALLOWED_HOSTNAMES.or_default(raw.allowed_hostnames);
        CronConfig {
            enabled: keys::CRON_ENABLED.or_default(raw.enabled) && !self.cron_is_skipped(),
            max_concurrent_runs: keys::CRON_MAX_CONCURRENT_RUNS.or_default(raw.max_concurrent_runs),
            webhook_token: self.secret(keys::CRON_WEBHOOK_TOKEN.path, raw.webhook_token),
            allowed_hostnames: hosts.into_iter().map(|host| host.0).collect(),
            shutdown_grace: keys::CRON_SHUTDOWN_GRACE.or_default(raw.shutdown_grace),
            misfire: self.misfire(raw.misfire, raw.skip_missed_jobs),
            overlap: keys::CRON_OVERLAP.or_default(raw.overlap),
            max_hops: keys::CRON_MAX_HOPS.or_default(raw.max_hops),
            hooks: raw.hooks.resolve(),
            catch_up: CatchUpPace {
                at_once: keys::CRON_CATCH_UP_AT_ONCE.or_default(raw.catch_up_at_once),
                every: keys::CRON_CATCH_UP_EVERY.or_default(raw.catch_up_every),
            },
            failure: failure_rules(raw.retry, raw.disable_after),
            retention: self.retention(raw.retention),
            budget: Budget {
                usd_per_day: raw.usd_per_day.map(|written| written.value),
                tokens_per_day: raw.tokens_per_day.map(|written| written.value),
            },
        }
    }

    /// How long things are kept. OpenClaw's own key must not say otherwise.
    fn retention(&mut self, raw: RawRetention) -> RetentionConfig {
        let ours = raw.runs_per_job.as_ref().map(|written| written.value.0);
        if let Some(theirs) =
            raw.keep_lines.as_ref().filter(|theirs| ours.is_some_and(|ours| ours != theirs.value.0))
        {
            let message = format!(
                "`{}` and `{}` say different things",
                keys::CRON_RUN_LOG_KEEP_LINES.path,
                keys::CRON_RETENTION_RUNS_PER_JOB.path
            );
            self.findings.report(Some(theirs.at), message, Some("take one of the two out".to_owned()));
        }
        RetentionConfig {
            sessions: keys::CRON_SESSION_RETENTION.or_default(raw.sessions).0,
            max_age: keys::CRON_RETENTION_MAX_AGE.or_default(raw.max_age).0,
            runs_per_job: keys::CRON_RETENTION_RUNS_PER_JOB
                .or_default(raw.runs_per_job.or(raw.keep_lines))
                .0
                .map(|runs| u32::try_from(runs).unwrap_or(u32::MAX)),
            max_bytes: keys::CRON_RETENTION_MAX_BYTES.or_default(raw.max_bytes).0,
        }
    }

    /// What becomes of misfires. OpenClaw's own key must not say otherwise.
    fn misfire(&mut self, raw: RawMisfire, skip_missed_jobs: Option<Written<bool>>) -> Misfire {
        let skips_at = skip_missed_jobs.as_ref().map(|written| written.at);
        let skips = keys::CRON_SKIP_MISSED_JOBS.or_default(skip_missed_jobs);
        let says_otherwise = raw.policy.as_ref().is_some_and(|policy| policy.value != MisfireName::Skip);
        if skips && says_otherwise {
            let message = format!(
                "`{}` is true, and `{}` says otherwise",
                keys::CRON_SKIP_MISSED_JOBS.path,
                keys::CRON_MISFIRE_POLICY.path
            );
            self.findings.report(skips_at, message, Some("take one of the two out".to_owned()));
        }
        let name = if skips { MisfireName::Skip } else { keys::CRON_MISFIRE_POLICY.or_default(raw.policy) };
        if let Some(most) = raw.most.as_ref().filter(|_| name != MisfireName::Each) {
            let message =
                format!("`{}` has a place with the policy \"each\" alone", keys::CRON_MISFIRE_MAX.path);
            self.findings.report(Some(most.at), message, None);
        }
        let policy = match name {
            MisfireName::Skip => MisfirePolicy::Skip,
            MisfireName::Once => MisfirePolicy::Once,
            MisfireName::Each => MisfirePolicy::Each { most: keys::CRON_MISFIRE_MAX.or_default(raw.most) },
        };
        Misfire { policy, max_lateness: raw.max_lateness.map(|written| written.value) }
    }

    /// The watchdog; an address to ping where no webhook may go is refused while somebody is looking.
    fn watchdog(&mut self, raw: RawWatchdog, guard: &Guard) -> WatchdogConfig {
        let path = keys::CRON_WATCHDOG_PING_URL.path;
        let at = raw.ping_url.as_ref().map(|written| written.at);
        let every_at = raw.ping_every.as_ref().map(|written| written.at);
        let every = keys::CRON_WATCHDOG_PING_EVERY.or_default(raw.ping_every);
        if let (None, Some(every_at)) = (at, every_at) {
            let message = format!("`{}` is set, and `{path}` is not", keys::CRON_WATCHDOG_PING_EVERY.path);
            self.findings.report(Some(every_at), message, None);
        }
        let url = self.secret(path, raw.ping_url);
        let url = url.and_then(|url| match url.expose().parse::<PingUrl>() {
            Ok(url) => Some(url),
            Err(error) => {
                self.findings.report(at, format!("`{path}` {error}"), None);
                None
            }
        });
        if let Some(refusal) = url.as_ref().and_then(|url| guard.check_url(url.url()).err()) {
            self.findings.report(at, format!("`{path}`: {refusal}"), Some(refusal.hint()));
        }
        WatchdogConfig {
            grace: keys::CRON_WATCHDOG_GRACE.or_default(raw.grace),
            slot_grace: keys::CRON_WATCHDOG_SLOT_GRACE.or_default(raw.slot_grace),
            ping: url.map(|url| PingConfig { url, every }),
        }
    }

    fn cron_is_skipped(&mut self) -> bool {
        match self.environment.setting(SKIP_CRON).as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => {
                let message = format!("{SKIP_CRON} must be `1` or `0`, not `{}`", shorten(other));
                self.findings.report(None, message, None);
                false
            }
        }
    }

    fn delivery(&mut self, raw: RawDelivery, cron: &CronConfig) -> DeliveryConfig {
        let ports = keys::DELIVERY_PORTS.or_default(raw.ports);
        let guard = cron.guard(&ports);
        let tries = keys::DELIVERY_CLIENT_ERROR_TRIES.or_default(raw.client_error_tries);
        let timeout = keys::DELIVERY_TIMEOUT.or_default(raw.timeout);
        let max_concurrent = keys::DELIVERY_MAX_CONCURRENT.or_default(raw.max_concurrent);
        DeliveryConfig {
            retry: RetryRules {
                schedule: RetrySchedule::new(keys::DELIVERY_RETRY_SCHEDULE.or_default(raw.retry_schedule)),
                window: raw.retry_window.map(|window| window.value),
                client_error_tries: NonZeroU32::new(tries.into()).unwrap_or(NonZeroU32::MIN),
                max_retry_after: keys::DELIVERY_MAX_RETRY_AFTER.or_default(raw.max_retry_after),
            },
            signing_secret: self.secret(keys::DELIVERY_SIGNING_SECRET.path, raw.signing_secret),
            timeout,
            connect_timeout: self.within(
                &keys::DELIVERY_CONNECT_TIMEOUT,
                raw.connect_timeout,
                (keys::DELIVERY_TIMEOUT.path, timeout),
                |duration: &Duration| format_duration(*duration),
            ),
            max_concurrent,
            max_concurrent_per_destination: self.within(
                &keys::DELIVERY_MAX_CONCURRENT_PER_DESTINATION,
                raw.max_concurrent_per_destination,
                (keys::DELIVERY_MAX_CONCURRENT.path, max_concurrent),
                usize::to_string,
            ),
            pause_after: keys::DELIVERY_PAUSE_AFTER.or_default(raw.pause_after),
            disable_after: keys::DELIVERY_DISABLE_AFTER.or_default(raw.disable_after),
            ports,
            proxy: self.proxy(raw.proxy, raw.proxy_credentials),
            destinations: self.destinations(raw.destinations, &guard),
        }
    }

    fn proxy(
        &mut self,
        proxy: Option<Written<Proxy>>,
        credentials: Option<Written<SecretSource>>,
    ) -> Option<Proxy> {
        let path = keys::DELIVERY_PROXY_CREDENTIALS.path;
        let at = credentials.as_ref().map(|credentials| credentials.at);
        let credentials = self.secret(path, credentials);
        let proxy = proxy.map(|proxy| proxy.value);
        if at.is_some() && proxy.is_none() {
            let message = format!("`{path}` is set, and `{}` is not", keys::DELIVERY_PROXY.path);
            self.findings.report(at, message, None);
        }
        let Some(credentials) = credentials else { return proxy };
        match proxy?.with_credentials(credentials.as_secret_string()) {
            Ok(proxy) => Some(proxy),
            Err(error) => {
                self.findings.report(at, format!("`{path}` {error}"), None);
                None
            }
        }
    }

    /// The declared destinations; one that lies where no webhook may go is refused while somebody is looking.
    fn destinations(
        &mut self,
        written: Option<Written<Declarations>>,
        guard: &Guard,
    ) -> BTreeMap<DestinationName, DestinationDefinition> {
        let mut destinations = BTreeMap::new();
        for Declaration { name, definition, url_at } in
            written.into_iter().flat_map(|written| written.value.0)
        {
            if let Err(refusal) = guard.check_destination(&definition) {
                let message = format!("`{}.{name}.url`: {refusal}", keys::DELIVERY_DESTINATIONS.path);
                self.findings.report(Some(url_at), message, Some(refusal.hint()));
            }
            destinations.insert(name, definition);
        }
        destinations
    }

    /// The value of a key that may not exceed another's. A default gives way; what was written is refused.
    fn within<T: super::setting::Setting + Ord + Copy>(
        &mut self,
        key: &Key<T, keys::Default<T>>,
        written: Option<Written<T>>,
        (limit_path, limit): (&str, T),
        show: impl Fn(&T) -> String,
    ) -> T {
        if let Some(Written { value, at }) = written.as_ref().filter(|written| written.value > limit) {
            let message =
                format!("`{}` is {}, which is above `{limit_path}`, {}", key.path, show(value), show(&limit));
            self.findings.report(Some(*at), message, None);
        }
        key.or_default(written).min(limit)
    }

    /// The values of a map, by their names.
    pub(super) fn secrets<N>(
        &mut self,
        path: &str,
        written: Option<Written<SecretMap<N>>>,
    ) -> BTreeMap<String, SecretText> {
        let mut secrets = BTreeMap::new();
        for (name, source) in written.into_iter().flat_map(|written| written.value.entries) {
            if let Some(secret) = self.secret(&format!("{path}.{}", shorten(&name)), Some(source)) {
                secrets.insert(name, secret);
            }
        }
        secrets
    }

    pub(super) fn secret(
        &mut self,
        path: &str,
        written: Option<Written<SecretSource>>,
    ) -> Option<SecretText> {
        let Written { value: source, at } = written?;
        let message = match follow_now(&source, self.environment, path) {
            Ok(secret) if secret.expose_secret().contains(char::is_control) => A_LINE_BREAK.to_owned(),
            Ok(secret) => return Some(secret.into()),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.findings.report(Some(at), format!("`{path}` {message}"), None);
        None
    }
}

fn failure_rules(raw: RawCronRetry, disable_after: Option<Written<u32>>) -> FailureRules {
    let waits = keys::CRON_RETRY_BACKOFF_MS.or_default(raw.backoff_ms);
    FailureRules {
        most_retries: keys::CRON_RETRY_MAX_ATTEMPTS.or_default(raw.max_attempts),
        retry_after: waits.into_iter().map(|ms| Duration::from_millis(ms.into())).collect(),
        retry_on: keys::CRON_RETRY_RETRY_ON.or_default(raw.retry_on),
        disable_after: keys::CRON_FAILURES_DISABLE_AFTER.or_default(disable_after),
    }
}
