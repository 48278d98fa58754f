//! Pages of jobs, at a cost that does not grow with the number of jobs.
//!
//! A list comes in *stages*, one after the other, and each is made of *strands*: stretches of an index that are in order
//! each by itself, such as the one of each lane in `jobs_due`. SQLite merges them while it reads. What a page needs is
//! found in the indexes alone; only the jobs it shows are read. A search reads what it passes over, and therefore ends
//! after [`SEARCHED`] jobs.
//!
//! Not guaranteed: that an offset is cheap, for what is passed over is walked through; that the order of the last change
//! is, for it has no index and is found among all jobs; and that pages which are asked for one after the other show one
//! moment: a job that moves in between can be on two of them or on none.

use std::ops::ControlFlow;

use clawhook_model::{Job, Lane};
use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql, params};

use super::rows::{self, At};
use super::{fault, jobs};
use crate::jobs::{Key, Place};
use crate::{JobCursor, JobFilter, JobOrder, JobPage, JobSort, JobTotal, PageStart, StoreError};

/// How many jobs a search looks at before its page ends: about a quarter of a second's work.
const SEARCHED: usize = 100_000;
/// Whether a job holds a text.
const MATCHES: &str = "SELECT instr(lower(id || char(10) || name || char(10) || label || char(10) || description || \
                       char(10) || agent_id), lower(?2)) > 0 FROM jobs WHERE seq = ?1";

pub(super) fn page(conn: &Connection, filter: &JobFilter) -> Result<JobPage, StoreError> {
    let walked = Walk::new(filter).go(conn)?;
    let jobs = walked.seqs.iter().filter_map(|seq| job(conn, *seq).transpose()).collect::<Result<_, _>>()?;
    let total = match (&filter.text, &filter.start) {
        (None, _) => JobTotal::Exactly(count_all(conn, filter.enabled)?),
        (Some(_), PageStart::After(_)) => JobTotal::Unknown,
        (Some(_), PageStart::Offset(..)) if walked.gave_up => JobTotal::AtLeast(walked.matched),
        (Some(_), PageStart::Offset(..)) => JobTotal::Exactly(walked.matched),
    };
    Ok(JobPage { jobs, total, next: walked.next })
}

/// Whether the page is found through indexes alone, without looking at many rows.
pub(super) fn is_quick(filter: &JobFilter) -> bool {
    filter.text.is_none() && Walk::new(filter).order.by != JobSort::UpdatedAt
}

/// How many jobs are enabled, or disabled.
pub(super) fn count(conn: &Connection, enabled: bool) -> Result<u64, StoreError> {
    conn.prepare_cached("SELECT jobs FROM job_counts WHERE enabled = ?1")
        .and_then(|mut select| select.query_row([enabled], |row| row.get::<_, i64>(0)))
        .map(|count| u64::try_from(count).unwrap_or(0))
        .map_err(fault)
}

fn count_all(conn: &Connection, enabled: Option<bool>) -> Result<usize, StoreError> {
    let states = either(enabled);
    let counts = states.iter().map(|enabled| count(conn, *enabled));
    Ok(usize::try_from(counts.sum::<Result<u64, _>>()?).unwrap_or(usize::MAX))
}

/// The states of jobs that a filter lets pass.
fn either(enabled: Option<bool>) -> &'static [bool] {
    match enabled {
        None => &[true, false],
        Some(true) => &[true],
        Some(false) => &[false],
    }
}

fn job(conn: &Connection, seq: i64) -> Result<Option<Job>, StoreError> {
    let found = conn
        .prepare_cached(&format!("SELECT {} FROM jobs WHERE seq = ?1", jobs::COLUMNS))
        .and_then(|mut select| select.query_row([seq], |row| Ok(jobs::read(row))).optional())
        .map_err(fault)?
        .transpose()?;
    found.map(|(job, last_run)| jobs::with_last_run(conn, job, last_run)).transpose()
}

/// The way through a list up to the end of a page.
struct Walk<'a> {
    filter: &'a JobFilter,
    order: JobOrder,
    after: Option<&'a Place>,
    offset: usize,
}

