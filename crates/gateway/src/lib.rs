//! The doors, and the wiring of the house.
//!
//! # The cast
//!
//! - [`config`] reads what the gateway is told to be.
//! - [`Gateway`] opens the store, takes the state directory, binds the address and puts the crates together; it runs
//!   the engine, the delivery service and the doors, and ends them in the order that loses nothing.
//! - `verbs` are what can be asked of a gateway. Every door calls the same ones, so that what one refuses, all refuse.
//! - `wire` is how answers look; `http` is the door for them: a REST API with a bearer token.
//! - [`secrets`] seals what users wrote, and follows what they referred to.
//! - `supervisor` begins the gateway's tasks again when they fall; `pinger` tells somebody else that all is well.
//! - `state_dir` keeps the token and the keys, and tells clients where the gateway is.
//!
//! # Who owns what
//!
//! The store belongs to the gateway as long as it runs, and a second gateway on it is refused. The doors write jobs and
//! nothing else: runs are the engine's, attempts the delivery service's. A user's configuration is read and never
//! written; what is written lies in the state directory, readable by its owner alone.
//!
//! # The order of the end
//!
//! When told to stop, the doors close and the engine begins nothing more. Runs under way may end within
//! `cron.shutdownGrace`, whoever waits for an answer gets one, and the deliveries under way are settled last. What was
//! accepted and is not done by then is durable, and goes on when the gateway is started again.
//!
//! # What is not guaranteed
//!
//! - That requests are encrypted: the gateway speaks plain HTTP and listens on the loopback unless told otherwise. For
//!   others to reach it, put a proxy that speaks TLS before it.
//! - That everybody who has the token should have it: there is one, and it opens everything.
//! - That a client learns of what it was granted. An answer can be lost on its way; what it said is durable.

mod agents;
pub mod config;
mod declarations;
mod gateway;
mod hooks;
mod http;
mod pinger;
mod private_file;
pub mod secrets;
mod state_dir;
mod supervisor;
mod verbs;
mod webhook_calls;
mod wire;

pub use gateway::{Gateway, GatewayOptions, RunError, StartError};

/// The API's OpenAPI 3.1 document, as a gateway serves it at `/api/v1/openapi.json`, written for people to read.
pub fn openapi_json() -> String {
    format!("{:#}\n", http::document())
}
