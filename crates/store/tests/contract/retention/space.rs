//! The room that the store takes.

use clawhook_store::{PruneCursor, PruneNext, Retention, Verdict};

use super::{DAY_MS, deliver, done, known, prune, rows};
use crate::outbox::settle_all;
use crate::world::{World, finish, t};

fn at_most(bytes: u64) -> Retention {
    Retention { max_bytes: Some(bytes), ..Retention::KEEP_ALL }
}

/// Runs whose events take about so many bytes each.
async fn fill(world: &World, runs: i64, bytes: usize) -> clawhook_model::Job {
    let job = world.add("large").await;
    for second in 1..=runs {
        let due = t(second * 1000);
        let (_, run) = world.claim(&job, due, Some(due.plus_millis(1000))).await;
        let mut end = finish(&job, &run, done(), due);
        end.event = vec![b'x'; bytes].into();
        world.store.finish_run(end).await.expect("the run is stored");
    }
    job
}

fn file(world: &World) -> u64 {
    std::fs::metadata(world.path()).expect("the store's file").len()
}

#[tokio::test]
async fn a_store_that_takes_too_much_room_forgets_its_oldest_history_and_the_disk_has_it_back() {
    let world = World::new();
    let job = fill(&world, 60, 100_000).await;
    settle_all(&world, t(70_000), Verdict::Delivered).await;
    world.store.fold_log().await.unwrap();
    assert!(file(&world) > 6_000_000);
    prune(&world, &at_most(3_000_000), t(80_000)).await;
    let left = known(&world, &job).await;
    assert!((2..=30).contains(&left.len()), "{left:?}");
    assert_eq!(left.last(), Some(&60));
    let size = world.store.size().await.unwrap();
    assert!(size.bytes - size.free <= 3_000_000, "{size:?}");
    let mut given_back = 0;
    loop {
        let reclaimed = world.store.reclaim(512 * 1024).await.unwrap();
        // What tells where pages belong may go with them.
        assert!(reclaimed.bytes <= 520 * 1024, "{reclaimed:?}");
        given_back += reclaimed.bytes;
        if reclaimed.bytes == 0 {
            assert_eq!(reclaimed.free, 0);
            break;
        }
    }
    assert!(given_back >= size.free);
    world.store.fold_log().await.unwrap();
    assert_eq!(file(&world), size.bytes - given_back);
    let world = world.reopen();
    assert_eq!(known(&world, &job).await, left);
}

#[tokio::test]
async fn where_nothing_may_go_it_is_told_what_holds_the_room() {
    let world = World::new();
    let job = fill(&world, 3, 100).await;
    settle_all(&world, t(10_000), Verdict::Dead).await;
    fill_more(&world, &job).await;
    let (mut cursor, mut held) = (PruneCursor::default(), None);
    loop {
        let pruned = world.store.prune(&at_most(1), cursor, t(20_000)).await.unwrap();
        held = held.or(pruned.held);
        assert_eq!(pruned.rows.runs, 0);
        match pruned.then {
            PruneNext::Step(next) => cursor = next,
            PruneNext::Pass(_) => break,
        }
    }
    let held = held.expect("it is told");
    assert_eq!((held.deliveries_open, held.deliveries_dead), (1, 3));
    settle_all(&world, t(20_000), Verdict::Delivered).await;
    prune(&world, &at_most(1), t(20 * DAY_MS)).await;
    assert_eq!(rows(&world, "runs"), 1);
}

async fn fill_more(world: &World, job: &clawhook_model::Job) {
    world.run(job, t(4000)).await;
}

#[tokio::test]
async fn a_new_store_can_give_room_back_and_one_that_was_made_otherwise_works_on() {
    let mode = |world: &World| {
        let conn = rusqlite::Connection::open(world.path()).unwrap();
        conn.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let world = World::new();
    assert_eq!(mode(&world), 2, "incremental");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = NONE; CREATE TABLE was_here (x); DROP TABLE was_here").unwrap();
    drop(conn);
    let old = World::at(folder, "old.db");
    let job = old.add("works").await;
    deliver(&old, &job, 1, 40).await;
    assert_eq!(mode(&old), 0);
    prune(&old, &super::newest(1), t(60_000)).await;
    let reclaimed = old.store.reclaim(1 << 20).await.unwrap();
    assert_eq!(reclaimed.bytes, 0);
    assert!(reclaimed.free > 0);
}
