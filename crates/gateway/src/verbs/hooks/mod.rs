//! The verbs on inbound hooks: taking requests, and looking at what was asked of them.

mod accept;
mod completion;
mod error;
mod operate;
mod standing;

pub(crate) use accept::{Incoming, Taken};
pub(crate) use completion::Completion;
pub(crate) use error::HookVerbError;
pub(crate) use operate::{AGAIN_IN, HookDetail, HookTrial, InspectedRequest, TrialRequest};
