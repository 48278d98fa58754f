//! The doors: HTTP API, configuration, and the wiring of the house.

pub mod config;
