//! The configuration: one JSON5 file with OpenClaw's block names, read strictly.
//!
//! The way of a file: `document` parses the text into a tree that knows every node's place; `raw` asks that tree for
//! each key that `keys` defines, whereby `block` tells whatever nobody asked for; `resolve` fills in the defaults,
//! fetches the secrets, lets the environment override, and checks the rules between keys. Each step notes what is
//! wrong and goes on, so that one look shows all of it (`problem`), with source lines that hide values (`excerpt`).
//!
//! Not guaranteed: that the values work, such as a store that can be written or a provider that answers.

mod agents;
mod alerts;
mod block;
mod channels;
mod destinations;
mod document;
mod environment;
mod excerpt;
mod hooks;
mod job_hooks;
mod keys;
mod mcp;
mod models;
mod openclaw;
mod problem;
mod raw;
mod resolve;
mod secret_map;
mod setting;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawhook_delivery::{Guard, GuardPolicy, PingUrl, Proxy};
use clawhook_engine::CatchUpPace;
use clawhook_inbound::HookSet;
use clawhook_model::{
    Budget, DestinationDefinition, DestinationName, FailureRules, Misfire, Overlap, RetryRules, SecretText,
};
use clawhook_store::Retention;

pub use agents::{ActiveHours, AgentConfig, AgentsConfig, HeartbeatConfig, HistoryConfig};
pub use alerts::AlertsConfig;
pub use channels::ChannelsConfig;
pub(crate) use environment::Environment;
pub use job_hooks::JobHooksConfig;
pub use mcp::{McpConfig, McpServerConfig, McpTransport};
pub use models::{
    AcpConfig, ChatApi, ModelConfig, ModelsConfig, PermissionRule, PermissionRules, ProviderApi,
    ProviderConfig,
};
pub use problem::{ConfigError, Problem};

/// The most that is read of a configuration file.
const LARGEST_FILE: usize = 1024 * 1024;

/// What the gateway is told to be: every default filled in, every secret at hand.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if it was.
    pub file: Option<PathBuf>,
    /// Where the gateway listens, and who may come in.
    pub gateway: GatewayConfig,
    /// How jobs are run.
    pub cron: CronConfig,
    /// How late things may be before that is an alarm.
    pub watchdog: WatchdogConfig,
    /// How trouble is told, and what is acknowledged.
    pub alerts: AlertsConfig,
    /// How results are sent.
    pub delivery: DeliveryConfig,
    /// Who runs jobs.
    pub agents: AgentsConfig,
    /// Who answers what the agents ask.
    pub models: ModelsConfig,
    /// Where the tools of the agents come from.
    pub mcp: McpConfig,
    /// By whom and where people are told.
    pub channels: ChannelsConfig,
    /// What requests from outside are taken and what they mean; none where hooks are off.
    pub hooks: Option<HookSet>,
    /// How many runs of all hooks go on at once.
    pub hook_slots: usize,
    /// Where everything is kept.
    pub store: StoreConfig,
    /// The directory of clawhook's own state: `CLAWHOOK_STATE_DIR`, or `.clawhook` in the home directory.
    pub state_dir: PathBuf,
}

/// `gateway`.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The TCP port; 0 lets the system choose.
    pub port: u16,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The token that clients present. An address that others can reach always has one.
    pub token: Option<SecretText>,
}

impl GatewayConfig {
    /// Address and port together.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }
}

/// `cron`.
#[derive(Debug, Clone)]
pub struct CronConfig {
    /// Whether jobs run when they are due.
    pub enabled: bool,
    /// How many runs go on at a time.
    pub max_concurrent_runs: usize,
    /// The bearer token that is sent to webhooks.
    pub webhook_token: Option<SecretText>,
    /// Hosts that webhooks may reach although they are private; names in lower case, IPv6 without brackets.
    pub allowed_hostnames: Vec<String>,
    /// How long runs may go on after the gateway was told to stop.
    pub shutdown_grace: Duration,
    /// What becomes of instants at which nobody was there, where a job does not say.
    pub misfire: Misfire,
    /// What becomes of instants while a run is not over, where a job does not say.
    pub overlap: Overlap,
    /// How many hops work may be away from its beginning.
    pub max_hops: u32,
    /// What else happens around the runs of many jobs.
    pub hooks: JobHooksConfig,
    /// How what was missed is caught up.
    pub catch_up: CatchUpPace,
    /// What follows from failures.
    pub failure: FailureRules,
    /// How long what has happened is kept.
    pub retention: RetentionConfig,
    /// How much all jobs together may spend in a day.
    pub budget: Budget,
}

/// `cron.sessionRetention` and `cron.retention`; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// How long the session of an isolated run is kept.
    pub sessions: Option<Duration>,
    /// How long runs are kept, with their events and deliveries.
    pub max_age: Option<Duration>,
    /// How many runs of one job are kept.
    pub runs_per_job: Option<u32>,
    /// How many bytes the store may hold.
    pub max_bytes: Option<u64>,
}

