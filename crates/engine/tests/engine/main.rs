//! The engine through its doors: a store, a clock that is moved by hand, and a runtime that does as it is told.

mod catch_up;
mod clock;
mod control;
mod deferral;
mod failures;
mod overlap;
mod runs;
mod sessions;
mod spending;
mod world;
