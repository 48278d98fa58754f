//! What may go next: each look reads a bounded number of rows, and the next one goes on behind them.

use clawhook_model::{JobId, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::rows::{self, At};
use super::super::{fault, outbox};
use super::{Kept, ROWS_AT_ONCE, RUNS_AT_ONCE, Work, before, earliest_open, last_record, size};
use crate::retention::{PruneMark, PruneStage};
use crate::{HeldSpace, KEY_LIFE, PruneCursor, PruneNext, Retention, StoreError};

/// How many rows a look passes over at most.
const SCANNED: usize = 4096;
/// How many jobs a look asks about at most, and how many a pass does.
const JOBS_AT_ONCE: usize = 500;
const JOBS_A_PASS: usize = 20_000;
/// How much of a conversation is kept, and how many texts wait for a turn of it, whatever their age.
const CONVERSATION: usize = 2_000;
/// How many events of no run are kept, whatever their age.
const NOTICES: usize = 100_000;
/// For how long it is kept what was spent.
const SPENDING_DAYS: i64 = 400;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a look has found.
#[derive(Debug)]
pub(in super::super) struct Found {
    /// What may go, where there is something.
    pub(in super::super) work: Option<Work>,
    /// Where to look next.
    pub(in super::super) then: PruneNext,
    /// Why the store takes more room than it may, where nothing of it may go.
    pub(in super::super) held: Option<HeldSpace>,
}

/// What a look at one stage has brought.
struct Look {
    work: Option<Work>,
    /// Where the stage goes on; without it, the stage is over.
    after: Option<PruneMark>,
}

impl Look {
    const OVER: Self = Self { work: None, after: None };

    fn at(work: Work, after: PruneMark) -> Self {
        Self { work: Some(work), after: Some(after) }
    }
}

/// Looks for what may go, from a cursor on, until it has found something or has looked for long enough.
pub(in super::super) fn find(
    conn: &Connection,
    rules: &Retention,
    mut cursor: PruneCursor,
    now: UnixMs,
) -> Result<Found, StoreError> {
    let mut held = None;
    loop {
        let stage = cursor.stage;
        let finder = Finder { conn, rules, now, kept: Kept::now(conn, rules, now)? };
        let Look { work, after } = finder.look(&mut cursor)?;
        let is_over = after.is_none();
        cursor.after = after.unwrap_or_default();
        if is_over && stage == PruneStage::Bytes {
            held = finder.held()?;
        }
        let then = match (is_over, following(stage)) {
            (false, _) => PruneNext::Step(cursor),
            (true, Some(next)) => {
                cursor = PruneCursor { stage: next, jobs: 0, ..cursor };
                if work.is_none() && held.is_none() {
                    continue;
                }
                PruneNext::Step(cursor)
            }
            (true, None) => PruneNext::Pass(PruneCursor {
                stage: PruneStage::default(),
                goes_on: true,
                jobs: 0,
                ..cursor
            }),
        };
        return Ok(Found { work, then, held });
    }
}

fn following(stage: PruneStage) -> Option<PruneStage> {
    use PruneStage::{
        Bytes, CleanedSessions, Conversations, Ledger, Notices, OldRuns, OldSessions, Replays, Requests,
        RunsPerJob, Spending,
    };
    match stage {
        CleanedSessions => Some(OldSessions),
        OldSessions => Some(OldRuns),
        OldRuns => Some(RunsPerJob),
        RunsPerJob => Some(Bytes),
        Bytes => Some(Ledger),
        Ledger => Some(Notices),
        Notices => Some(Requests),
        Requests => Some(Replays),
        Replays => Some(Conversations),
        Conversations => Some(Spending),
        Spending => None,
    }
}

/// Looks, from one snapshot, by the rules as they are.
struct Finder<'a> {
    conn: &'a Connection,
    rules: &'a Retention,
    now: UnixMs,
    kept: Kept,
}

/// A row of a walk from the oldest to the newest.
struct Walked {
    row: i64,
    is_old: bool,
    may_go: bool,
}

/// How far a walk came.
struct Walk {
    may_go: Vec<i64>,
    last: Option<i64>,
    /// The last row before the first one that is not old.
    old_upto: Option<i64>,
    any_old: bool,
    is_full: bool,
}

