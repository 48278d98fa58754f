//! The wiring: from a configuration to a gateway that serves.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use clawhook_agent::{Agents, ModelRef};
use clawhook_clock::Clock;
use clawhook_delivery::{
    Accounts, AckLinks, DeliveryOptions, DeliveryService, Guard, SecretError, SecretReader, SigningKeyPair,
    SigningSecret, Transport, TransportOptions, UnsendableToken,
};
use clawhook_engine::{
    ActiveHours, Alarms, Asker, Audit, AuditOptions, Drill, Engine, EngineOptions, HeartbeatOptions,
    HookRunner, Reaper, ReaperOptions, Replayer, Watchdog, WatchdogOptions, WebhookCalls,
};
use clawhook_model::{AgentId, UnixMs};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{Store, StoreError};
use jiff::tz::TimeZone;
use secrecy::ExposeSecret as _;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::agents::agent_options;
use crate::config::{AgentsConfig, Config, DeliveryConfig, HeartbeatConfig};
use crate::declarations::{NotDeclared, declare};
use crate::hooks::Hooks;
use crate::http::{ApiToken, Door, Listener, SigningKeyList, router, serve};
use crate::pinger::{PingReport, Pinger};
use crate::secrets::Secrets;
use crate::state_dir::{Announcement, StateDir, StateDirError};
use crate::supervisor::{Part, Supervisor};
use crate::verbs::{Facts, VerbOptions, Verbs};
use crate::webhook_calls::ByDelivery;

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The configuration.
    pub config: Config,
    /// Where the state is kept.
    pub state_dir: PathBuf,
    /// The address to listen on, where it is not the configuration's.
    pub bind: Option<IpAddr>,
    /// The port to listen on, where it is not the configuration's; 0 takes a free one.
    pub port: Option<u16>,
}

/// A gateway that is ready: its store is open, its address is bound, and clients can find it.
pub struct Gateway {
    listener: Listener,
    router: Router,
    engine: Engine,
    delivery: DeliveryService,
    replayer: Replayer,
    reaper: Reaper,
    asker: Asker,
    drill: Option<Drill>,
    hook_runner: HookRunner,
    watch: Watch,
    url: String,
    // The order is the order of dropping: clients are told no more of this gateway before another can have the store.
    announcement: Announcement,
    store: Arc<dyn Store>,
    /// Cancelled when the gateway takes no more work.
    stopping: CancellationToken,
}

/// What sees to it that nothing fails silently.
struct Watch {
    supervisor: Supervisor,
    alarms: Alarms,
    clock: Arc<dyn Clock>,
    watchdog: Watchdog,
    audit: Audit,
    pinger: Option<Pinger>,
}

/// Why a gateway did not start.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct StartError(#[from] Refusal);

