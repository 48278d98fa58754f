//! What was written: every key that is there, well formed by itself, with its place. What it means is for `resolve`.

use std::path::PathBuf;
use std::time::Duration;

use clawhook_delivery::Proxy;
use clawhook_model::{Overlap, SecretSource, TransientClass, Usd};
use jsonc_parser::ast::Object;

use super::agents::RawAgents;
use super::alerts;
use super::block::{Block, Written};
use super::channels::{self, RawChannel};
use super::destinations::Declarations;
use super::hooks::RawHooks;
use super::job_hooks::RawJobHooks;
use super::keys;
use super::mcp::{self, RawServer};
use super::models::{self, RawProvider};
use super::problem::Findings;
use super::setting::{AtMost, Bind, HostName, KeptFor, MisfireName, TokenAuth};

/// A configuration as it was written.
#[derive(Default)]
pub(super) struct RawConfig {
    pub(super) gateway: RawGateway,
    pub(super) cron: RawCron,
    pub(super) alerts: RawAlerts,
    pub(super) delivery: RawDelivery,
    pub(super) agents: RawAgents,
    pub(super) providers: Vec<RawProvider>,
    pub(super) servers: Vec<RawServer>,
    pub(super) channels: Vec<RawChannel>,
    pub(super) hooks: RawHooks,
    pub(super) store_path: Option<Written<PathBuf>>,
}

#[derive(Default)]
pub(super) struct RawAlerts {
    pub(super) alert: Option<Written<alerts::Block<alerts::Alert>>>,
    pub(super) failure_destination: Option<Written<alerts::Block<alerts::Route>>>,
    pub(super) drill: Option<Written<alerts::Block<alerts::Drill>>>,
    pub(super) public_url: Option<Written<alerts::PublicUrl>>,
    pub(super) one_click: Option<Written<bool>>,
}

#[derive(Default)]
pub(super) struct RawGateway {
    pub(super) port: Option<Written<u16>>,
    pub(super) bind: Option<Written<Bind>>,
    pub(super) auth_mode: Option<Written<TokenAuth>>,
    pub(super) auth_token: Option<Written<SecretSource>>,
}

#[derive(Default)]
pub(super) struct RawCron {
    pub(super) enabled: Option<Written<bool>>,
    pub(super) max_concurrent_runs: Option<Written<usize>>,
    pub(super) webhook_token: Option<Written<SecretSource>>,
    pub(super) allowed_hostnames: Option<Written<Vec<HostName>>>,
    pub(super) shutdown_grace: Option<Written<Duration>>,
    pub(super) watchdog: RawWatchdog,
    pub(super) skip_missed_jobs: Option<Written<bool>>,
    pub(super) misfire: RawMisfire,
    pub(super) overlap: Option<Written<Overlap>>,
    pub(super) max_hops: Option<Written<u32>>,
    pub(super) hooks: RawJobHooks,
    pub(super) catch_up_at_once: Option<Written<u32>>,
    pub(super) catch_up_every: Option<Written<Duration>>,
    pub(super) disable_after: Option<Written<u32>>,
    pub(super) retry: RawCronRetry,
    pub(super) retention: RawRetention,
    pub(super) usd_per_day: Option<Written<Usd>>,
    pub(super) tokens_per_day: Option<Written<u64>>,
}

#[derive(Default)]
pub(super) struct RawRetention {
    pub(super) sessions: Option<Written<KeptFor>>,
    pub(super) max_age: Option<Written<KeptFor>>,
    pub(super) runs_per_job: Option<Written<AtMost>>,
    pub(super) keep_lines: Option<Written<AtMost>>,
    pub(super) max_bytes: Option<Written<AtMost>>,
}

#[derive(Default)]
pub(super) struct RawMisfire {
    pub(super) policy: Option<Written<MisfireName>>,
    pub(super) most: Option<Written<u32>>,
    pub(super) max_lateness: Option<Written<Duration>>,
}

#[derive(Default)]
pub(super) struct RawCronRetry {
    pub(super) max_attempts: Option<Written<u32>>,
    pub(super) backoff_ms: Option<Written<Vec<u32>>>,
    pub(super) retry_on: Option<Written<Vec<TransientClass>>>,
}

#[derive(Default)]
pub(super) struct RawWatchdog {
    pub(super) grace: Option<Written<Duration>>,
    pub(super) slot_grace: Option<Written<Duration>>,
    pub(super) ping_url: Option<Written<SecretSource>>,
    pub(super) ping_every: Option<Written<Duration>>,
}

