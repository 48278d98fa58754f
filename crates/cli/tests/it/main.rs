//! The real binary, from the outside: what it prints where, and with which exit code it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
mod announce;
mod config;
mod conformance;
mod control;
mod destinations;
mod events;
mod gateway;
mod hooks;
mod listen;
mod next;
mod on_time;
mod processes;
mod replay;
mod simulate;
mod unreachable;
mod usage;
mod watchdog;
