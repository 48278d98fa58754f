//! What every engine of the store promises, told through its verbs. An engine joins by adding itself to `engines`.

mod destinations;
mod faults;
mod inline;
mod jobs;
mod ledger;
mod outbox;
mod replays;
mod subscriptions;
mod world;