/// Why a gateway that ran came to its end unasked.
#[derive(Debug, Error)]
#[error("the gateway's {0} ended by itself; nothing that was accepted is lost")]
pub struct RunError(&'static str);

#[derive(Debug, Error)]
enum Refusal {
    #[error(
        "the gateway would listen on {0}, which others can reach, with no token of its operator's choice"
    )]
    OpenToOthers(IpAddr),
    #[error(transparent)]
    State(#[from] StateDirError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the task that opens the store did not end: {0}")]
    Opening(tokio::task::JoinError),
    #[error("a declared destination cannot be stored: {0}")]
    Declaring(#[from] NotDeclared),
    #[error("`delivery.signingSecret`: {0}")]
    SigningSecret(SecretError),
    #[error(transparent)]
    WebhookToken(#[from] UnsendableToken),
    #[error("the workspace `{}` cannot be made: {error}", .path.display())]
    Workspace { path: PathBuf, error: io::Error },
    #[error("the address {address} is in use by another program")]
    AddressInUse { address: SocketAddr },
    #[error("the gateway cannot listen on {address}: {error}")]
    Bind { address: SocketAddr, error: io::Error },
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.0 {
            Refusal::OpenToOthers(_) => {
                "set `gateway.auth.token` in the configuration, or listen on 127.0.0.1".to_owned()
            }
            Refusal::State(error) => error.hint(),
            Refusal::Store(error) => error.hint().to_owned(),
            Refusal::Opening(_) => "please report it".to_owned(),
            Refusal::Declaring(NotDeclared::Store(error)) => error.hint().to_owned(),
            Refusal::Declaring(NotDeclared::Seal(_)) => "this machine is not fit to make secrets".to_owned(),
            Refusal::SigningSecret(_) => {
                "leave `delivery.signingSecret` out to have one made and kept in the state directory"
                    .to_owned()
            }
            Refusal::WebhookToken(_) => "write `cron.webhookToken` in visible ASCII characters".to_owned(),
            Refusal::Workspace { .. } => {
                "make it possible to write in the state directory, or name another folder as the agent's `workspace`"
                    .to_owned()
            }
            Refusal::AddressInUse { address } => format!(
                "see whether a gateway runs already (`clawhook status`), or choose another port than {}",
                address.port()
            ),
            Refusal::Bind { .. } => {
                "choose an address of this machine, and a port that this user may listen on".to_owned()
            }
        }
    }
}

impl Gateway {
    /// Opens everything that a gateway needs. It serves nobody before [`Gateway::run`].
    pub async fn start(options: GatewayOptions, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        // It holds everything that a gateway is made of, which is too much for a stack.
        Ok(Box::pin(Self::open(options, clock)).await?)
    }

    async fn open(options: GatewayOptions, clock: Arc<dyn Clock>) -> Result<Self, Refusal> {
        let GatewayOptions { config, state_dir, bind, port } = options;
        let address =
            SocketAddr::new(bind.unwrap_or(config.gateway.bind), port.unwrap_or(config.gateway.port));
        if !address.ip().is_loopback() && config.gateway.token.is_none() {
            return Err(Refusal::OpenToOthers(address.ip()));
        }
        let store_path = config.within_state(&config.store.path, &state_dir);
        let state = StateDir::open(state_dir)?;
        let started_at = clock.now();
        let store = open_store(store_path.clone(), started_at).await?;
        let token = api_token(&config, &state)?;
        let signing_secret = signing_secret(&config.delivery, &state)?;
        let signing_key = state.signing_key()?;
        let signing_keys = Arc::new(SigningKeyList::of(&signing_key.public()));
        let secrets = Secrets::of(&state)?;
        let ack_key = state.ack_key()?;
        store.set_alerts(config.alerts.alerts.clone());
        let listener = bind_to(address).await?;
        let url = client_url(listener.address());
        let stopping = CancellationToken::new();
        let public_url = config.alerts.public_url.clone().unwrap_or_else(|| url.clone());
        let ack_links = AckLinks::new(public_url, ack_key.expose_secret().as_bytes());

        let guard = config.guard();
        let declared = config.delivery.destinations.clone();
        let file = config.file.as_deref();
        let declarations = declare(&store, secrets.sealer(), declared, file, started_at).await?;
        let sealer = secrets.sealer().clone();
        let keys = (signing_secret.clone(), signing_key.clone());
        let means = Means { keys, secrets: Arc::new(secrets), ack_links: ack_links.clone() };
        let delivery = delivery(&config, (&store, &clock), &guard, means)?;
        let replayer = Replayer::new(Arc::clone(&store), Arc::clone(&clock));
        make_workspaces(&config, state.path())?;
        let reaper_options =
            ReaperOptions { retention: config.cron.retention.into(), ..ReaperOptions::default() };
        let (reaper, reaper_handle) = Reaper::new(Arc::clone(&store), Arc::clone(&clock), reaper_options);
        let agents = Agents::new(agent_options(&config, state.path()), Arc::clone(&clock));
        let host_zone = host_zone();
        let engine_options = EngineOptions {
            max_concurrent_runs: config.cron.max_concurrent_runs,
            max_concurrent_hook_runs: config.hook_slots,
            run_jobs_on_schedule: config.cron.enabled,
            shutdown_grace: config.cron.shutdown_grace,
            misfire: config.cron.misfire,
            overlap: config.cron.overlap,
            catch_up: config.cron.catch_up,
            failure: config.cron.failure.clone(),
            budget: config.cron.budget,
            history: (config.agents.history.entries, config.agents.history.bytes),
            turn_limits: config
                .agents
                .entries
                .iter()
                .map(|(id, agent)| (id.clone(), agent.time_limit))
                .collect(),
            heartbeats: heartbeats(&config.agents, &host_zone),
            instance: state.instance()?,
            max_hops: config.cron.max_hops,
            hooks: config.cron.hooks.hooks.clone(),
            hooks_at_once: config.cron.hooks.at_once,
            webhooks: WebhookCalls::by(Arc::new(ByDelivery(delivery.handle()))),
            routes: config.channels.routes.clone(),
            ..EngineOptions::default()
        };
        let (engine, handle) = Engine::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::new(agents.clone()),
            host_zone.clone(),
            engine_options,
        );
        let hook_runner = HookRunner::new(&handle);
        let alarms = Alarms::default();
        let asker = Asker::new(Arc::clone(&store), Arc::clone(&clock), host_zone.clone());
        let drill = config
            .alerts
            .drill
            .clone()
            .map(|options| Drill::new(Arc::clone(&store), Arc::clone(&clock), alarms.clone(), options));
        let watchdog_options =
            WatchdogOptions { grace: config.watchdog.grace, slot_grace: config.watchdog.slot_grace };
        let (watchdog, watchdog_handle) = Watchdog::new(&handle, alarms.clone(), watchdog_options);
        let audit = Audit::new(&handle, AuditOptions::default());
        let ping_report = PingReport::default();
        let pinger = config.watchdog.ping.map(|ping| {
            let (clock, report) = (Arc::clone(&clock), ping_report.clone());
            Pinger::new(ping, delivery.handle(), watchdog_handle.clone(), clock, report)
        });
        let supervisor = Supervisor::new(alarms.clone(), Arc::clone(&clock));
        let watch =
            Watch { supervisor, alarms, clock: Arc::clone(&clock), watchdog, audit: audit.clone(), pinger };
        let facts = Facts {
            url: url.clone(),
            started_at,
            state_dir: state.path().to_owned(),
            store_path,
            cron_enabled: config.cron.enabled,
            slots: config.cron.max_concurrent_runs,
        };
        let verbs = Verbs::new(VerbOptions {
            store: Arc::clone(&store),
            engine: handle,
            watchdog: watchdog_handle,
            audit,
            reaper: reaper_handle,
            ping_report,
            delivery: delivery.handle(),
            sealer,
            signing_secret,
            signing_key,
            declarations,
            guard,
            hooks: config.hooks.clone().map(Hooks::new),
            channels: config.channels,
            agents,
            alerts: config.alerts.clone(),
            ack_links,
            clock,
            host_zone,
            facts,
            stopping: stopping.clone(),
        });
        if let Err(error) = verbs.keep_heartbeats(config.agents.entries.keys()).await {
            tracing::error!(%error, "the heartbeats cannot be brought up to date; they stay as they were");
        }
        if let Err(error) = verbs.keep_hooks().await {
            tracing::error!(%error, "the hooks cannot be brought up to date; they stay as they were");
        }
        let announcement = state.announce(&url, started_at)?;
        let router = router(Door { verbs, token, signing_keys });
        Ok(Self {
            listener,
            router,
            engine,
            delivery,
            replayer,
            reaper,
            asker,
            drill,
            hook_runner,
            watch,
            url,
            announcement,
            store,
            stopping,
        })
    }

    /// Where clients of this machine reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `shutdown`. Then nothing more is taken on; runs under way may end within their grace, requests
    /// are answered, deliveries under way are settled, and the store is closed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self {
            listener,
            router,
            engine,
            delivery,
            replayer,
            reaper,
            asker,
            drill,
            hook_runner,
            watch,
            url,
            announcement,
            store,
            stopping,
        } = self;
        tracing::info!(%url, "the gateway is ready");
        // Results of the last runs are still sent, so deliveries stop last.
        let stop_sending = CancellationToken::new();
        let Watch { supervisor, alarms, clock, watchdog, audit, pinger } = watch;
        let stop = || stopping.clone();
        let (told_by, told_at) = (Arc::clone(&store), clock);
        let mut parts = vec![
            supervisor.begin("engine", stop(), move |stop| engine.clone().run(stop)),
            supervisor.begin("replayer", stop(), move |stop| replayer.clone().run(stop)),
            supervisor.begin("reaper", stop(), move |stop| reaper.clone().run(stop)),
            supervisor.begin("asker", stop(), move |stop| asker.clone().run(stop)),
            supervisor.begin("hooks", stop(), move |stop| hook_runner.clone().run(stop)),
            supervisor.begin("watchdog", stop(), move |stop| watchdog.clone().run(stop)),
            supervisor.begin("schedules' audit", stop(), move |stop| audit.clone().run(stop)),
            supervisor.begin("teller of alarms", stop(), move |stop| {
                alarms.clone().tell(Arc::clone(&told_by), Arc::clone(&told_at), stop)
            }),
            Part::begin("door", serve(listener, router, stop())),
        ];
        if let Some(pinger) = pinger {
            parts.push(supervisor.begin("pinger", stop(), move |stop| pinger.clone().run(stop)));
        }
        let sending = supervisor
            .begin("delivery service", stop_sending.clone(), move |stop| delivery.clone().run(stop));
        if let Some(drill) = drill {
            parts.push(supervisor.begin("drill", stop(), move |stop| drill.clone().run(stop)));
        }
        let ended_early = tokio::select! {
            () = shutdown.cancelled() => None,
            name = Part::first_over(parts.iter().chain([&sending])) => Some(name),
        };
        tracing::info!("the gateway is stopping");
        stopping.cancel();
        let mut broke = ended_early;
        for part in parts {
            broke = broke.or(part.end().await);
        }
        stop_sending.cancel();
        broke = broke.or(sending.end().await);
        drop(announcement);
        drop(store);
        broke.map_or(Ok(()), |name| Err(RunError(name)))
    }
}

