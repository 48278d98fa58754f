//! A job, as the commands read it.

use clawhook_model::{JobId, Schedule, UnixMs};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{BudgetTodayView, ForecastView};

/// A job.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) schedule: Value,
    #[serde(default)]
    pub(crate) session_target: String,
    #[serde(default)]
    pub(crate) session_key: Option<String>,
    #[serde(default)]
    pub(crate) output_schema: Option<Value>,
    #[serde(default)]
    pub(crate) budget: Map<String, Value>,
    #[serde(default)]
    pub(crate) cleanup: Option<String>,
    #[serde(default)]
    pub(crate) hooks: Map<String, Value>,
    #[serde(default)]
    pub(crate) after: Vec<Value>,
    #[serde(default)]
    pub(crate) budget_today: Option<BudgetTodayView>,
    #[serde(default)]
    pub(crate) forecast: Option<ForecastView>,
    #[serde(default)]
    pub(crate) effective_agent_id: Option<String>,
    #[serde(default)]
    pub(crate) payload: Value,
    #[serde(default)]
    pub(crate) delivery_preview: Option<DeliveryPreview>,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) next_run_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) last_run_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) last_run_status: Option<String>,
    #[serde(default)]
    pub(crate) last_completion_status: Option<String>,
    #[serde(default)]
    pub(crate) last_run_error: Option<String>,
    #[serde(default)]
    pub(crate) last_delivery_status: Option<String>,
    #[serde(default)]
    pub(crate) last_delivery_error: Option<String>,
    #[serde(default)]
    pub(crate) delivery_suppression_reason: Option<String>,
    #[serde(default)]
    pub(crate) failure_alert: Value,
    #[serde(default)]
    pub(crate) last_failure_notification_delivery_status: Option<String>,
    #[serde(default)]
    pub(crate) last_failure_notification_delivery_error: Option<String>,
    #[serde(default)]
    pub(crate) config_revision: Option<String>,
    #[serde(default)]
    pub(crate) upcoming: Vec<String>,
    #[serde(default)]
    pub(crate) host_time_zone: Option<String>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) state: JobStateView,
    /// What holds for it; absent in lists.
    #[serde(default)]
    pub(crate) effective: Map<String, Value>,
}

/// What the gateway keeps of a job.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobStateView {
    #[serde(default)]
    pub(crate) runs_running: u32,
    #[serde(default)]
    pub(crate) runs_waiting: u32,
    #[serde(default)]
    pub(crate) consecutive_errors: u32,
    pub(crate) backoff_until_ms: Option<UnixMs>,
    pub(crate) auto_disabled: Option<AutoDisabledView>,
}

/// Why and when a job was switched off by the gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AutoDisabledView {
    #[serde(default)]
    pub(crate) reason: String,
    pub(crate) at_ms: UnixMs,
    #[serde(default)]
    pub(crate) consecutive_errors: u32,
    pub(crate) detail: Option<String>,
}

impl AutoDisabledView {
    /// Why it was switched off, in a line.
    pub(crate) fn text(&self) -> String {
        let why = match self.reason.as_str() {
            "consecutive-failures" if self.consecutive_errors == 1 => "its run failed".to_owned(),
            "consecutive-failures" => format!("{} failures in a row", self.consecutive_errors),
            "schedule-errors" => "its schedule cannot be read any more".to_owned(),
            other => other.to_owned(),
        };
        match &self.detail {
            Some(detail) => format!("{why}; the last: {detail}"),
            None => why,
        }
    }
}

/// Where a job's result goes, in a few words.
#[derive(Deserialize)]
pub(crate) struct DeliveryPreview {
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) detail: String,
}

impl JobView {
    /// The name that people see.
    pub(crate) fn title(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    /// The schedule in a few words; a kind that this client does not know is shown as it is.
    pub(crate) fn schedule_text(&self) -> String {
        match (Schedule::deserialize(&self.schedule), self.id.parse::<JobId>()) {
            (Ok(schedule), Ok(id)) => clawhook_schedule::describe(&schedule, &id),
            _ => self.schedule.to_string(),
        }
    }

    /// The schedule with its zone and what the job's stagger makes of it.
    pub(crate) fn schedule_in_full(&self) -> String {
        match (Schedule::deserialize(&self.schedule), self.id.parse::<JobId>()) {
            (Ok(schedule), Ok(id)) => {
                clawhook_schedule::describe_for(&schedule, Some(&id), self.host_time_zone.as_deref())
            }
            _ => self.schedule.to_string(),
        }
    }

    /// Where its result goes.
    pub(crate) fn delivery_text(&self) -> String {
        let Some(DeliveryPreview { label, detail }) = &self.delivery_preview else { return String::new() };
        // Of an announcement it is worth telling how its place came about.
        if detail.contains(' ') { format!("{label} ({detail})") } else { label.clone() }
    }
}
