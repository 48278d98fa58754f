//! Every list goes through an index, whatever it asks for, and its pages show each job once and in order.

use super::*;
use crate::sqlite::schema;

/// A store of so many jobs; every tenth is disabled, and every seventh of the others waits for no instant. Many share
/// a name, an instant, a last change.
fn filled(jobs: i64) -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, std::path::Path::new("memory")).unwrap();
    conn.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1) \
         INSERT INTO jobs (id, definition, name, agent_id, enabled, lane, next_run_at, created_at, updated_at) \
         SELECT 'job-' || i, ?2, CASE i % 2 WHEN 0 THEN 'Job ' ELSE 'job ' END || (i * 7919 % (?1 / 4)), 'main', \
         i % 10 <> 0, CASE i % 3 WHEN 0 THEN 'instant' ELSE 'slot' END, \
         CASE WHEN i % 10 = 0 OR i % 7 = 0 THEN NULL ELSE i * 7919 % (?1 / 5) END, 0, i * 104729 % (?1 / 3) FROM n",
        params![
            jobs,
            r#"{"name":"n","schedule":{"kind":"every","everyMs":1000,"anchorMs":0},"payload":{"kind":"systemEvent","text":"t"}}"#
        ],
    )
    .unwrap();
    conn
}

fn orders() -> impl Iterator<Item = JobOrder> {
    let sorts = [JobSort::NextRunAt, JobSort::UpdatedAt, JobSort::Name];
    sorts.into_iter().flat_map(|by| [false, true].map(|descending| JobOrder { by, descending }))
}

fn lists(orders: impl Iterator<Item = JobOrder>) -> impl Iterator<Item = (JobOrder, JobFilter)> {
    orders.flat_map(|order| {
        [None, Some(true), Some(false)].map(|enabled| {
            (order, JobFilter { enabled, text: None, start: PageStart::Offset(order, 0), limit: 50 })
        })
    })
}

fn plans(conn: &Connection, filter: &JobFilter) -> Vec<String> {
    let mut plans = Vec::new();
    for stage in Walk::new(filter).stages() {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {stage}")).unwrap();
        let lines = explain.raw_query().mapped(|row| row.get::<_, String>("detail"));
        plans.extend(lines.map(Result::unwrap));
    }
    plans
}

fn ids(page: &JobPage) -> impl Iterator<Item = String> {
    page.jobs.iter().map(|job| job.id.to_string())
}

#[test]
fn a_page_of_a_hundred_thousand_jobs_is_found_in_indexes_alone_where_it_begins() {
    let conn = filled(100_000);
    let indexed = orders().filter(|order| order.by != JobSort::UpdatedAt);
    for (order, first) in lists(indexed) {
        let next = page(&conn, &first).unwrap().next.unwrap();
        let further = JobFilter { start: PageStart::After(next), ..first.clone() };
        let never = Place { key: Key::Never, seq: 500 };
        let never = (order.by == JobSort::NextRunAt).then(|| JobFilter {
            start: PageStart::After(JobCursor { order, place: never }),
            ..first.clone()
        });
        for list in [Some(first), Some(further), never].into_iter().flatten() {
            for line in plans(&conn, &list) {
                let merges = ["LEFT", "RIGHT", "MERGE (UNION ALL)"].contains(&line.as_str());
                assert!(merges || line.starts_with("SEARCH jobs USING COVERING INDEX"), "{list:?}: {line}");
            }
        }
    }
}

#[test]
fn a_list_by_the_last_change_keeps_no_more_than_its_page_and_avoids_detours() {
    let conn = filled(1000);
    for (_, list) in lists(orders().filter(|order| order.by == JobSort::UpdatedAt)) {
        assert_eq!(plans(&conn, &list), ["SCAN jobs", "USE TEMP B-TREE FOR ORDER BY"]);
        assert!(Walk::new(&list).stages().concat().ends_with("LIMIT :reach"));
    }
}

#[test]
fn pages_by_cursor_and_pages_by_offset_show_each_job_once_and_in_order() {
    let conn = filled(1000);
    for (JobOrder { by, descending }, list) in lists(orders()) {
        let way = if descending { "DESC" } else { "ASC" };
        let order = match by {
            JobSort::NextRunAt => format!("next_run_at IS NULL, next_run_at {way}"),
            JobSort::UpdatedAt => format!("updated_at {way}"),
            JobSort::Name => format!("lower(name) {way}"),
        };
        let mut select = conn
            .prepare(&format!(
                "SELECT id FROM jobs WHERE ?1 IS NULL OR enabled = ?1 ORDER BY {order}, seq {way}"
            ))
            .unwrap();
        let all = select.query_map([list.enabled], |row| row.get(0)).unwrap();
        let all: Vec<String> = all.map(Result::unwrap).collect();

        let (mut by_cursor, mut by_offset) = (Vec::new(), Vec::new());
        let mut next = JobFilter { limit: 37, ..list.clone() };
        loop {
            let page = page(&conn, &next).unwrap();
            assert_eq!(page.total, JobTotal::Exactly(all.len()));
            by_cursor.extend(ids(&page));
            let Some(cursor) = page.next else { break };
            next.start = PageStart::After(cursor.to_string().parse().unwrap());
        }
        while by_offset.len() < all.len() {
            let start = PageStart::Offset(JobOrder { by, descending }, by_offset.len());
            by_offset.extend(ids(&page(&conn, &JobFilter { start, limit: 41, ..list.clone() }).unwrap()));
        }
        assert_eq!(by_cursor, all, "{list:?}");
        assert_eq!(by_offset, all, "{list:?}");
    }
}

#[test]
fn a_search_ends_after_so_many_jobs_says_so_and_goes_on_from_there() {
    let conn = filled(rows::int(SEARCHED + 20));
    conn.execute("UPDATE jobs SET description = 'needle' WHERE seq IN (7, ?1)", [rows::int(SEARCHED + 3)])
        .unwrap();
    conn.execute("UPDATE jobs SET name = seq + 1000000", []).unwrap();
    let order = JobOrder { by: JobSort::Name, descending: false };
    let first = JobFilter {
        enabled: None,
        text: Some("NEEDLE".to_owned()),
        start: PageStart::Offset(order, 0),
        limit: 50,
    };
    let found = page(&conn, &first).unwrap();
    assert_eq!((found.jobs.len(), found.total), (1, JobTotal::AtLeast(1)));
    let rest = page(&conn, &JobFilter { start: PageStart::After(found.next.unwrap()), ..first }).unwrap();
    assert_eq!((rest.jobs.len(), rest.total, rest.next), (1, JobTotal::Unknown, None));
}

#[test]
fn jobs_are_counted_through_every_change() {
    let conn = filled(100);
    let counts = || (count(&conn, true).unwrap(), count(&conn, false).unwrap());
    assert_eq!(counts(), (90, 10));
    conn.execute("UPDATE jobs SET enabled = 1 - enabled WHERE seq <= 20", []).unwrap();
    assert_eq!(counts(), (74, 26));
    conn.execute("UPDATE jobs SET removed = 1, enabled = 0, next_run_at = NULL WHERE seq <= 5", []).unwrap();
    conn.execute("DELETE FROM jobs WHERE seq BETWEEN 4 AND 8", []).unwrap();
    let counted = |enabled: bool| {
        let sql = "SELECT count(*) FROM jobs WHERE removed = 0 AND enabled = ?1";
        u64::try_from(conn.query_row(sql, [enabled], |row| row.get::<_, i64>(0)).unwrap()).unwrap()
    };
    assert_eq!(counts(), (counted(true), counted(false)));
    assert_eq!(counted(true) + counted(false), 92);
}