async fn open_store(path: PathBuf, now: UnixMs) -> Result<Arc<dyn Store>, Refusal> {
    let holder = format!("process {}, since {now}", std::process::id());
    let open = move || SqliteStore::open(&path, &holder, now);
    Ok(Arc::new(tokio::task::spawn_blocking(open).await.map_err(Refusal::Opening)??))
}

/// Makes the folders of agents for which the configuration names none.
fn make_workspaces(config: &Config, state_dir: &Path) -> Result<(), Refusal> {
    let unnamed = config.agents.entries.values().filter(|agent| !agent.workspace_is_named());
    for agent in unnamed {
        let path = config.within_state(&agent.workspace, state_dir);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| Refusal::Workspace { path, error })?;
    }
    Ok(())
}

fn api_token(config: &Config, state: &StateDir) -> Result<ApiToken, StateDirError> {
    Ok(match &config.gateway.token {
        Some(token) => ApiToken::new(token.as_secret_string(), "`gateway.auth.token` of its configuration"),
        None => {
            ApiToken::new(&state.token()?, format!("in `{}` on its machine", state.token_path().display()))
        }
    })
}

fn signing_secret(config: &DeliveryConfig, state: &StateDir) -> Result<SigningSecret, Refusal> {
    match &config.signing_secret {
        Some(secret) => SigningSecret::parse(secret.expose()).map_err(Refusal::SigningSecret),
        None => Ok(state.signing_secret()?),
    }
}