/// What a walk has found.
#[derive(Default)]
struct Walked {
    /// The jobs of the page.
    seqs: Vec<i64>,
    /// How many jobs matched, those that were passed over too.
    matched: usize,
    looked_at: usize,
    /// The place behind the last job of a page that is full.
    end: Option<JobCursor>,
    next: Option<JobCursor>,
    /// Whether the search ended before the list did.
    gave_up: bool,
}

impl<'a> Walk<'a> {
    fn new(filter: &'a JobFilter) -> Self {
        let (order, after, offset) = match &filter.start {
            PageStart::Offset(order, offset) => (*order, None, *offset),
            PageStart::After(cursor) => (cursor.order, Some(&cursor.place), 0),
        };
        Self { filter, order, after, offset }
    }

    fn go(&self, conn: &Connection) -> Result<Walked, StoreError> {
        let mut walked = Walked::default();
        for stage in self.stages() {
            let mut select = conn.prepare_cached(&stage).map_err(fault)?;
            self.bind(&mut select).map_err(fault)?;
            let mut found = select.raw_query();
            while let Some(row) = found.next().map_err(fault)? {
                if self.look_at(conn, row, &mut walked)?.is_break() {
                    return Ok(walked);
                }
            }
        }
        Ok(walked)
    }

    fn look_at(
        &self,
        conn: &Connection,
        row: &Row<'_>,
        walked: &mut Walked,
    ) -> Result<ControlFlow<()>, StoreError> {
        walked.looked_at += 1;
        let seq = rows::get(row, "seq")?;
        if self.matches(conn, seq)? {
            walked.matched += 1;
            if walked.seqs.len() == self.filter.limit {
                walked.next.clone_from(&walked.end);
                if !self.counts() {
                    return Ok(ControlFlow::Break(()));
                }
            } else if walked.matched > self.offset {
                walked.seqs.push(seq);
                if walked.seqs.len() == self.filter.limit {
                    walked.end = Some(self.cursor(row)?);
                }
            }
        }
        if self.filter.text.is_none() || walked.looked_at < SEARCHED {
            return Ok(ControlFlow::Continue(()));
        }
        walked.gave_up = true;
        walked.next = Some(walked.end.take().map_or_else(|| self.cursor(row), Ok)?);
        Ok(ControlFlow::Break(()))
    }

    fn matches(&self, conn: &Connection, seq: i64) -> Result<bool, StoreError> {
        let Some(text) = &self.filter.text else { return Ok(true) };
        conn.prepare_cached(MATCHES)
            .and_then(|mut select| select.query_row(params![seq, text], |row| row.get(0)))
            .map_err(fault)
    }

    /// Whether the walk goes on behind the page, to count what matches.
    fn counts(&self) -> bool {
        self.filter.text.is_some() && self.after.is_none()
    }

    /// How many rows the walk looks at, at most.
    fn reach(&self) -> usize {
        match self.filter.text {
            Some(_) => SEARCHED,
            None => self.offset.saturating_add(self.filter.limit).saturating_add(1),
        }
    }

    fn bind(&self, select: &mut Statement<'_>) -> rusqlite::Result<()> {
        let key: &dyn ToSql = match self.after.map(|place| &place.key) {
            Some(Key::At(at)) => &At(*at),
            Some(Key::Name(name)) => name,
            Some(Key::Never) | None => &Null,
        };
        let seq = self.after.map(|place| place.seq);
        let values: [(&str, &dyn ToSql); 3] =
            [(":key", key), (":seq", &seq), (":reach", &rows::int(self.reach()))];
        for (name, value) in values {
            // Not every stage asks for all of them.
            if let Some(index) = select.parameter_index(name)? {
                select.raw_bind_parameter(index, value)?;
            }
        }
        Ok(())
    }

