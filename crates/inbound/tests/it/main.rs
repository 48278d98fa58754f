//! What requests mean, through the crate's front door.
#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod builtin;
mod door;
mod mappings;
mod signatures;
mod transforms;
mod world;
