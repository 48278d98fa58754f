//! Every statement of a pass finds its rows through an index, so that a pass costs what there is to do and not what there
//! is.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::super::schema;
use super::*;
use crate::{PruneCursor, PruneNext};

/// Something of everything, all of it old.
const SOMETHING: &str = "
    INSERT INTO jobs (id, definition, name, agent_id, enabled, lane, created_at, updated_at)
        VALUES ('job', '{}', 'job', 'main', 1, 'slot', 0, 0);
    INSERT INTO runs (id, job_id, job_name, agent_id, trigger, lane, state, session_id, session_key, best_effort,
        queued_at, started_at, ended_at, status) SELECT id, 'job', 'job', 'main', 'schedule', 'slot', 'finished', id, 'own',
        0, 1, 1, 1, 'ok' FROM (SELECT x'00000000000000000000000000000001' AS id
        UNION ALL SELECT x'00000000000000000000000000000002');
    INSERT INTO occurrences VALUES ('job', 1, 'missed', NULL, NULL, 1), ('job', 2, 'missed', NULL, NULL, 2);
    INSERT INTO sessions (id, key, agent_id, job_id, run_id, cleanup, created_at, updated_at)
    SELECT id, 'own', 'main', 'job', id, seq - 1, 1, 1 FROM runs;
    INSERT INTO sessions (id, key, agent_id, job_id, run_id, cleanup, created_at, updated_at)
    VALUES (x'00000000000000000000000000000003', 'kept', 'main', 'gone', NULL, 0, 1, 1);
    INSERT INTO transcript (session_id, run_id, kept, at, role, text)
    VALUES (x'00000000000000000000000000000003', x'00', 1, 1, 'user', 'x');
    INSERT INTO system_events VALUES (1, x'00000000000000000000000000000003', 'main', 'job', NULL, 1, 'x');
    INSERT INTO system_events VALUES (2, x'00000000000000000000000000000004', 'main', 'job', NULL, 1, 'x');
    INSERT INTO events VALUES (1, x'00000000000000000000000000000001', 'job.added', NULL, NULL, NULL, NULL, 1, x'00');
    INSERT INTO hook_requests (id, job_id, path, received_at, completed_at, outcome, answer, headers, body)
        VALUES (x'01', 'hook-a', 'a', 1, 1, 'ignored', '{}', '{}', x''), (x'02', 'hook-a', 'a', 2, 1, 'ignored', '{}', '{}', x'');
    INSERT INTO hook_requests (id, job_id, path, received_at, completed_at, idempotency, outcome, answer, headers,
        body) VALUES (x'03', 'hook-a', 'a', 1, 9223372036854775807, x'01', 'ignored', '{}', '{}', x'01');
    INSERT INTO replays (id, filter, upto, matched, state, created_at, ended_at)
        VALUES (x'01', '{}', 0, 0, 'done', 1, 1), (x'02', '{}', 0, 0, 'done', 1, 1);
    INSERT INTO spending VALUES (1, 'job', 'main', '', '', 1, 0, 1, 1, 1, 1);
    INSERT INTO spending_days VALUES (1, 1, 1, 1);
";

/// The few rows of these are looked through.
const SMALL: [&str; 4] = ["SCAN r", "SCAN replays", "SCAN CONSTANT ROW", "SCAN (subquery"];

fn traced() -> (Connection, Arc<Mutex<BTreeSet<String>>>) {
    let mut conn = Connection::open_in_memory().expect("a store");
    conn.pragma_update(None, "foreign_keys", "OFF").expect("as everywhere");
    schema::migrate(&mut conn, Path::new("in memory")).expect("its tables");
    conn.execute_batch(SOMETHING).expect("its rows");
    let statements: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let seen = statements.clone();
    let note = move |event: TraceEvent<'_>| {
        // A trigger's work is told as a comment.
        if let TraceEvent::Stmt(_, sql) = event
            && !sql.starts_with("--")
        {
            seen.lock().expect("nobody panicked").insert(sql.to_owned());
        }
    };
    conn.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)).expect("statements are told");
    (conn, statements)
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
    let none = vec![rusqlite::types::Null; explain.parameter_count()];
    let steps = explain.query_map(rusqlite::params_from_iter(none), |row| row.get(3)).expect("its steps");
    steps.collect::<Result<_, _>>().expect("each step")
}

#[test]
fn no_statement_of_a_pass_looks_through_the_whole_history() {
    let (mut conn, statements) = traced();
    let age = Some(Duration::from_secs(1));
    let rules =
        Retention { session_max_age: age, history_max_age: age, runs_per_job: Some(1), max_bytes: Some(1) };
    let (mut cursor, mut works) = (PruneCursor::default(), Vec::new());
    loop {
        let now = UnixMs::from_millis(i64::from(i32::MAX) * 1000);
        let Found { work, then, .. } = find(&conn, &rules, cursor, now).expect("it is looked");
        if let Some(work) = work {
            remove(&conn, &work, &rules, now).expect("it goes");
            works.push(work);
        }
        match then {
            PruneNext::Step(next) => cursor = next,
            PruneNext::Pass(_) => break,
        }
    }
    conn.trace_v2(TraceEventCodes::empty(), None::<fn(TraceEvent<'_>)>).expect("no more is told");
    let kinds: HashSet<_> = works.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 11, "everything goes in its turn: {works:?}");
    for sql in statements.lock().expect("nobody panicked").iter().filter(|sql| !sql.starts_with("PRAGMA")) {
        let is_about_runs = sql.contains("FROM runs r");
        for step in plan(&conn, sql) {
            let looks_through = step.starts_with("SCAN") && !step.contains(" USING ");
            let is_small = SMALL.iter().any(|small| step.starts_with(small)) && !is_about_runs;
            assert!(!looks_through || is_small, "{step}: {sql}");
        }
    }
}
