//! What every engine of the store promises, told through its verbs. An engine joins by adding itself to `engines`.

mod acknowledgements;
mod alerts;
mod backfill;
mod counters;
mod destinations;
mod event_log;
mod failures;
mod faults;
mod hooks;
mod inline;
mod jobs;
mod late;
mod ledger;
mod outbox;
mod overlap;
mod provenance;
mod replays;
mod retention;
mod sessions;
mod subscriptions;
mod world;