impl Walk {
    /// What may go, and where the walk goes on: a pass that others went before ends where nothing is old any more.
    fn into_look(self, goes_on: bool, seen: &mut i64, of: fn(Vec<i64>) -> Work) -> Look {
        *seen = self.old_upto.unwrap_or(*seen);
        let may_go_on = self.is_full && (self.any_old || !goes_on);
        let after = self.last.filter(|_| may_go_on).map(PruneMark::Row);
        Look { work: self.into_work(of), after }
    }

    fn into_work(self, of: fn(Vec<i64>) -> Work) -> Option<Work> {
        (!self.may_go.is_empty()).then(|| of(self.may_go))
    }
}

impl Finder<'_> {
    fn look(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        match cursor.stage {
            PruneStage::CleanedSessions => self.cleaned_sessions(),
            PruneStage::OldSessions => self.old_sessions(cursor),
            PruneStage::OldRuns => self.old_runs(cursor),
            PruneStage::RunsPerJob => self.runs_per_job(cursor),
            PruneStage::Bytes => self.bytes(cursor),
            PruneStage::Ledger => self.ledger(cursor),
            PruneStage::Notices => self.notices(cursor),
            PruneStage::Requests => self.requests(cursor),
            PruneStage::Replays => self.replays(),
            PruneStage::Conversations => self.conversations(cursor),
            PruneStage::Spending => self.spending(),
        }
    }

    /// Sessions that go as soon as what their runs sent has arrived, or was given up.
    fn cleaned_sessions(&self) -> Result<Look, StoreError> {
        let sql = format!(
            "SELECT s.rowid FROM sessions s WHERE s.cleanup = 1 AND {} LIMIT ?1",
            Kept::SESSION_MAY_GO
        );
        let rows = self.rows(&sql, [rows::int(RUNS_AT_ONCE)])?;
        Ok(if rows.is_empty() { Look::OVER } else { Look::at(Work::Sessions(rows), PruneMark::Start) })
    }

    fn old_sessions(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        let Some(age) = self.rules.session_max_age else { return Ok(Look::OVER) };
        let sql = format!(
            "SELECT s.rowid, s.created_at < ?2 AS is_old, CASE WHEN s.created_at < ?2 THEN {} ELSE 0 END AS may_go FROM sessions s \
             WHERE s.rowid > ?1 AND s.run_id IS NOT NULL ORDER BY s.rowid LIMIT ?3",
            Kept::SESSION_MAY_GO
        );
        let from = walked_to(&cursor.after, cursor.goes_on, cursor.sessions_seen);
        let walk = self.walk(&sql, params![from, At(before(self.now, age)), rows::int(SCANNED)])?;
        Ok(walk.into_look(cursor.goes_on, &mut cursor.sessions_seen, Work::Sessions))
    }

    fn old_runs(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        let Some(age) = self.rules.history_max_age else { return Ok(Look::OVER) };
        let sql = format!(
            "SELECT r.seq, r.queued_at < ?5 AS is_old, CASE WHEN r.ended_at < ?5 THEN {} ELSE 0 END AS may_go FROM runs r \
             WHERE r.seq > ?4 ORDER BY r.seq LIMIT ?6",
            Kept::RUN_MAY_GO
        );
        let from = walked_to(&cursor.after, cursor.goes_on, cursor.runs_seen);
        let walk = self.walk(
            &sql,
            params![
                At(self.kept.dead_since),
                self.kept.replayed.0,
                self.kept.replayed.1,
                from,
                At(before(self.now, age)),
                rows::int(SCANNED)
            ],
        )?;
        Ok(walk.into_look(cursor.goes_on, &mut cursor.runs_seen, Work::Runs))
    }

    /// Reads rows from the oldest on, until enough of them may go.
    fn walk(&self, sql: &str, values: impl rusqlite::Params) -> Result<Walk, StoreError> {
        let mut select = self.conn.prepare_cached(sql).map_err(fault)?;
        let mut found = select.query(values).map_err(fault)?;
        let mut walk =
            Walk { may_go: Vec::new(), last: None, old_upto: None, any_old: false, is_full: false };
        let (mut passed, mut all_old) = (0, true);
        while let Some(row) = found.next().map_err(fault)? {
            let Walked { row, is_old, may_go } = read_walked(row)?;
            passed += 1;
            walk.last = Some(row);
            walk.any_old |= is_old;
            all_old &= is_old;
            if all_old {
                walk.old_upto = Some(row);
            }
            if may_go {
                walk.may_go.push(row);
            }
            if walk.may_go.len() == RUNS_AT_ONCE {
                break;
            }
        }
        walk.is_full = walk.may_go.len() == RUNS_AT_ONCE || passed == SCANNED;
        Ok(walk)
    }

    fn runs_per_job(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        let Some(most) = self.rules.runs_per_job else { return Ok(Look::OVER) };
        self.each_job("runs", cursor, |finder, job, after| {
            let rows = finder.beyond_newest(job, most, after)?;
            let Some(last) = rows.last().copied() else { return Ok(None) };
            Ok(Some((Work::Runs(rows), last)))
        })
    }

    /// Runs of a job before its `most` newest.
    fn beyond_newest(&self, job: &JobId, most: u32, after: i64) -> Result<Vec<i64>, StoreError> {
        let newest: Option<i64> = self
            .conn
            .prepare_cached("SELECT seq FROM runs WHERE job_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")
            .and_then(|mut select| select.query_row(params![job.as_str(), most], |row| row.get(0)).optional())
            .map_err(fault)?;
        let Some(newest) = newest else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT r.seq FROM runs r WHERE r.job_id = ?4 AND r.seq > ?5 AND r.seq <= ?6 AND {} ORDER BY r.seq LIMIT ?7",
            Kept::RUN_MAY_GO
        );
        let Kept { dead_since, replayed } = self.kept;
        let limit = rows::int(RUNS_AT_ONCE);
        self.rows(&sql, params![At(dead_since), replayed.0, replayed.1, job.as_str(), after, newest, limit])
    }

    /// Asks about job after job of a table. Where a pass ends before it has seen all of them, the next one goes on.
    fn each_job(
        &self,
        table: &str,
        cursor: &mut PruneCursor,
        ask: impl Fn(&Self, &JobId, i64) -> Result<Option<(Work, i64)>, StoreError>,
    ) -> Result<Look, StoreError> {
        let (following, or_itself) = (
            format!("SELECT min(job_id) FROM {table} WHERE job_id > ?1"),
            format!("SELECT min(job_id) FROM {table} WHERE job_id >= ?1"),
        );
        let counted = match cursor.stage {
            PruneStage::Ledger => &mut cursor.ledger_counted,
            PruneStage::Requests => &mut cursor.requests_counted,
            _ => &mut cursor.runs_counted,
        };
        let (mut last, mut within) = match &cursor.after {
            PruneMark::RowOf(job, row) => (Some(job.clone()), Some(*row)),
            PruneMark::Key(job) => (Some(parse_job(job)?), None),
            PruneMark::Start | PruneMark::Row(_) | PruneMark::RowAt(..) => (counted.clone(), None),
        };
        for _ in 0..JOBS_AT_ONCE {
            let sql = if within.is_some() { &or_itself } else { &following };
            let Some(job) = self.next_job(sql, last.as_ref())? else {
                // Behind the last job comes the first one.
                *counted = None;
                return Ok(Look::OVER);
            };
            let after = within.take().filter(|_| last.as_ref() == Some(&job)).unwrap_or(0);
            if let Some((work, row)) = ask(self, &job, after)? {
                return Ok(Look::at(work, PruneMark::RowOf(job, row)));
            }
            last = Some(job);
        }
        cursor.jobs += JOBS_AT_ONCE;
        if cursor.jobs >= JOBS_A_PASS {
            *counted = last;
            return Ok(Look::OVER);
        }
        let after = last.map(|job| PruneMark::Key(job.to_string()));
        Ok(Look { work: None, after })
    }

    fn next_job(&self, sql: &str, last: Option<&JobId>) -> Result<Option<JobId>, StoreError> {
        let next: Option<String> = self
            .conn
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([last.map_or("", JobId::as_str)], |row| row.get(0)))
            .map_err(fault)?;
        next.as_deref().map(parse_job).transpose()
    }

    /// The oldest runs of whatever job, while the store takes more room than it may.
    fn bytes(&self, cursor: &PruneCursor) -> Result<Look, StoreError> {
        if self.excess()?.is_none() {
            return Ok(Look::OVER);
        }
        let sql = format!(
            "SELECT r.seq, 1 AS is_old, {} AS may_go FROM runs r WHERE r.seq > ?4 ORDER BY r.seq LIMIT ?5",
            Kept::RUN_MAY_GO
        );
        let Kept { dead_since, replayed } = self.kept;
        let from = walked_to(&cursor.after, false, 0);
        let values = params![At(dead_since), replayed.0, replayed.1, from, rows::int(SCANNED)];
        let walk = self.walk(&sql, values)?;
        // What is older than the runs that would go, goes before them.
        let notices = self.notices_before(walk.may_go.first().copied())?;
        if !notices.is_empty() {
            return Ok(Look { work: Some(Work::Notices(notices)), after: Some(PruneMark::Row(from)) });
        }
        let after = walk.last.filter(|_| walk.is_full || !walk.may_go.is_empty()).map(PruneMark::Row);
        Ok(Look { work: walk.into_work(Work::Runs), after })
    }

    /// The oldest events of no run that may go, as far as they are older than a run; without one, of whatever age.
    fn notices_before(&self, run: Option<i64>) -> Result<Vec<i64>, StoreError> {
        let queued_at: Option<At> = match run {
            Some(seq) => self
                .conn
                .prepare_cached("SELECT queued_at FROM runs WHERE seq = ?1")
                .and_then(|mut select| select.query_row([seq], |row| row.get(0)).optional())
                .map_err(fault)?,
            None => None,
        };
        let before = queued_at.map_or(UnixMs::from_millis(i64::MAX), |at| at.0);
        let look = self.old_notices(before, (UnixMs::from_millis(i64::MIN), 0), SCANNED)?;
        Ok(look.0)
    }

    /// How much room is taken, where that is more than may be.
    fn excess(&self) -> Result<Option<u64>, StoreError> {
        let Some(most) = self.rules.max_bytes else { return Ok(None) };
        let size = size(self.conn)?;
        let taken = size.bytes.saturating_sub(size.free);
        Ok((taken > most).then_some(taken))
    }

    fn held(&self) -> Result<Option<HeldSpace>, StoreError> {
        let Some(bytes) = self.excess()? else { return Ok(None) };
        let counts = outbox::counts(self.conn, self.now)?;
        let dead = counts.deliveries_dead;
        Ok(Some(HeldSpace {
            bytes,
            deliveries_open: counts.deliveries_open,
            deliveries_dead: dead.receiver + dead.configuration + dead.gateway,
        }))
    }

    fn ledger(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        if self.rules.runs_per_job.is_none() && self.rules.history_max_age.is_none() {
            return Ok(Look::OVER);
        }
        self.each_job("occurrences", cursor, |finder, job, _| {
            let upto = finder.forgettable(job)?;
            Ok(upto.map(|upto| (Work::Occurrences(job.clone(), upto), 0)))
        })
    }

    /// The instant up to which a job's next records may be forgotten.
    fn forgettable(&self, job: &JobId) -> Result<Option<UnixMs>, StoreError> {
        let beyond = self.rules.runs_per_job.map(|most| self.beyond_newest_record(job, most)).transpose()?;
        let beyond = beyond.flatten();
        let old = self.rules.history_max_age.map(|age| before(self.now, age));
        let first_in_use = [earliest_open(self.conn, job)?, last_record(self.conn, job)?];
        let first_in_use = first_in_use.into_iter().flatten().min();
        let mut select = self
            .conn
            .prepare_cached(
                "SELECT due_at, recorded_at FROM occurrences WHERE job_id = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3",
            )
            .map_err(fault)?;
        // What lies ahead was recorded under a wrong clock; its floor would keep the job from running.
        let mut found =
            select.query(params![job.as_str(), At(self.now), rows::int(ROWS_AT_ONCE)]).map_err(fault)?;
        let mut upto = None;
        while let Some(row) = found.next().map_err(fault)? {
            let (due_at, recorded_at) = (rows::at(row, "due_at")?, rows::at(row, "recorded_at")?);
            let may_go = beyond.is_some_and(|beyond| due_at <= beyond)
                || old.is_some_and(|old| due_at < old && recorded_at < old);
            if !may_go || first_in_use.is_some_and(|first| first <= due_at) {
                break;
            }
            upto = Some(due_at);
        }
        Ok(upto)
    }

    /// The newest of a job's records before its `most` newest.
    fn beyond_newest_record(&self, job: &JobId, most: u32) -> Result<Option<UnixMs>, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT due_at FROM occurrences WHERE job_id = ?1 ORDER BY due_at DESC LIMIT 1 OFFSET ?2",
            )
            .and_then(|mut select| {
                select.query_row(params![job.as_str(), most], |row| row.get::<_, At>(0)).optional()
            })
            .map(|found| found.map(|at| at.0))
            .map_err(fault)
    }

    /// Requests to hooks whose runs and events have gone. While the store takes too much room, those whose keys are still
    /// needed give up their bodies.
    fn requests(&self, cursor: &mut PruneCursor) -> Result<Look, StoreError> {
        let is_full = self.excess()?.is_some();
        self.each_job("hook_requests", cursor, |finder, hook, after| {
            let rows = finder.old_requests(hook, after, is_full)?;
            if let Some(last) = rows.last().copied() {
                return Ok(Some((Work::Requests(rows), last)));
            }
            if !is_full {
                return Ok(None);
            }
            let sql = "SELECT q.seq FROM hook_requests q WHERE q.job_id = ?1 AND q.seq > ?2 AND length(q.body) > 0 \
                       AND q.completed_at IS NOT NULL ORDER BY q.seq LIMIT ?3";
            let rows = finder.rows(sql, params![hook.as_str(), after, rows::int(ROWS_AT_ONCE)])?;
            Ok(rows.last().copied().map(|last| (Work::RequestBodies(rows), last)))
        })
    }

    fn old_requests(&self, hook: &JobId, after: i64, is_full: bool) -> Result<Vec<i64>, StoreError> {
        let beyond: Option<Option<i64>> = self
            .rules
            .runs_per_job
            .map(|most| {
                self.conn
                    .prepare_cached(
                        "SELECT seq FROM hook_requests WHERE job_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2",
                    )
                    .and_then(|mut select| {
                        select.query_row(params![hook.as_str(), most], |row| row.get(0)).optional()
                    })
                    .map_err(fault)
            })
            .transpose()?;
        let never = UnixMs::from_millis(i64::MIN);
        let old = self.rules.history_max_age.map_or(never, |age| before(self.now, age));
        let sql = format!(
            "SELECT q.seq FROM hook_requests q WHERE q.job_id = ?1 AND q.seq > ?2 \
             AND (q.seq <= ?3 OR q.received_at < ?4 OR ?5) AND (q.idempotency IS NULL OR q.completed_at < ?6) \
             AND {} ORDER BY q.seq LIMIT ?7",
            Kept::REQUEST_MAY_GO
        );
        let values = params![
            hook.as_str(),
            after,
            beyond.flatten().unwrap_or(0),
            At(old),
            is_full,
            At(before(self.now, KEY_LIFE)),
            rows::int(ROWS_AT_ONCE)
        ];
        self.rows(&sql, values)
    }

    /// Events of no run that are too old, or too many.
    fn notices(&self, cursor: &PruneCursor) -> Result<Look, StoreError> {
        let old = self.rules.history_max_age.map(|age| before(self.now, age));
        let is_bounded = old.is_some() || self.rules.runs_per_job.is_some() || self.rules.max_bytes.is_some();
        let beyond = if is_bounded { self.beyond_newest_notice()? } else { None };
        let Some(before) = old.max(beyond) else { return Ok(Look::OVER) };
        let from = match cursor.after {
            PruneMark::RowAt(at, row) => (at, row),
            _ => (UnixMs::from_millis(i64::MIN), 0),
        };
        let (may_go, after) = self.old_notices(before, from, ROWS_AT_ONCE)?;
        Ok(Look { work: (!may_go.is_empty()).then_some(Work::Notices(may_go)), after })
    }

    /// The instant of the newest event of no run before the `NOTICES` newest.
    fn beyond_newest_notice(&self) -> Result<Option<UnixMs>, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT created_at FROM events WHERE run_id IS NULL ORDER BY created_at DESC LIMIT 1 OFFSET ?1",
            )
            .and_then(|mut select| {
                select.query_row([rows::int(NOTICES)], |row| row.get::<_, At>(0)).optional()
            })
            .map(|found| found.map(|at| at.0))
            .map_err(fault)
    }

    /// Events of no run that may go, the oldest first, and up to which one was looked: those before an instant, behind a row.
    fn old_notices(
        &self,
        before: UnixMs,
        (at, after): (UnixMs, i64),
        most: usize,
    ) -> Result<(Vec<i64>, Option<PruneMark>), StoreError> {
        let sql = format!(
            "SELECT e.seq, e.created_at, {} AS may_go FROM events e WHERE e.run_id IS NULL AND e.created_at < ?4 \
             AND e.created_at >= ?5 AND (e.created_at > ?5 OR e.seq > ?6) ORDER BY e.created_at, e.seq LIMIT ?7",
            Kept::NOTICE_MAY_GO
        );
        let Kept { dead_since, replayed } = self.kept;
        let mut select = self.conn.prepare_cached(&sql).map_err(fault)?;
        let values =
            params![At(dead_since), replayed.0, replayed.1, At(before), At(at), after, rows::int(most)];
        let mut found = select.query(values).map_err(fault)?;
        let (mut may_go, mut last) = (Vec::new(), None);
        while may_go.len() < RUNS_AT_ONCE
            && let Some(row) = found.next().map_err(fault)?
        {
            let seq = rows::get(row, "seq")?;
            last = Some(PruneMark::RowAt(rows::at(row, "created_at")?, seq));
            if rows::get(row, "may_go")? {
                may_go.push(seq);
            }
        }
        Ok((may_go, last))
    }

    /// Replays that are over. The newest stays: its row's number must not be given to another, because deliveries name it.
    fn replays(&self) -> Result<Look, StoreError> {
        let Some(age) = self.rules.history_max_age else { return Ok(Look::OVER) };
        let rows = self.rows(
            "SELECT r.seq FROM replays r WHERE r.state <> 'running' AND r.ended_at < ?1 \
             AND r.seq < (SELECT max(seq) FROM replays) AND NOT EXISTS (SELECT 1 FROM deliveries d \
             WHERE d.replay = r.seq AND d.replay IS NOT NULL AND d.settled_at IS NULL) LIMIT ?2",
            params![At(before(self.now, age)), rows::int(ROWS_AT_ONCE)],
        )?;
        Ok(if rows.is_empty() { Look::OVER } else { Look::at(Work::Replays(rows), PruneMark::Start) })
    }

    /// Sessions that are kept: their old entries, what waits in vain for a turn, and in the end they themselves.
    fn conversations(&self, cursor: &PruneCursor) -> Result<Look, StoreError> {
        let mut last = match &cursor.after {
            PruneMark::Key(key) => key.clone(),
            _ => String::new(),
        };
        for _ in 0..JOBS_AT_ONCE {
            let Some(kept) = self.next_conversation(&last)? else { return Ok(Look::OVER) };
            if let Some(work) = self.of_conversation(&kept)? {
                // There may be more of it, so it is looked at once more.
                return Ok(Look { work: Some(work), after: Some(PruneMark::Key(last)) });
            }
            last = kept.key;
        }
        Ok(Look { work: None, after: Some(PruneMark::Key(last)) })
    }

    fn next_conversation(&self, last: &str) -> Result<Option<Conversation>, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT s.rowid, s.key, s.id, s.updated_at, EXISTS (SELECT 1 FROM jobs WHERE id = s.job_id) \
                 FROM sessions s WHERE s.run_id IS NULL AND s.key > ?1 ORDER BY s.key LIMIT 1",
            )
            .and_then(|mut select| {
                select
                    .query_row([last], |row| {
                        Ok(Conversation {
                            row: row.get(0)?,
                            key: row.get(1)?,
                            id: row.get(2)?,
                            updated_at: row.get::<_, At>(3)?.0,
                            is_named: row.get(4)?,
                        })
                    })
                    .optional()
            })
            .map_err(fault)
    }

    fn of_conversation(&self, kept: &Conversation) -> Result<Option<Work>, StoreError> {
        let old = self.rules.history_max_age.map(|age| before(self.now, age));
        // The numbers of rows that wait must not be given to others: a turn may have been told of them. So the newest stays.
        let waiting = "system_events WHERE session_id = ?1 AND seq < (SELECT max(seq) FROM system_events)";
        let texts = self.old_of_conversation(waiting, kept, old)?;
        if !texts.is_empty() {
            return Ok(Some(Work::SystemEvents(texts)));
        }
        let entries = self.old_of_conversation("transcript WHERE session_id = ?1 AND kept = 1", kept, old)?;
        if !entries.is_empty() {
            return Ok(Some(Work::Entries(entries)));
        }
        let is_unused = !kept.is_named && old.is_some_and(|old| kept.updated_at < old);
        Ok((is_unused && self.is_empty(kept)?).then_some(Work::Conversation(kept.row)))
    }

    /// The oldest rows of a session that are too old, or too many.
    fn old_of_conversation(
        &self,
        table: &str,
        kept: &Conversation,
        old: Option<UnixMs>,
    ) -> Result<Vec<i64>, StoreError> {
        let beyond: Option<i64> = self
            .conn
            .prepare_cached(&format!("SELECT seq FROM {table} ORDER BY seq DESC LIMIT 1 OFFSET ?2"))
            .and_then(|mut select| {
                select.query_row(params![kept.id, rows::int(CONVERSATION)], |row| row.get(0)).optional()
            })
            .map_err(fault)?;
        let sql = format!("SELECT seq, at FROM {table} ORDER BY seq LIMIT ?2");
        let mut select = self.conn.prepare_cached(&sql).map_err(fault)?;
        let mut found = select.query(params![kept.id, rows::int(ROWS_AT_ONCE)]).map_err(fault)?;
        let mut rows_to_go = Vec::new();
        while let Some(row) = found.next().map_err(fault)? {
            let (seq, at): (i64, UnixMs) = (rows::get(row, "seq")?, rows::at(row, "at")?);
            if beyond.is_none_or(|beyond| seq > beyond) && old.is_none_or(|old| at >= old) {
                break;
            }
            rows_to_go.push(seq);
        }
        Ok(rows_to_go)
    }

    fn is_empty(&self, kept: &Conversation) -> Result<bool, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM transcript WHERE session_id = ?1 AND kept = 1) \
                 OR EXISTS (SELECT 1 FROM system_events WHERE session_id = ?1)",
            )
            .and_then(|mut select| select.exists([&kept.id]))
            .map(|holds_something| !holds_something)
            .map_err(fault)
    }

    fn spending(&self) -> Result<Look, StoreError> {
        let oldest: Option<i32> = self
            .conn
            .prepare_cached("SELECT min(day) FROM (SELECT min(day) AS day FROM spending UNION ALL SELECT min(day) FROM spending_days)")
            .and_then(|mut select| select.query_row([], |row| row.get(0)))
            .map_err(fault)?;
        let first_kept = self.now.as_millis() / DAY_MS - SPENDING_DAYS;
        let old = oldest.filter(|day| i64::from(*day) < first_kept);
        Ok(old.map_or(Look::OVER, |day| Look::at(Work::Spending(day), PruneMark::Start)))
    }

    fn rows(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<i64>, StoreError> {
        let mut select = self.conn.prepare_cached(sql).map_err(fault)?;
        let found = select.query_map(values, |row| row.get(0)).map_err(fault)?;
        found.collect::<Result<_, _>>().map_err(fault)
    }
}

/// A session that is kept.
struct Conversation {
    row: i64,
    key: String,
    id: [u8; 16],
    updated_at: UnixMs,
    /// Whether the job that ran in it last is still there.
    is_named: bool,
}

/// The row that a walk goes on behind.
fn walked_to(after: &PruneMark, goes_on: bool, seen: i64) -> i64 {
    match after {
        PruneMark::Row(row) => *row,
        _ if goes_on => seen,
        _ => 0,
    }
}

fn read_walked(row: &Row<'_>) -> Result<Walked, StoreError> {
    let read = |row: &Row<'_>| Ok(Walked { row: row.get(0)?, is_old: row.get(1)?, may_go: row.get(2)? });
    read(row).map_err(fault)
}

fn parse_job(text: &str) -> Result<JobId, StoreError> {
    text.parse().map_err(|error| StoreError::BadRow(format!("{error}")))
}
