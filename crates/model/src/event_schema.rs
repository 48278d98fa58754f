//! The published schema of the finished event.
//!
//! It is written by hand, because it is a promise to receivers and not a picture of the code; the tests hold each to
//! the other: every event that the code makes is valid, every member that an event can have is described, and nothing
//! is described that no event has.

/// What a finished event is called where events are told apart by a name.
pub const RUN_FINISHED: &str = "run.finished";

/// The JSON Schema (2020-12) of the finished event, for the version [`SCHEMA_VERSION`](crate::SCHEMA_VERSION).
pub const RUN_FINISHED_SCHEMA: &str = include_str!("../schemas/run.finished.v1.json");

/// The schema's identity, its `$id`. It names the schema and is no address.
pub const RUN_FINISHED_SCHEMA_ID: &str = "urn:clawhook:schema:run.finished:v1";
