//! Why a request to a hook, or a verb on hooks, was not done.

use std::time::Duration;

use clawhook_inbound::Refusal;
use clawhook_model::{HookRequestId, LoopBroken, format_duration};
use clawhook_store::StoreError;
use thiserror::Error;

use super::super::store_code;

/// Why a request to a hook, or a verb on hooks, was not done.
#[derive(Debug, Error)]
pub(crate) enum HookVerbError {
    /// What it says is not right, or its sender is not known.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It would go round in a circle.
    #[error("{0}")]
    Loop(LoopBroken),
    /// The agent cannot do it.
    #[error("{message}")]
    Unfit {
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Its key was used before, for something else.
    #[error("the idempotency key was used before for another request, `{0}`")]
    KeyReused(HookRequestId),
    /// The same request is being answered: its caller waits for the end.
    #[error("a request with this idempotency key is being answered")]
    BeingAnswered,
    /// The hook has taken as many requests of late as it may.
    #[error("the hook takes no more requests at the moment; try again in {}", format_duration(*wait))]
    TooMany {
        /// After how long there is room for one.
        wait: Duration,
    },
    /// As many runs of the hook wait as may.
    #[error("the hook's queue is full: {waiting} runs wait")]
    Full {
        /// How many wait.
        waiting: u32,
    },
    /// The hook is switched off.
    #[error("the hook is switched off")]
    Disabled,
    /// There is no such hook.
    #[error("there is no hook `{0}`")]
    NoSuchHook(String),
    /// There is no such request.
    #[error("there is no request `{0}`")]
    NoSuchRequest(String),
    /// Its body is forgotten.
    #[error("the body of the request `{0}` is forgotten: the store had no room left for it")]
    Forgotten(String),
    /// No hooks are configured.
    #[error("this gateway takes no requests to hooks")]
    Off,
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HookVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Loop(_) => "loop_detected",
            Self::Unfit { .. } => "unfit",
            Self::KeyReused(_) => "key_reused",
            Self::BeingAnswered => "being_answered",
            Self::TooMany { .. } => "too_many_requests",
            Self::Full { .. } => "queue_full",
            Self::Disabled => "disabled",
            Self::NoSuchHook(_) | Self::NoSuchRequest(_) => "not_found",
            Self::Forgotten(_) => "forgotten",
            Self::Off => "hooks_off",
            Self::Stopping => "stopping",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Loop(broken) => Some(broken.hint().to_owned()),
            Self::Unfit { hint, .. } => hint.clone(),
            Self::Full { .. } => Some(
                "see `clawhook hooks list`; a hook that is paused accepts until its queue is full".to_owned(),
            ),
            Self::KeyReused(_) => Some("give each request that is another one a key of its own".to_owned()),
            Self::BeingAnswered => Some("wait for its answer, or ask again later".to_owned()),
            Self::Disabled => Some("`clawhook cron enable hook-<id>` switches it on".to_owned()),
            Self::NoSuchHook(_) => Some("`clawhook hooks list` shows the hooks that there are".to_owned()),
            Self::NoSuchRequest(_) => {
                Some("`clawhook hooks requests <hook>` shows those that are known".to_owned())
            }
            Self::Off => Some("set `hooks.enabled` and `hooks.token` in the configuration".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
            Self::Refused(_) | Self::TooMany { .. } | Self::Forgotten(_) | Self::Stopping => None,
        }
    }
}
