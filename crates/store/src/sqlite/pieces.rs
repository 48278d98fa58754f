//! Messages to people: which of their parts have arrived, and where the last one of an agent did.

use clawhook_model::{AgentId, DestinationId, JobId, Route, Target, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, At};
use super::{fault, jobs};
use crate::{PieceArrived, Settled, StoreError};

/// Notes that a part has arrived. A later one stands for those before it.
pub(super) fn note(conn: &Connection, arrived: PieceArrived) -> Result<Settled, StoreError> {
    let noted = conn
        .prepare_cached(
            "UPDATE deliveries SET pieces_sent = max(pieces_sent, ?3) WHERE id = ?1 AND lease = ?2 AND state = 'leased'",
        )
        .and_then(|mut update| {
            update.execute(params![arrived.delivery_id.as_bytes(), arrived.lease.as_bytes(), arrived.piece])
        })
        .map_err(fault)?;
    Ok(if noted > 0 { Settled::Done } else { Settled::LeaseLost })
}

/// Notes where something arrived that was announced for a job's agent.
pub(super) fn note_route(
    conn: &Connection,
    job: &JobId,
    destination: DestinationId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let (_, agent) = jobs::name_and_agent(conn, job)?;
    conn.prepare_cached(
        "INSERT INTO last_routes (agent_id, place, at) SELECT ?1, key, ?3 FROM destinations \
         WHERE seq = ?2 AND kind = 'announce' \
         ON CONFLICT DO UPDATE SET place = excluded.place, at = excluded.at",
    )
    .and_then(|mut insert| insert.execute(params![agent.as_str(), destination.number(), At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Where something was last announced for an agent.
pub(super) fn last_route(conn: &Connection, agent: &AgentId) -> Result<Option<Route>, StoreError> {
    let place: Option<String> = conn
        .prepare_cached("SELECT place FROM last_routes WHERE agent_id = ?1")
        .and_then(|mut select| select.query_row([agent.as_str()], |row| row.get(0)).optional())
        .map_err(fault)?;
    let target = place.and_then(|place| rows::parse_target("announce", &place));
    Ok(match target {
        Some(Target::Announce(target)) => Route::last(&target),
        _ => None,
    })
}
