//! The REST API, through a real socket.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod alerts;
mod announce;
mod control;
mod counting_receiver;
mod destination_definitions;
mod destinations;
mod door;
mod events;
mod harness;
mod hooks;
mod job_hooks;
mod jobs;
mod on_time;
mod receiver;
mod refusals;
mod replays;
mod runs;
mod schemas;
mod sessions;
mod spending;
mod start;
