//! One type for each identity, so that a delivery's id can never stand where a run's belongs.
//!
//! Ids that the gateway makes itself are UUIDv7: ordered by time, which keeps the store's inserts at the end of
//! their trees. They are written with a prefix (`run_…`) so that a person sees what an id names. A job's id is a
//! plain non-empty text, because OpenClaw's jobs bring their own (contract §1.1).

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

use crate::time::UnixMs;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text lacks the kind's prefix, or what follows is not a UUID.
    #[error("`{value}` is not a {kind} id: expected `{prefix}` and a UUID")]
    Malformed {
        /// What kind of id was expected, in words.
        kind: &'static str,
        /// The prefix of that kind.
        prefix: &'static str,
        /// The text that was given.
        value: String,
    },
    /// A destination's handle is not `dst_` and a number.
    #[error("`{0}` is not a destination's handle: expected `dst_` and a number")]
    Destination(String),
    /// A job id is empty, too long, or holds a character that could not stand in a path.
    #[error("`{0}` is not a job id: expected 1 to 200 characters without blanks, `/` or `\\`")]
    Job(String),
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id, ordered by `now`.
            pub fn new(now: UnixMs) -> Self {
                Self(uuid_v7(now))
            }

            /// The id with these sixteen bytes, as the store keeps it.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The id's sixteen bytes, as the store keeps it.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or_else(|| IdError::Malformed { kind: $kind, prefix: $prefix, value: text.to_owned() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

uuid_ids! {
    /// One delivery: the carrying of one event to one target.
    DeliveryId, "dlv_", "delivery";
    /// One event, for ever; it travels as `webhook-id`.
    EventId, "evt_", "event";
    /// One request to an inbound hook.
    HookRequestId, "hkr_", "hook request";
    /// One holding of a delivery by a worker; the fence of invariant 5.
    LeaseId, "lea_", "lease";
    /// One life of a gateway process.
    OwnerId, "own_", "owner";
    /// One replay: the sending again of a range of deliveries.
    ReplayId, "rpl_", "replay";
    /// One run of a job.
    RunId, "run_", "run";
}

impl EventId {
    /// The event that tells that a run began, having been put back so often before: it follows from the run.
    pub fn of_start(run: RunId, deferrals: u32) -> Self {
        let mut bytes = *run.as_bytes();
        // A UUIDv7 ends in random bits, so that no other event has this id.
        bytes[15] ^= u8::try_from(deferrals % 255).unwrap_or(0) + 1;
        Self::from_bytes(bytes)
    }
}

/// One destination, as the store numbers it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(i64);

impl DestinationId {
    const PREFIX: &str = "dst_";

    /// The id with this number, as the store keeps it.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The id's number, as the store keeps it.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

impl fmt::Debug for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DestinationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let number = text.strip_prefix(Self::PREFIX).and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| IdError::Destination(text.to_owned()))
    }
}

impl Serialize for DestinationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DestinationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn uuid_v7(now: UnixMs) -> Uuid {
    let ms = u64::try_from(now.as_millis()).unwrap_or(0);
    if let Some(random) = seeded_bytes() {
        return uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
    }
    let subsec_nanos = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, ms / 1000, subsec_nanos))
}

thread_local! {
    /// Where this thread's ids take their chance from, if it is not the system's.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Has all ids that this thread makes from now on follow from `seed`, or be random again. It is for simulations, which
/// must come out the same each time; a gateway never calls it.
pub fn seed_ids(seed: Option<u64>) {
    SEED.set(seed);
}

/// The next random bytes of a seeded thread.
fn seeded_bytes() -> Option<[u8; 10]> {
    let state = SEED.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
    SEED.set(Some(state));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    Some(bytes)
}

/// A random UUIDv4.
pub(crate) fn uuid_v4() -> Uuid {
    match seeded_bytes() {
        Some(random) => {
            let mut bytes = [0; 16];
            bytes[6..].copy_from_slice(&random);
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        }
        None => Uuid::new_v4(),
    }
}

/// A job's identity: a random UUIDv4 where the gateway makes it, any short text where it was brought along.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// A fresh random id, of the form OpenClaw gives.
    pub fn random() -> Self {
        Self(uuid_v4().to_string())
    }

    /// What stands in place of a job's id where something is about the gateway itself.
    pub fn of_gateway() -> Self {
        Self("(gateway)".to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = !text.is_empty()
            && text.len() <= 200
            && !text.contains(|c: char| c == '/' || c == '\\' || c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::Job(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An agent's name in its normal form (contract §4.1): lower case, safe characters, at most 64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgentId(String);

impl AgentId {
    /// The agent that a job without `agentId` runs as.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// Brings `text` to the normal form; what is left empty is `main`.
    pub fn normalise(text: &str) -> Self {
        let mapped: String = text
            .trim()
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .collect();
        let cut: String = mapped.trim_matches('-').chars().take(64).collect();
        let cut = cut.trim_end_matches('-');
        if cut.is_empty() { Self::main() } else { Self(cut.to_owned()) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::normalise(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_come_back_from_text() {
        let early = RunId::new(UnixMs::from_millis(1_000));
        let late = RunId::new(UnixMs::from_millis(2_000));
        assert!(early < late);
        assert_eq!(early.to_string().parse::<RunId>().unwrap(), early);
    }

    #[test]
    fn seeded_ids_come_again_with_their_seed_and_never_twice_with_one() {
        let ids = |seed| {
            seed_ids(Some(seed));
            let ids = (RunId::new(UnixMs::EPOCH), RunId::new(UnixMs::EPOCH), JobId::random());
            seed_ids(None);
            ids
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_ne!(ids(7).0, ids(7).1);
        assert_ne!(RunId::new(UnixMs::EPOCH), RunId::new(UnixMs::EPOCH));
    }

    #[test]
    fn an_id_of_another_kind_is_refused_by_name() {
        let delivery = DeliveryId::new(UnixMs::from_millis(1_000)).to_string();
        let error = delivery.parse::<RunId>().unwrap_err();
        assert_eq!(error.to_string(), format!("`{delivery}` is not a run id: expected `run_` and a UUID"));
    }

    #[test]
    fn job_ids_bring_their_own_text_but_no_path() {
        assert!("job-1".parse::<JobId>().is_ok());
        for bad in ["", "a/b", "a\\b", "a b", "a\nb"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn agent_ids_take_the_normal_form() {
        assert_eq!(AgentId::normalise("  Sales Team! ").as_str(), "sales-team");
        assert_eq!(AgentId::normalise("--").as_str(), "main");
        assert_eq!(AgentId::normalise(&"x".repeat(90)).as_str().len(), 64);
    }
}
