//! Receivers, certificates and name servers that wish the gateway ill, each with what is promised of it.
//!
//! Every [`Case`](case::Case) says how the attempt ends, and is held to more than that: the attempt ended within its
//! budget, the connection is gone, what was read and kept stays under its cap, and nothing was sent twice.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod answers;
mod case;
mod certificates;
mod names;
mod redirects;
mod resets;

#[allow(dead_code, reason = "each suite uses its own part of it")]
#[path = "../transport/name_server.rs"]
mod name_server;
#[allow(dead_code, reason = "each suite uses its own part of it")]
#[path = "../transport/receiver.rs"]
mod receiver;
