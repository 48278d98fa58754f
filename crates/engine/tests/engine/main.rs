//! The engine through its doors: a store, a clock that is moved by hand, and a runtime that does as it is told.

mod catch_up;
mod chains;
mod clock;
mod control;
mod deferral;
mod failures;
mod hooks;
mod overlap;
mod runs;
mod sessions;
mod spending;
mod world;
