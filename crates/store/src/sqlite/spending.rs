//! What was spent, in rows: summed by day in the transactions that end runs.

use clawhook_model::{JobId, Spent, Usage, Usd};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault;
use crate::{FinishRun, StoreError};

/// Adds what a run used to its day.
pub(super) fn count(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    let outcome = &finish.outcome;
    let (usage, usd) = (outcome.usage.unwrap_or_default(), outcome.cost.unwrap_or_default());
    if usage == Usage::default() && usd == Usd::ZERO {
        return Ok(());
    }
    let (input, output) = (usage.input_tokens.cast_signed(), usage.output_tokens.cast_signed());
    let (total, micros) = (usage.total_tokens.cast_signed(), usd.as_micros().cast_signed());
    conn.prepare_cached(
        "INSERT INTO spending (day, job_id, agent_id, provider, model, runs, input_tokens, output_tokens, \
         total_tokens, usd_micros) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9) \
         ON CONFLICT (day, job_id, agent_id, provider, model) DO UPDATE SET runs = runs + 1, \
         input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens, \
         total_tokens = total_tokens + excluded.total_tokens, usd_micros = usd_micros + excluded.usd_micros",
    )
    .and_then(|mut add| {
        add.execute(params![
            finish.day,
            finish.job_id.as_str(),
            finish.agent_id.as_str(),
            outcome.provider.as_deref().unwrap_or_default(),
            outcome.model.as_deref().unwrap_or_default(),
            input,
            output,
            total,
            micros,
        ])
    })
    .map_err(fault)?;
    conn.prepare_cached(
        "INSERT INTO spending_days (day, runs, total_tokens, usd_micros) VALUES (?1, 1, ?2, ?3) \
         ON CONFLICT (day) DO UPDATE SET runs = runs + 1, total_tokens = total_tokens + excluded.total_tokens, \
         usd_micros = usd_micros + excluded.usd_micros",
    )
    .and_then(|mut add| add.execute(params![finish.day, total, micros]))
    .map_err(fault)?;
    Ok(())
}

/// What was spent on a day, by one job or in all.
pub(super) fn spent(conn: &Connection, day: i32, job: Option<&JobId>) -> Result<Spent, StoreError> {
    let of = |row: &rusqlite::Row<'_>| {
        let (tokens, micros): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Spent { usd: Usd::from_micros(micros.cast_unsigned()), tokens: tokens.cast_unsigned() })
    };
    let spent = match job {
        Some(job) => conn
            .prepare_cached(
                "SELECT coalesce(sum(total_tokens), 0), coalesce(sum(usd_micros), 0) FROM spending \
                 WHERE day = ?1 AND job_id = ?2",
            )
            .and_then(|mut select| select.query_row(params![day, job.as_str()], of).optional()),
        None => conn
            .prepare_cached("SELECT total_tokens, usd_micros FROM spending_days WHERE day = ?1")
            .and_then(|mut select| select.query_row([day], of).optional()),
    };
    Ok(spent.map_err(fault)?.unwrap_or_default())
}
