//! Between rows and nouns: the words that states are stored under, and how a column is read back.

use std::borrow::Cow;

use clawhook_model::{
    AnnounceTarget, DeadCause, DeliveryState, EventKind, JobId, Lane, Order, ReplayState, Role, Target,
    Trigger, UnixMs,
};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};
use serde_json::{Value, json};

use super::fault;
use crate::error::StoreError;

/// Reads a column.
pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    row.get(column).map_err(fault)
}

/// An instant as a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) UnixMs);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_millis()))
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|ms| Self(UnixMs::from_millis(ms)))
    }
}

/// Reads an instant.
pub(super) fn at(row: &Row<'_>, column: &str) -> Result<UnixMs, StoreError> {
    Ok(get::<At>(row, column)?.0)
}

/// Reads an instant that may be absent.
pub(super) fn at_opt(row: &Row<'_>, column: &str) -> Result<Option<UnixMs>, StoreError> {
    Ok(get::<Option<At>>(row, column)?.map(|at| at.0))
}

/// Sixteen bytes of an id as a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdBytes(pub(super) [u8; 16]);

impl FromSql for IdBytes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| FromSqlError::InvalidBlobSize { expected_size: 16, blob_size: bytes.len() })
    }
}

/// Reads an id.
pub(super) fn id<T>(row: &Row<'_>, column: &str, from: impl Fn([u8; 16]) -> T) -> Result<T, StoreError> {
    Ok(from(get::<IdBytes>(row, column)?.0))
}

/// Reads an id that may be absent.
pub(super) fn id_opt<T>(
    row: &Row<'_>,
    column: &str,
    from: impl Fn([u8; 16]) -> T,
) -> Result<Option<T>, StoreError> {
    Ok(get::<Option<IdBytes>>(row, column)?.map(|bytes| from(bytes.0)))
}

/// Reads a job's id.
pub(super) fn job_id(row: &Row<'_>) -> Result<JobId, StoreError> {
    let text: String = get(row, "job_id")?;
    text.parse().map_err(|error| StoreError::BadRow(format!("{error}")))
}

/// Reads a word of a closed list that may be absent.
pub(super) fn word_opt<T>(
    row: &Row<'_>,
    column: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let absent = get::<Option<String>>(row, column)?.is_none();
    if absent { Ok(None) } else { word(row, column, read).map(Some) }
}

/// Reads a word of a closed list.
pub(super) fn word<T>(
    row: &Row<'_>,
    column: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    read(&text).ok_or_else(|| StoreError::BadRow(format!("`{text}` in the column `{column}`")))
}

pub(super) fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Instant => "instant",
        Lane::Slot => "slot",
        Lane::Hook => "hook",
    }
}

pub(super) fn trigger(text: &str) -> Option<Trigger> {
    Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == text)
}

pub(super) fn delivery_state(text: &str) -> Option<DeliveryState> {
    DeliveryState::ALL.into_iter().find(|state| state.as_str() == text)
}

pub(super) fn dead_cause(text: &str) -> Option<DeadCause> {
    DeadCause::ALL.into_iter().find(|cause| cause.as_str() == text)
}

pub(super) fn replay_state(text: &str) -> Option<ReplayState> {
    ReplayState::ALL.into_iter().find(|state| state.as_str() == text)
}

pub(super) fn role(text: &str) -> Option<Role> {
    [Role::System, Role::User, Role::Assistant, Role::Tool].into_iter().find(|role| role.as_str() == text)
}

pub(super) fn event_kind(text: &str) -> Option<EventKind> {
    EventKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}

pub(super) fn order(text: &str) -> Option<Order> {
    [Order::None, Order::Job, Order::Destination].into_iter().find(|order| order.as_str() == text)
}

/// The columns `kind` and `key` of a target's destination; the key holds secrets.
pub(super) fn target_key(target: &Target) -> (&'static str, Cow<'_, str>) {
    match target {
        Target::Destination(name) => ("named", Cow::Borrowed(name.as_str())),
        Target::Webhook(url) => ("url", Cow::Borrowed(url.expose())),
        Target::Announce(place) => {
            let place = json!({
                "channel": place.channel, "to": place.to, "accountId": place.account_id, "threadId": place.thread_id,
            });
            ("announce", Cow::Owned(place.to_string()))
        }
    }
}

/// Reads a target back from the columns `kind` and `key` of its destination.
pub(super) fn target(row: &Row<'_>) -> Result<Target, StoreError> {
    let (kind, key): (String, String) = (get(row, "kind")?, get(row, "key")?);
    // The key holds secrets, so the error names the column and not the value.
    parse_target(&kind, &key)
        .ok_or_else(|| StoreError::BadRow("the column `key` of a destination".to_owned()))
}

pub(super) fn parse_target(kind: &str, key: &str) -> Option<Target> {
    match kind {
        "named" => key.parse().ok().map(Target::Destination),
        "url" => key.parse().ok().map(Target::Webhook),
        "announce" => {
            let place: Value = serde_json::from_str(key).ok()?;
            let member = |key: &str| place.get(key).and_then(Value::as_str).map(str::to_owned);
            Some(Target::Announce(AnnounceTarget {
                channel: member("channel"),
                to: member("to"),
                account_id: member("accountId"),
                thread_id: member("threadId"),
            }))
        }
        _ => None,
    }
}

/// Reads JSON of a column.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::BadRow(format!("{what}: {error}")))
}

/// A count or limit as SQLite takes it.
pub(super) fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub(super) fn count(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}