impl From<RetentionConfig> for Retention {
    fn from(config: RetentionConfig) -> Self {
        let RetentionConfig { sessions, max_age, runs_per_job, max_bytes } = config;
        Self { session_max_age: sessions, history_max_age: max_age, runs_per_job, max_bytes }
    }
}

impl CronConfig {
    /// The guard that allows these hosts, and these ports beside the usual ones.
    fn guard(&self, ports: &[u16]) -> Guard {
        Guard::new(GuardPolicy { allowed_hosts: self.allowed_hostnames.clone(), ports: ports.to_vec() })
    }
}

impl Config {
    /// A path of the configuration. What it leaves in its own state directory follows the one that was named.
    pub(crate) fn within_state(&self, path: &Path, state_dir: &Path) -> PathBuf {
        match path.strip_prefix(&self.state_dir) {
            Ok(within) => state_dir.join(within),
            Err(_) => path.to_owned(),
        }
    }

    /// The guard that allows what is configured.
    pub fn guard(&self) -> Guard {
        self.cron.guard(&self.delivery.ports)
    }
}

/// `cron.watchdog`.
#[derive(Debug, Clone)]
pub struct WatchdogConfig {
    /// How long after it was due an instant may have no record.
    pub grace: Duration,
    /// How long a run that could begin may wait for a slot.
    pub slot_grace: Duration,
    /// Who is told that the gateway is well.
    pub ping: Option<PingConfig>,
}

/// Who is told that the gateway is well.
#[derive(Debug, Clone)]
pub struct PingConfig {
    /// Where the ping goes.
    pub url: PingUrl,
    /// How often.
    pub every: Duration,
}

/// `delivery`.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// When a delivery that failed is tried again.
    pub retry: RetryRules,
    /// The secret that webhooks are signed with.
    pub signing_secret: Option<SecretText>,
    /// The time of one whole attempt.
    pub timeout: Duration,
    /// The time to connect, never more than `timeout`.
    pub connect_timeout: Duration,
    /// How many attempts go on at a time.
    pub max_concurrent: usize,
    /// How many of them go to one destination that has no limit of its own.
    pub max_concurrent_per_destination: usize,
    /// How long a destination may fail before it is paused.
    pub pause_after: Duration,
    /// How long a destination may fail before it is disabled.
    pub disable_after: Duration,
    /// Ports that webhooks may go to beside 443 and 80.
    pub ports: Vec<u16>,
    /// The proxy that every webhook goes through.
    pub proxy: Option<Proxy>,
    /// The destinations that are declared.
    pub destinations: BTreeMap<DestinationName, DestinationDefinition>,
}

/// `store`.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
}

impl Config {
    /// Reads a file, with the variables of this process.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &|name| std::env::var(name).ok())
    }

    /// Reads a file. Variables are asked of `env`.
    pub fn load_with(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |reason| ConfigError::Unreadable { file: name.clone(), reason };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > LARGEST_FILE {
            return Err(ConfigError::TooLarge { file: name, most: LARGEST_FILE });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()))
        })?;
        Self::parse(&text, &name, env)
    }

    /// Reads a text that stands for the file `name`: messages show that name, and relative paths start beside it.
    /// Variables are asked of `env`.
    pub fn parse(text: &str, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        if text.len() > LARGEST_FILE {
            return Err(ConfigError::TooLarge { file: name.to_owned(), most: LARGEST_FILE });
        }
        // Some editors begin a file with a byte order mark, which is no part of its text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let environment = Environment::of(name, env);
        let mut findings = problem::Findings::default();
        let config = document::parse(text, &mut findings).map(|file| {
            let raw = raw::RawConfig::read(&file, &mut findings);
            resolve::resolve(raw, &environment, &mut findings)
        });
        match config {
            Some(config) if findings.is_empty() => Ok(config),
            _ => Err(findings.into_error(name, text)),
        }
    }

    /// The configuration of a gateway without a file: defaults, and what `env` says.
    pub fn without_file(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Self::parse("{}", "", env)
    }

    /// The table of every key with its value, default and meaning, in Markdown.
    pub fn reference() -> String {
        keys::reference()
    }

    /// Where the file is looked for when nobody says: `CLAWHOOK_CONFIG_PATH`, or `clawhook.json5` in the state directory.
    pub fn default_path(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
        let environment = Environment::of("", env);
        match environment.setting(environment::CONFIG_PATH) {
            Some(path) => PathBuf::from(path),
            None => environment.state_dir().join("clawhook.json5"),
        }
    }
}

impl Default for Config {
    /// The defaults alone, whatever the environment says; the state lies in `.clawhook` of the working directory.
    fn default() -> Self {
        let environment = Environment::of("", &|_| None);
        resolve::resolve(raw::RawConfig::default(), &environment, &mut problem::Findings::default())
    }
}
