//! The HTTP door: the verbs as a REST API under `/api/v1`, and the two probes.
//!
//! The cast, in the order a request meets it:
//! - `server` accepts connections, no more than a bound, and gives each its time;
//! - `hooks` is the door of inbound hooks, at `hooks.path`, with tokens and answers of its own;
//! - `auth` asks for the bearer token on every path under `/api`, whether there is such a path or not; only the
//!   `schemas` and the public signing keys are for everybody;
//! - `router` knows the paths, and is at the same time what the OpenAPI document is made from;
//! - `query` and `body` read what was sent, strictly and within bounds;
//! - the handlers call one verb each, and `error` turns its refusal into a status.
//!
//! Every answer but the probes' is JSON of the shapes in `wire`; every refusal has one shape,
//! [`ErrorBody`](error::ErrorBody).
//!
//! Not guaranteed: that an answer is read. What a client asked for and was accepted happens whether it waits or not.

mod acknowledge;
mod alerts;
mod auth;
mod body;
mod channels;
mod deliveries;
mod destination_keys;
mod destinations;
mod error;
mod events;
mod hooks;
mod jobs;
mod ledger;
mod live;
mod metrics;
mod openapi;
mod query;
mod replays;
mod router;
mod runs;
mod schemas;
mod server;
mod sessions;
mod signing_keys;
mod status;
mod usage;

use std::sync::Arc;

use crate::verbs::Verbs;

pub(crate) use auth::ApiToken;
pub(crate) use openapi::document;
pub(crate) use router::router;
pub(crate) use server::{Listener, serve};
pub(crate) use signing_keys::SigningKeyList;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Door {
    /// The verbs.
    pub(crate) verbs: Verbs,
    /// Who may come in.
    pub(crate) token: ApiToken,
    /// What receivers verify with.
    pub(crate) signing_keys: Arc<SigningKeyList>,
}

impl axum::extract::FromRef<Door> for Verbs {
    fn from_ref(door: &Door) -> Self {
        door.verbs.clone()
    }
}

impl axum::extract::FromRef<Door> for Arc<SigningKeyList> {
    fn from_ref(door: &Door) -> Self {
        Arc::clone(&door.signing_keys)
    }
}
