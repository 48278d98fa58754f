//! What was spent, in rows: summed by day in the transactions that end runs.

use clawhook_model::{AgentId, JobId, RunOutcome, Spent, Usage, Usd};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault;
use super::rows;
use crate::{RecentUsage, StoreError, UsageBy, UsageFilter, UsageKey, UsageReport, Used};

/// How many of a job's runs are looked through for those that used tokens.
const LOOKED_THROUGH: usize = 200;

/// Whose use is counted, and to which day.
pub(super) struct Spender<'a> {
    pub(super) day: i32,
    pub(super) job: &'a JobId,
    pub(super) agent: &'a AgentId,
}

/// Adds what a run used to its day.
pub(super) fn count(conn: &Connection, of: &Spender<'_>, outcome: &RunOutcome) -> Result<(), StoreError> {
    let (usage, usd) = (outcome.usage.unwrap_or_default(), outcome.cost.unwrap_or_default());
    if usage == Usage::default() && usd == Usd::ZERO {
        return Ok(());
    }
    let (input, output) = (usage.input_tokens.cast_signed(), usage.output_tokens.cast_signed());
    let (total, micros) = (usage.total_tokens.cast_signed(), usd.as_micros().cast_signed());
    conn.prepare_cached(
        "INSERT INTO spending (day, job_id, agent_id, provider, model, runs, unpriced, input_tokens, output_tokens, \
         total_tokens, usd_micros) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?10, ?6, ?7, ?8, ?9) \
         ON CONFLICT (day, job_id, agent_id, provider, model) DO UPDATE SET runs = runs + 1, \
         unpriced = unpriced + excluded.unpriced, input_tokens = input_tokens + excluded.input_tokens, \
         output_tokens = output_tokens + excluded.output_tokens, \
         total_tokens = total_tokens + excluded.total_tokens, usd_micros = usd_micros + excluded.usd_micros",
    )
    .and_then(|mut add| {
        add.execute(params![
            of.day,
            of.job.as_str(),
            of.agent.as_str(),
            outcome.provider.as_deref().unwrap_or_default(),
            outcome.model.as_deref().unwrap_or_default(),
            input,
            output,
            total,
            micros,
            outcome.cost.is_none(),
        ])
    })
    .map_err(fault)?;
    conn.prepare_cached(
        "INSERT INTO spending_days (day, runs, total_tokens, usd_micros) VALUES (?1, 1, ?2, ?3) \
         ON CONFLICT (day) DO UPDATE SET runs = runs + 1, total_tokens = total_tokens + excluded.total_tokens, \
         usd_micros = usd_micros + excluded.usd_micros",
    )
    .and_then(|mut add| add.execute(params![of.day, total, micros]))
    .map_err(fault)?;
    Ok(())
}

/// What was spent on a day, by one job or in all.
pub(super) fn spent(conn: &Connection, day: i32, job: Option<&JobId>) -> Result<Spent, StoreError> {
    let of = |row: &Row<'_>| {
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

const SUMS: &str = "coalesce(sum(runs), 0), coalesce(sum(unpriced), 0), coalesce(sum(input_tokens), 0), \
                    coalesce(sum(output_tokens), 0), coalesce(sum(total_tokens), 0), coalesce(sum(usd_micros), 0)";
const WITHIN: &str = "FROM spending WHERE day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR job_id = ?3) \
                      AND (?4 IS NULL OR agent_id = ?4)";

/// What was used in a stretch of days, and by whom.
pub(super) fn usage(conn: &Connection, filter: &UsageFilter) -> Result<UsageReport, StoreError> {
    let (job, agent) =
        (filter.job_id.as_ref().map(JobId::as_str), filter.agent_id.as_ref().map(AgentId::as_str));
    let total = conn
        .prepare_cached(&format!("SELECT {SUMS} {WITHIN}"))
        .and_then(|mut select| select.query_row(params![filter.from, filter.to, job, agent], used))
        .map_err(fault)?;
    let (columns, order) = match filter.by {
        UsageBy::Day => ("day", "day DESC"),
        UsageBy::Job => ("job_id", DEAREST),
        UsageBy::Agent => ("agent_id", DEAREST),
        UsageBy::Model => ("provider, model", DEAREST),
    };
    let sql =
        format!("SELECT {SUMS}, {columns} {WITHIN} GROUP BY {columns} ORDER BY {order}, {columns} LIMIT ?5");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found =
        select.query(params![filter.from, filter.to, job, agent, rows::int(filter.limit)]).map_err(fault)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        rows.push((key(row, filter.by)?, used(row).map_err(fault)?));
    }
    Ok(UsageReport { rows, total })
}

const DEAREST: &str = "sum(usd_micros) DESC, sum(total_tokens) DESC";

fn key(row: &Row<'_>, by: UsageBy) -> Result<UsageKey, StoreError> {
    Ok(match by {
        UsageBy::Day => UsageKey::Day(rows::get(row, "day")?),
        UsageBy::Job => UsageKey::Job(rows::job_id(row)?),
        UsageBy::Agent => UsageKey::Agent(AgentId::normalise(&rows::get::<String>(row, "agent_id")?)),
        UsageBy::Model => {
            UsageKey::Model { provider: rows::get(row, "provider")?, model: rows::get(row, "model")? }
        }
    })
}

fn used(row: &Row<'_>) -> rusqlite::Result<Used> {
    let number = |place: usize| row.get::<_, i64>(place).map(i64::cast_unsigned);
    Ok(Used {
        runs: number(0)?,
        unpriced: number(1)?,
        input_tokens: number(2)?,
        output_tokens: number(3)?,
        total_tokens: number(4)?,
        usd: Usd::from_micros(number(5)?),
    })
}

/// What the last runs of a job used that used tokens, `most` of them.
pub(super) fn recent(conn: &Connection, job: &JobId, most: usize) -> Result<RecentUsage, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT outcome FROM runs WHERE job_id = ?1 AND state = 'finished' ORDER BY seq DESC LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![job.as_str(), rows::int(LOOKED_THROUGH)]).map_err(fault)?;
    let mut recent = RecentUsage::default();
    while let Some(row) = found.next().map_err(fault)?
        && rows::count(recent.runs.cast_signed()) < most
    {
        let outcome: RunOutcome = rows::from_json(&rows::get::<String>(row, "outcome")?, "a run's outcome")?;
        let Some(usage) = outcome.usage.filter(|usage| *usage != Usage::default()) else { continue };
        recent.runs += 1;
        recent.tokens = recent.tokens.saturating_add(usage.total_tokens);
        if let Some(cost) = outcome.cost {
            recent.priced += 1;
            recent.usd += cost;
        }
    }
    Ok(recent)
}
