//! How the gateway is, as answers show it.

use clawhook_engine::Alarm;
use clawhook_model::UnixMs;
use serde::Serialize;
use utoipa::ToSchema;

use crate::verbs::Status;

/// How the gateway is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
pub(crate) struct StatusView {
    /// Its version.
    version: &'static str,
    /// Its process.
    pid: u32,
    /// When it started.
    started_at_ms: i64,
    /// How long it has been running.
    uptime_ms: u64,
    /// Where clients reach it.
    url: String,
    /// Where its state lies.
    state_dir: String,
    /// Whether nothing keeps it from its work.
    healthy: bool,
    /// What is wrong, one sentence each.
    problems: Vec<String>,
    /// What is wrong by the clock; `problems` tells it as well.
    alarms: Vec<AlarmView>,
    /// What asks for the operator and keeps the gateway from nothing, one sentence each: a destination that is halted
    /// while deliveries wait for it.
    warnings: Vec<String>,
    /// The schedule.
    cron: CronStatus,
    /// The jobs.
    jobs: JobsStatus,
    /// The runs.
    runs: RunsStatus,
    /// The deliveries.
    deliveries: DeliveriesStatus,
    /// The replays.
    replays: ReplaysStatus,
    /// The store.
    store: StoreStatus,
}

/// Something that is wrong by the clock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Alarm)]
pub(crate) struct AlarmView {
    /// What: `overdue`, `slots`, `timer-silent`, `store` or `task-panicked`.
    alarm: &'static str,
    /// Since when.
    since_ms: i64,
    /// What, in a sentence.
    detail: String,
}

/// The schedule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CronStatus {
    /// Whether jobs run when they are due.
    enabled: bool,
    /// How many jobs, since the start, were found to wait for another instant than their schedule says, and were mended.
    schedules_corrected: u64,
}

/// The jobs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobsStatus {
    /// All of them.
    total: u64,
    /// Those that their owners have enabled.
    enabled: u64,
    /// Those, of the enabled ones, that the gateway has switched off after failures.
    switched_off: u64,
    /// When the next one is due; null where none is.
    #[schema(required = true)]
    next_run_at_ms: Option<i64>,
}

/// The runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunsStatus {
    /// Those that wait for a slot.
    queued: u64,
    /// Those that are under way.
    running: u64,
    /// How many can be under way at once.
    slots: usize,
}

/// The deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveriesStatus {
    /// Those that wait or are being tried.
    open: u64,
    /// Those, of the open ones, that wait for a destination which is paused or disabled.
    halted: u64,
    /// Those that were given up.
    dead: u64,
    /// Those that were given up, by the side on which the cause lies.
    dead_by_cause: DeadByCause,
    /// When the longest overdue one was due; null where none is overdue.
    #[schema(required = true)]
    oldest_due_at_ms: Option<i64>,
}

/// The deliveries that were given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadByCause {
    /// The receiver could not be reached, failed or refused.
    receiver: u64,
    /// What is configured cannot work.
    configuration: u64,
    /// The gateway itself.
    gateway: u64,
}

/// The replays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplaysStatus {
    /// Those that go on.
    running: u64,
}

/// The store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreStatus {
    /// Its file.
    path: String,
    /// The fault of its last write, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl From<Alarm> for AlarmView {
    fn from(Alarm { kind, since, detail }: Alarm) -> Self {
        Self { alarm: kind.as_str(), since_ms: since.as_millis(), detail }
    }
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        let Status { facts, uptime, problems, alarms, schedules_corrected, warnings, store_fault, counts } =
            status;
        let dead = counts.deliveries_dead;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started_at_ms: facts.started_at.as_millis(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            url: facts.url,
            state_dir: facts.state_dir.display().to_string(),
            healthy: problems.is_empty(),
            problems,
            alarms: alarms.into_iter().map(AlarmView::from).collect(),
            warnings,
            cron: CronStatus { enabled: facts.cron_enabled, schedules_corrected },
            jobs: JobsStatus {
                total: counts.jobs,
                enabled: counts.jobs_enabled,
                switched_off: counts.jobs_switched_off,
                next_run_at_ms: counts.next_run_at.map(UnixMs::as_millis),
            },
            runs: RunsStatus { queued: counts.runs_queued, running: counts.runs_running, slots: facts.slots },
            deliveries: DeliveriesStatus {
                open: counts.deliveries_open,
                halted: counts.deliveries_halted,
                dead: dead.total(),
                dead_by_cause: DeadByCause {
                    receiver: dead.receiver,
                    configuration: dead.configuration,
                    gateway: dead.gateway,
                },
                oldest_due_at_ms: counts.oldest_due_delivery_at.map(UnixMs::as_millis),
            },
            replays: ReplaysStatus { running: counts.replays_running },
            store: StoreStatus {
                path: facts.store_path.display().to_string(),
                fault: store_fault.map(|fault| fault.to_string()),
            },
        }
    }
}