#[derive(Default)]
pub(super) struct RawDelivery {
    pub(super) retry_schedule: Option<Written<Vec<Duration>>>,
    pub(super) retry_window: Option<Written<Duration>>,
    pub(super) client_error_tries: Option<Written<u16>>,
    pub(super) max_retry_after: Option<Written<Duration>>,
    pub(super) signing_secret: Option<Written<SecretSource>>,
    pub(super) timeout: Option<Written<Duration>>,
    pub(super) connect_timeout: Option<Written<Duration>>,
    pub(super) max_concurrent: Option<Written<usize>>,
    pub(super) max_concurrent_per_destination: Option<Written<usize>>,
    pub(super) pause_after: Option<Written<Duration>>,
    pub(super) disable_after: Option<Written<Duration>>,
    pub(super) ports: Option<Written<Vec<u16>>>,
    pub(super) proxy: Option<Written<Proxy>>,
    pub(super) proxy_credentials: Option<Written<SecretSource>>,
    pub(super) destinations: Option<Written<Declarations>>,
}

impl RawConfig {
    /// Reads the whole file; what is wrong with it goes to `findings`.
    pub(super) fn read<'t>(file: &'t Object<'t>, findings: &mut Findings) -> Self {
        let mut top = Block::top(file, findings);
        let mut alerts = RawAlerts::default();
        let raw = Self {
            gateway: RawGateway::read(top.block("gateway", findings), &mut alerts, findings),
            cron: RawCron::read(top.block("cron", findings), &mut alerts, findings),
            delivery: RawDelivery::read(top.block("delivery", findings), &mut alerts, findings),
            alerts,
            agents: RawAgents::read(top.block("agents", findings), findings),
            providers: models::read(top.block("models", findings), findings),
            servers: mcp::read(top.block("mcp", findings), findings),
            channels: channels::read(top.entries("channels", findings), findings),
            hooks: RawHooks::read(top.block("hooks", findings), findings),
            store_path: read_store(top.block("store", findings), findings),
        };
        top.finish(findings);
        raw
    }
}

impl RawGateway {
    fn read(mut block: Block<'_>, alerts: &mut RawAlerts, findings: &mut Findings) -> Self {
        alerts.public_url = block.key(&alerts::PUBLIC_URL, findings);
        let mut auth = block.block("auth", findings);
        let raw = Self {
            port: block.key(&keys::GATEWAY_PORT, findings),
            bind: block.key(&keys::GATEWAY_BIND, findings),
            auth_mode: auth.key(&keys::GATEWAY_AUTH_MODE, findings),
            auth_token: auth.key(&keys::GATEWAY_AUTH_TOKEN, findings),
        };
        auth.finish(findings);
        block.finish(findings);
        raw
    }
}

impl RawCron {
    fn read(mut block: Block<'_>, alerts: &mut RawAlerts, findings: &mut Findings) -> Self {
        alerts.alert = block.key(&alerts::ALERT, findings);
        alerts.failure_destination = block.key(&alerts::FAILURE_DESTINATION, findings);
        alerts.drill = block.key(&alerts::DRILL, findings);
        let mut policy = block.block("webhookSsrfPolicy", findings);
        let mut catch_up = block.block("catchUp", findings);
        let mut failures = block.block("failures", findings);
        let mut budget = block.block("budget", findings);
        let raw = Self {
            enabled: block.key(&keys::CRON_ENABLED, findings),
            max_concurrent_runs: block.key(&keys::CRON_MAX_CONCURRENT_RUNS, findings),
            webhook_token: block.key(&keys::CRON_WEBHOOK_TOKEN, findings),
            allowed_hostnames: policy.key(&keys::CRON_ALLOWED_HOSTNAMES, findings),
            shutdown_grace: block.key(&keys::CRON_SHUTDOWN_GRACE, findings),
            skip_missed_jobs: block.key(&keys::CRON_SKIP_MISSED_JOBS, findings),
            misfire: RawMisfire::read(block.block("misfire", findings), findings),
            overlap: block.key(&keys::CRON_OVERLAP, findings),
            max_hops: block.key(&keys::CRON_MAX_HOPS, findings),
            hooks: RawJobHooks::read(block.block("hooks", findings), findings),
            catch_up_at_once: catch_up.key(&keys::CRON_CATCH_UP_AT_ONCE, findings),
            catch_up_every: catch_up.key(&keys::CRON_CATCH_UP_EVERY, findings),
            disable_after: failures.key(&keys::CRON_FAILURES_DISABLE_AFTER, findings),
            retry: RawCronRetry::read(block.block("retry", findings), findings),
            watchdog: RawWatchdog::read(block.block("watchdog", findings), findings),
            usd_per_day: budget.key(&keys::CRON_BUDGET_USD_PER_DAY, findings),
            tokens_per_day: budget.key(&keys::CRON_BUDGET_TOKENS_PER_DAY, findings),
            retention: RawRetention::read(&mut block, findings),
        };
        budget.finish(findings);
        policy.finish(findings);
        catch_up.finish(findings);
        failures.finish(findings);
        block.finish(findings);
        raw
    }
}