    /// The place right behind this row.
    fn cursor(&self, row: &Row<'_>) -> Result<JobCursor, StoreError> {
        let key = match self.order.by {
            JobSort::Name => Key::Name(rows::get(row, "key")?),
            JobSort::NextRunAt | JobSort::UpdatedAt => rows::at_opt(row, "key")?.map_or(Key::Never, Key::At),
        };
        Ok(JobCursor { order: self.order, place: Place { key, seq: rows::get(row, "seq")? } })
    }

    /// The statements that list the jobs, one after the other.
    fn stages(&self) -> Vec<String> {
        match self.order.by {
            JobSort::Name => self.stages_by("name COLLATE NOCASE", &self.of_each_state()),
            JobSort::UpdatedAt => vec![self.by_update()],
            JobSort::NextRunAt => {
                let mut stages = Vec::new();
                if self.filter.enabled != Some(false) && self.after_key() != Some(&Key::Never) {
                    // What waits for an instant is enabled.
                    stages.extend(self.stages_by("next_run_at", &waiting_in_each_lane()));
                }
                stages.push(self.never_due());
                stages
            }
        }
    }

    /// The stages of a list in the order of `key`: where it begins amid equals, the rest of these come first.
    fn stages_by(&self, key: &str, strands: &[String]) -> Vec<String> {
        let beyond = self.beyond();
        let stage = |further: &str, order: &str| Self::merged(key, "jobs", strands, further, order);
        let whole_order = format!("key {0}, seq {0}", self.direction());
        if self.after.is_none() {
            return vec![stage("", &whole_order)];
        }
        vec![
            stage(&format!(" AND {key} = :key AND seq {beyond} :seq"), &format!("seq {}", self.direction())),
            stage(&format!(" AND {key} {beyond} :key"), &whole_order),
        ]
    }

    /// Without an index: all jobs are looked at, and those of the page are kept. An index that is in another order would be
    /// a detour to each of them.
    fn by_update(&self) -> String {
        let of_state = match self.filter.enabled {
            None => "removed = 0".to_owned(),
            Some(enabled) => format!("removed = 0 AND enabled = {}", i32::from(enabled)),
        };
        let further = match self.after {
            None => String::new(),
            Some(_) => format!(" AND (updated_at, seq) {} (:key, :seq)", self.beyond()),
        };
        let order = format!("key {0}, seq {0}", self.direction());
        Self::merged("updated_at", "jobs NOT INDEXED", &[of_state], &further, &order)
    }

    /// The jobs that wait for no instant, by their age.
    fn never_due(&self) -> String {
        let strands: Vec<String> = self
            .of_each_state()
            .into_iter()
            .map(|state| format!("{state} AND next_run_at IS NULL"))
            .collect();
        let further = match self.after_key() {
            Some(Key::Never) => format!(" AND seq {} :seq", self.beyond()),
            _ => String::new(),
        };
        Self::merged("NULL", "jobs", &strands, &further, &format!("seq {}", self.direction()))
    }

    fn merged(key: &str, from: &str, strands: &[String], further: &str, order: &str) -> String {
        let select =
            |strand: &String| format!("SELECT {key} AS key, seq FROM {from} WHERE {strand}{further}");
        let strands: Vec<String> = strands.iter().map(select).collect();
        format!("{} ORDER BY {order} LIMIT :reach", strands.join(" UNION ALL "))
    }

    fn of_each_state(&self) -> Vec<String> {
        let state = |enabled: &bool| format!("removed = 0 AND enabled = {}", i32::from(*enabled));
        either(self.filter.enabled).iter().map(state).collect()
    }

    fn after_key(&self) -> Option<&Key> {
        self.after.map(|place| &place.key)
    }

    const fn beyond(&self) -> &'static str {
        if self.order.descending { "<" } else { ">" }
    }

    const fn direction(&self) -> &'static str {
        if self.order.descending { "DESC" } else { "ASC" }
    }
}

/// No job of the hooks' lane waits for an instant.
fn waiting_in_each_lane() -> [String; 2] {
    [Lane::Instant, Lane::Slot]
        .map(|lane| format!("lane = '{}' AND next_run_at IS NOT NULL", rows::lane_word(lane)))
}

#[cfg(test)]
mod tests;
