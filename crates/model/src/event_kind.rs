//! What events tell of.

use serde::{Serialize, Serializer};

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A run begins.
    RunStarted,
    /// A run has ended, however it ended.
    RunFinished,
    /// The result of a run came after the run had been given up.
    RunLate,
    /// A due instant passed without a run, because of the job's own rules.
    RunSkipped,
    /// A due instant passed without a run, because the gateway was not there.
    RunMissed,
    /// A job succeeded whose run before had failed.
    JobRecovered,
    /// A job was added.
    JobAdded,
    /// A job was edited, enabled or disabled.
    JobUpdated,
    /// A job was removed.
    JobRemoved,
    /// A job was switched off by the gateway, because it failed too often.
    JobAutoDisabled,
    /// A delivery was given up.
    DeliveryDead,
    /// Work was refused, because it was too many hops away from its beginning.
    LoopBroken,
    /// Somebody is to look after a job, or after the gateway.
    JobAlert,
    /// Something is wrong with the gateway itself.
    GatewayAlarm,
    /// What was wrong with the gateway is over.
    GatewayAlarmCleared,
    /// A request to an inbound hook that is carried on without an agent.
    HookReceived,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::RunStarted,
        Self::RunFinished,
        Self::RunLate,
        Self::RunSkipped,
        Self::RunMissed,
        Self::JobRecovered,
        Self::JobAdded,
        Self::JobUpdated,
        Self::JobRemoved,
        Self::JobAutoDisabled,
        Self::DeliveryDead,
        Self::LoopBroken,
        Self::JobAlert,
        Self::GatewayAlarm,
        Self::GatewayAlarmCleared,
        Self::HookReceived,
    ];

    /// The wire's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunStarted => "run.started",
            Self::RunFinished => "run.finished",
            Self::RunLate => "run.late",
            Self::RunSkipped => "run.skipped",
            Self::RunMissed => "run.missed",
            Self::JobRecovered => "job.recovered",
            Self::JobAdded => "job.added",
            Self::JobUpdated => "job.updated",
            Self::JobRemoved => "job.removed",
            Self::JobAutoDisabled => "job.auto_disabled",
            Self::DeliveryDead => "delivery.dead",
            Self::LoopBroken => "loop.broken",
            Self::JobAlert => "job.alert",
            Self::GatewayAlarm => "gateway.alarm",
            Self::GatewayAlarmCleared => "gateway.alarm_cleared",
            Self::HookReceived => "hook.received",
        }
    }
}

impl EventKind {
    /// OpenClaw's word for what it tells of, where it has one.
    pub const fn action(self) -> Option<&'static str> {
        match self {
            Self::RunStarted => Some("started"),
            Self::RunFinished | Self::RunLate => Some("finished"),
            Self::JobAdded => Some("added"),
            Self::JobUpdated | Self::JobAutoDisabled => Some("updated"),
            Self::JobRemoved => Some("removed"),
            Self::RunSkipped
            | Self::RunMissed
            | Self::JobRecovered
            | Self::DeliveryDead
            | Self::JobAlert
            | Self::LoopBroken
            | Self::GatewayAlarm
            | Self::GatewayAlarmCleared
            | Self::HookReceived => None,
        }
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