async fn bind_to(address: SocketAddr) -> Result<Listener, Refusal> {
    Listener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Refusal::AddressInUse { address },
        _ => Refusal::Bind { address, error },
    })
}

/// The address that a client of this machine uses; one that means every address is reached by the loopback.
fn client_url(bound: SocketAddr) -> String {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// What deliveries are signed with.
struct Means {
    keys: (SigningSecret, SigningKeyPair),
    secrets: Arc<dyn SecretReader>,
    ack_links: AckLinks,
}

fn delivery(
    config: &Config,
    (store, clock): (&Arc<dyn Store>, &Arc<dyn Clock>),
    guard: &Guard,
    means: Means,
) -> Result<DeliveryService, UnsendableToken> {
    let Means { keys: (signing_secret, signing_key), secrets, ack_links } = means;
    let settings = &config.delivery;
    let transport_options = TransportOptions {
        connect_timeout: settings.connect_timeout,
        total_timeout: settings.timeout,
        proxy: settings.proxy.clone(),
        ..TransportOptions::default()
    };
    let options = DeliveryOptions {
        retry: settings.retry.clone(),
        signing_secret,
        signing_key,
        bearer_token: config.cron.webhook_token.as_ref().map(|token| token.as_secret_string().clone()),
        max_concurrent: settings.max_concurrent,
        max_concurrent_per_destination: settings.max_concurrent_per_destination,
        pause_after: settings.pause_after,
        disable_after: settings.disable_after,
        ack_links,
    };
    let transport = Transport::new(transport_options, guard.clone());
    let channels = config.channels.clone();
    let accounts = Accounts { accounts: channels.accounts, routes: channels.routes };
    DeliveryService::with_accounts(
        Arc::clone(store),
        Arc::clone(clock),
        transport,
        secrets,
        options,
        accounts,
    )
}

/// The heartbeats of the agents that have one.
fn heartbeats(agents: &AgentsConfig, host_zone: &TimeZone) -> BTreeMap<AgentId, HeartbeatOptions> {
    let beating = agents.entries.iter().filter_map(|(id, agent)| Some((id, agent.heartbeat.as_ref()?)));
    let options = |heartbeat: &HeartbeatConfig| HeartbeatOptions {
        every: heartbeat.every,
        active: heartbeat.active_hours.as_ref().map(|hours| ActiveHours {
            start: hours.start,
            end: hours.end,
            zone: hours.zone.clone().unwrap_or_else(|| host_zone.clone()),
        }),
        prompt: heartbeat.prompt.clone(),
        model: heartbeat.model.as_ref().map(ModelRef::to_string),
    };
    beating.map(|(id, heartbeat)| (id.clone(), options(heartbeat))).collect()
}

/// The zone of this machine, in which cron expressions without a zone are read.
fn host_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or_else(|error| {
        tracing::warn!(%error, "this machine's time zone cannot be told; cron expressions without a zone are read in UTC");
        TimeZone::UTC
    })
}