impl RawRetention {
    fn read(cron: &mut Block<'_>, findings: &mut Findings) -> Self {
        let mut retention = cron.block("retention", findings);
        let mut run_log = cron.block("runLog", findings);
        let raw = Self {
            sessions: cron.key(&keys::CRON_SESSION_RETENTION, findings),
            max_age: retention.key(&keys::CRON_RETENTION_MAX_AGE, findings),
            runs_per_job: retention.key(&keys::CRON_RETENTION_RUNS_PER_JOB, findings),
            max_bytes: retention.key(&keys::CRON_RETENTION_MAX_BYTES, findings),
            keep_lines: run_log.key(&keys::CRON_RUN_LOG_KEEP_LINES, findings),
        };
        retention.finish(findings);
        run_log.finish(findings);
        raw
    }
}

impl RawMisfire {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let raw = Self {
            policy: block.key(&keys::CRON_MISFIRE_POLICY, findings),
            most: block.key(&keys::CRON_MISFIRE_MAX, findings),
            max_lateness: block.key(&keys::CRON_MISFIRE_MAX_LATENESS, findings),
        };
        block.finish(findings);
        raw
    }
}

impl RawCronRetry {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let raw = Self {
            max_attempts: block.key(&keys::CRON_RETRY_MAX_ATTEMPTS, findings),
            backoff_ms: block.key(&keys::CRON_RETRY_BACKOFF_MS, findings),
            retry_on: block.key(&keys::CRON_RETRY_RETRY_ON, findings),
        };
        block.finish(findings);
        raw
    }
}

impl RawWatchdog {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let raw = Self {
            grace: block.key(&keys::CRON_WATCHDOG_GRACE, findings),
            slot_grace: block.key(&keys::CRON_WATCHDOG_SLOT_GRACE, findings),
            ping_url: block.key(&keys::CRON_WATCHDOG_PING_URL, findings),
            ping_every: block.key(&keys::CRON_WATCHDOG_PING_EVERY, findings),
        };
        block.finish(findings);
        raw
    }
}

impl RawDelivery {
    fn read(mut block: Block<'_>, alerts: &mut RawAlerts, findings: &mut Findings) -> Self {
        alerts.one_click = block.key(&alerts::ONE_CLICK, findings);
        let raw = Self {
            retry_schedule: block.key(&keys::DELIVERY_RETRY_SCHEDULE, findings),
            retry_window: block.key(&keys::DELIVERY_RETRY_WINDOW, findings),
            client_error_tries: block.key(&keys::DELIVERY_CLIENT_ERROR_TRIES, findings),
            max_retry_after: block.key(&keys::DELIVERY_MAX_RETRY_AFTER, findings),
            signing_secret: block.key(&keys::DELIVERY_SIGNING_SECRET, findings),
            timeout: block.key(&keys::DELIVERY_TIMEOUT, findings),
            connect_timeout: block.key(&keys::DELIVERY_CONNECT_TIMEOUT, findings),
            max_concurrent: block.key(&keys::DELIVERY_MAX_CONCURRENT, findings),
            max_concurrent_per_destination: block
                .key(&keys::DELIVERY_MAX_CONCURRENT_PER_DESTINATION, findings),
            pause_after: block.key(&keys::DELIVERY_PAUSE_AFTER, findings),
            disable_after: block.key(&keys::DELIVERY_DISABLE_AFTER, findings),
            ports: block.key(&keys::DELIVERY_PORTS, findings),
            proxy: block.key(&keys::DELIVERY_PROXY, findings),
            proxy_credentials: block.key(&keys::DELIVERY_PROXY_CREDENTIALS, findings),
            destinations: block.key(&keys::DELIVERY_DESTINATIONS, findings),
        };
        block.finish(findings);
        raw
    }
}

fn read_store(mut block: Block<'_>, findings: &mut Findings) -> Option<Written<PathBuf>> {
    let path = block.key(&keys::STORE_PATH, findings);
    block.finish(findings);
    path
}
