//! How the gateway is doing, as the commands read it.

use clawhook_model::UnixMs;
use serde::Deserialize;
use serde_json::Value;

/// How the gateway is doing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusView {
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) pid: Option<u64>,
    #[serde(default)]
    pub(crate) uptime_ms: u64,
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) state_dir: String,
    pub(crate) healthy: bool,
    #[serde(default)]
    pub(crate) problems: Vec<String>,
    #[serde(default)]
    pub(crate) alarms: Vec<AlarmView>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    #[serde(default)]
    pub(crate) cron: CronStatus,
    #[serde(default)]
    pub(crate) jobs: JobsStatus,
    #[serde(default)]
    pub(crate) runs: RunsStatus,
    #[serde(default)]
    pub(crate) deliveries: DeliveriesStatus,
    #[serde(default)]
    pub(crate) replays: ReplaysStatus,
    #[serde(default)]
    pub(crate) store: StoreStatus,
}

/// Something that is wrong by the clock.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlarmView {
    pub(crate) alarm: String,
    pub(crate) since_ms: UnixMs,
}

/// Whether jobs are run on schedule.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CronStatus {
    #[serde(default)]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) schedules_corrected: u64,
}

/// How many jobs there are.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobsStatus {
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default)]
    pub(crate) enabled: u64,
    #[serde(default)]
    pub(crate) next_run_at_ms: Option<UnixMs>,
}

/// What is running.
#[derive(Deserialize, Default)]
pub(crate) struct RunsStatus {
    #[serde(default)]
    pub(crate) queued: u64,
    #[serde(default)]
    pub(crate) running: u64,
    #[serde(default)]
    pub(crate) slots: u64,
}

/// What waits to be delivered.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveriesStatus {
    #[serde(default)]
    pub(crate) open: u64,
    #[serde(default)]
    pub(crate) halted: u64,
    #[serde(default)]
    pub(crate) dead: u64,
    #[serde(default)]
    pub(crate) dead_by_cause: DeadByCause,
    #[serde(default)]
    pub(crate) oldest_due_at_ms: Option<UnixMs>,
}

/// What was given up, by the side on which the cause lies.
#[derive(Deserialize, Default)]
pub(crate) struct DeadByCause {
    #[serde(default)]
    pub(crate) receiver: u64,
    #[serde(default)]
    pub(crate) configuration: u64,
    #[serde(default)]
    pub(crate) gateway: u64,
}

/// What is sent once more.
#[derive(Deserialize, Default)]
pub(crate) struct ReplaysStatus {
    #[serde(default)]
    pub(crate) running: u64,
}

/// Where everything is kept.
#[derive(Deserialize, Default)]
pub(crate) struct StoreStatus {
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) fault: Option<Value>,
}
