//! Replays: sending what was carried before once more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dead_cause::DeadCause;
use crate::definition_error::DefinitionError;
use crate::destination::rate;
use crate::destination_ref::DestinationRef;
use crate::fields::Fields;
use crate::id::{DestinationId, JobId, ReplayId, RunId};
use crate::outbox::{DeliveryState, Target};
use crate::time::{MAX_DATE_MS, UnixMs};

/// Which deliveries a replay sends once more. `D` is how their destination is named: by a person at first
/// ([`DestinationRef`]), by its identity once it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayFilter<D = DestinationId> {
    /// Only deliveries to this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<D>,
    /// Only deliveries of this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Only deliveries of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Only deliveries in one of these states, of which there is at least one.
    pub states: Vec<Replayable>,
    /// Only deliveries that are dead for one of these causes; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<DeadCause>,
    /// Only deliveries that were accepted at this instant or later.
    #[serde(rename = "sinceMs", default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMs>,
    /// Only deliveries that were accepted before this instant.
    #[serde(rename = "untilMs", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMs>,
}

/// The states from which a delivery can be sent once more: it is settled, and was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replayable {
    /// It was given up.
    Dead,
    /// A person ended it.
    Cancelled,
    /// It arrived.
    Delivered,
}

impl Replayable {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Dead, Self::Cancelled, Self::Delivered];

    /// The delivery's state.
    pub fn state(self) -> DeliveryState {
        match self {
            Self::Dead => DeliveryState::Dead,
            Self::Cancelled => DeliveryState::Cancelled,
            Self::Delivered => DeliveryState::Delivered,
        }
    }
}

/// A replay as a person asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayRequest {
    /// Which deliveries.
    pub filter: ReplayFilter<DestinationRef>,
    /// Where to, if not to each one's own destination.
    pub to: Option<DestinationRef>,
    /// How many a second at most.
    pub per_second: Option<f64>,
    /// Whether the deliveries are only counted.
    pub dry_run: bool,
}

impl ReplayRequest {
    /// Reads a request.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        // Without one a slip of the pen would send everything again.
        let filter =
            fields.value("filter").ok_or_else(|| DefinitionError::Missing { field: "filter".to_owned() })?;
        let filter = ReplayFilter::parse(filter)?;
        let to = destination(&mut fields, "to")?;
        let per_second = fields.value("perSecond").map(|given| rate("perSecond", &given)).transpose()?;
        let dry_run = fields.flag("dryRun")?.unwrap_or(false);
        fields.close(&[])?;
        Ok(Self { filter, to, per_second, dry_run })
    }

    /// Reads where one delivery is to be sent: a body of `to` alone, which may be absent.
    pub fn parse_to(value: Value) -> Result<Option<DestinationRef>, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        let to = destination(&mut fields, "to")?;
        fields.close(&[])?;
        Ok(to)
    }
}

impl ReplayFilter<DestinationRef> {
    fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("filter", value)?;
        let destination = destination(&mut fields, "destination")?;
        let job_id = id(&mut fields, "jobId")?;
        let run_id = id(&mut fields, "runId")?;
        let states =
            words(&mut fields, "states", &Replayable::ALL.map(|word| (word.state().as_str(), word)))?;
        let causes = words(&mut fields, "causes", &DeadCause::ALL.map(|word| (word.as_str(), word)))?;
        let (since, until) = (instant(&mut fields, "sinceMs")?, instant(&mut fields, "untilMs")?);
        fields.close(&[])?;
        let states = if states.is_empty() { vec![Replayable::Dead] } else { states };
        if !causes.is_empty() && states != [Replayable::Dead] {
            let why = "only what is dead has a cause: leave `causes` out, or let `states` be [\"dead\"]";
            return Err(DefinitionError::invalid("filter.causes", why));
        }
        Ok(Self { destination, job_id, run_id, states, causes, since, until })
    }
}

impl<D> ReplayFilter<D> {
    /// The same deliveries, their destination named another way.
    pub fn with_destination<E>(self, destination: Option<E>) -> ReplayFilter<E> {
        let Self { job_id, run_id, states, causes, since, until, .. } = self;
        ReplayFilter { destination, job_id, run_id, states, causes, since, until }
    }
}

