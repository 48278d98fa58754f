//! The flags that say what becomes of instants that cannot be run when they are due.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clawhook_model::parse_duration;
use serde_json::{Map, Value, json};

/// What becomes of instants that cannot be run when they are due, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "If it cannot run when it is due")]
pub(super) struct PolicyFlags {
    /// Of the instants at which the gateway was not there: run none, the last one, or each
    #[arg(long, value_name = "POLICY")]
    misfire: Option<MisfireName>,
    /// With `each`, run so many at most: the last ones
    #[arg(long, value_name = "N")]
    misfire_max: Option<u32>,
    /// Begin no instant later than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_lateness: Option<Duration>,
    /// While a run of the job is not over
    #[arg(long, value_name = "POLICY")]
    overlap: Option<OverlapName>,
    /// With `buffer-all`, let so many wait at most
    #[arg(long, value_name = "N")]
    overlap_max: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum MisfireName {
    Skip,
    Once,
    Each,
}

#[derive(Clone, Copy, ValueEnum)]
enum OverlapName {
    Skip,
    BufferOne,
    BufferAll,
    CancelOther,
    AllowAll,
}

impl PolicyFlags {
    /// The members of the API's JSON that are given.
    pub(super) fn read(&self) -> Map<String, Value> {
        let misfire = self.misfire.map(|name| match name {
            MisfireName::Skip => "skip",
            MisfireName::Once => "once",
            MisfireName::Each => "each",
        });
        let overlap = self.overlap.map(|name| match name {
            OverlapName::Skip => "skip",
            OverlapName::BufferOne => "bufferOne",
            OverlapName::BufferAll => "bufferAll",
            OverlapName::CancelOther => "cancelOther",
            OverlapName::AllowAll => "allowAll",
        });
        let misfire = given([
            ("policy", misfire.map(|name| json!(name))),
            ("max", self.misfire_max.map(|most| json!(most))),
            ("maxLatenessSeconds", self.max_lateness.map(seconds)),
        ]);
        let overlap = given([
            ("policy", overlap.map(|name| json!(name))),
            ("max", self.overlap_max.map(|most| json!(most))),
        ]);
        given([("misfire", misfire.map(Value::Object)), ("overlap", overlap.map(Value::Object))])
            .unwrap_or_default()
    }
}

/// The members that have a value; none where none has.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Option<Map<String, Value>> {
    let members: Map<String, Value> =
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    (!members.is_empty()).then_some(members)
}

/// A duration as a number of seconds: a whole one where it is whole.
fn seconds(length: Duration) -> Value {
    if length.subsec_nanos() == 0 { json!(length.as_secs()) } else { json!(length.as_secs_f64()) }
}
