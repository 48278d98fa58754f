//! Inbound hooks at the door: who has tried wrong tokens, how many requests a hook takes, and what becomes of the work
//! that a request asks for.
//!
//! What a request means is decided by the `inbound` crate; what was accepted is the store's. Here the two meet.

mod answering;
mod limiter;
mod rates;
mod work;

use std::sync::Arc;

use clawhook_inbound::HookSet;
use tokio::sync::Semaphore;

pub(crate) use answering::{Answering, BeingAnswered};
pub(crate) use limiter::{LOCKED_OUT, WrongTokens};
pub(crate) use rates::Rates;
pub(crate) use work::{Origin, asks_of};

/// How many callers wait at once for the end of what they asked for. They hold connections that others need.
const MOST_WAITING: usize = 256;

/// The hooks of a gateway.
#[derive(Clone)]
pub(crate) struct Hooks {
    /// Which there are, and what requests to them mean.
    pub(crate) set: Arc<HookSet>,
    /// Who has tried wrong tokens.
    pub(crate) wrong_tokens: Arc<WrongTokens>,
    /// How many requests each of them takes.
    pub(crate) rates: Arc<Rates>,
    /// Which requests are being answered.
    pub(crate) answering: Answering,
    /// Whoever waits for an end holds one.
    pub(crate) waiting: Arc<Semaphore>,
}

impl Hooks {
    /// The hooks of this set.
    pub(crate) fn new(set: HookSet) -> Self {
        Self {
            set: Arc::new(set),
            wrong_tokens: Arc::default(),
            rates: Arc::default(),
            answering: Answering::default(),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }
}