fn destination(fields: &mut Fields, key: &'static str) -> Result<Option<DestinationRef>, DefinitionError> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    match text.parse() {
        Ok(named) => Ok(Some(named)),
        Err(error) => Err(DefinitionError::invalid(fields.name(key), format!("{error}"))),
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
    fields: &mut Fields,
    key: &'static str,
) -> Result<Option<T>, DefinitionError> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    match text.trim().parse() {
        Ok(id) => Ok(Some(id)),
        Err(error) => Err(DefinitionError::invalid(fields.name(key), format!("{error}"))),
    }
}

fn words<T: Copy>(
    fields: &mut Fields,
    key: &'static str,
    words: &[(&'static str, T)],
) -> Result<Vec<T>, DefinitionError> {
    let given = fields.texts(key)?.unwrap_or_default();
    let read = |text: &String| {
        let found = words.iter().find(|(word, _)| *word == text.trim());
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            DefinitionError::invalid(fields.name(key), format!("`{text}` is none of {}", known.join(", ")))
        })
    };
    given.iter().map(read).collect()
}

fn instant(fields: &mut Fields, key: &'static str) -> Result<Option<UnixMs>, DefinitionError> {
    let Some(ms) = fields.count(key)? else { return Ok(None) };
    match i64::try_from(ms) {
        Ok(ms) if ms <= MAX_DATE_MS => Ok(Some(UnixMs::from_millis(ms))),
        _ => Err(DefinitionError::invalid(fields.name(key), format!("`{ms}` lies beyond {MAX_DATE_MS}"))),
    }
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It goes on.
    Running,
    /// It has gone through all that it was asked for.
    Done,
    /// It was ended before.
    Cancelled,
}

impl ReplayState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The sending once more of a range of deliveries, as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Its identity.
    pub id: ReplayId,
    /// Which deliveries.
    pub filter: ReplayFilter,
    /// Where to, if not to each one's own destination.
    pub to: Option<Target>,
    /// How many a second at most.
    pub per_second: Option<f64>,
    /// How many deliveries it found when it was asked for.
    pub matched: u64,
    /// How many of them it has queued to be sent again.
    pub done: u64,
    /// How many of them it has passed over, because there was nothing to send or nowhere to send it.
    pub skipped: u64,
    /// How far it is.
    pub state: ReplayState,
    /// Why it was ended.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: UnixMs,
    /// When it was over.
    pub ended_at: Option<UnixMs>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_strictly_and_means_dead_letters_where_it_does_not_say() {
        let request = ReplayRequest::parse(json!({
            "filter": { "destination": "ops", "jobId": "j", "sinceMs": 1, "untilMs": 2 }, "to": "dst_3",
            "perSecond": 2.5, "dryRun": true,
        }))
        .unwrap();
        assert_eq!(request.filter.states, [Replayable::Dead]);
        assert_eq!(request.filter.since, Some(UnixMs::from_millis(1)));
        assert_eq!(request.to, Some(DestinationRef::Id(DestinationId::from_number(3))));
        assert_eq!((request.per_second, request.dry_run), (Some(2.5), true));
        for (bad, said) in [
            (json!({}), "`filter` is required"),
            (json!({ "filter": {}, "perSec": 1 }), "unknown field `perSec`"),
            (json!({ "filter": { "state": ["dead"] } }), "unknown field `filter.state`"),
            (
                json!({ "filter": { "states": ["waiting"] } }),
                "`waiting` is none of dead, cancelled, delivered",
            ),
            (json!({ "filter": { "states": ["delivered"], "causes": ["receiver"] } }), "only what is dead"),
            (json!({ "filter": { "runId": "x" } }), "is not a run id"),
            (json!({ "filter": {}, "perSecond": 0 }), "is not a rate"),
            (json!({ "filter": {}, "to": "https://u:p@example.com/" }), "user name or password"),
        ] {
            let error = ReplayRequest::parse(bad).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_filter_comes_back_from_the_store_as_it_was() {
        let parsed =
            ReplayRequest::parse(json!({ "filter": { "causes": ["gateway"], "sinceMs": 7 } })).unwrap();
        let filter = parsed.filter.with_destination(Some(DestinationId::from_number(9)));
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(text, r#"{"destination":"dst_9","states":["dead"],"causes":["gateway"],"sinceMs":7}"#);
        assert_eq!(serde_json::from_str::<ReplayFilter>(&text).unwrap(), filter);
    }
}
