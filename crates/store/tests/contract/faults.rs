//! A store that is damaged, foreign, newer, full or locked says so and loses nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clawhook_model::RunOutcome;
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{JobFilter, JobOrder, JobTotal, PageStart, RunFinished, Store, StoreError};
use serde_json::json;

use crate::world::{T0, World, finish, job, open, t};

/// A closed store with a hundred jobs in it.
async fn filled(path: &Path) {
    let store = open(path).expect("a store");
    for number in 0..100 {
        store.insert_job(job(&format!("job-{number}"), &json!({}))).await.expect("the job is stored");
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhook.db");
    let letter = b"this is a letter, not a database; please keep it".repeat(100);
    fs::write(&path, &letter).unwrap();
    let error = open(&path).err().expect("it is refused");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), letter);
}

#[tokio::test]
async fn a_damaged_store_is_found_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhook.db");
    filled(&path).await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let error = open(&path).err().expect("the damage is found");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert!(error.hint().contains("restore a backup"));
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhook.db");
    filled(&path).await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 999).unwrap();
    drop(conn);
    let error = open(&path).err().expect("it is refused");
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
}

#[tokio::test]
async fn a_full_store_refuses_what_is_new_keeps_what_it_has_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clawhook.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_within(&path, "the test", T0, Some(64)).unwrap());
    let mut accepted = 0;
    let error = loop {
        let text = json!({ "kind": "systemEvent", "text": "x".repeat(8000) });
        match store.insert_job(job(&format!("job-{accepted}"), &json!({ "payload": text }))).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!(store.fault(), Some(error));
    let everything =
        JobFilter { enabled: None, text: None, start: PageStart::Offset(JobOrder::default(), 0), limit: 1 };
    assert_eq!(store.jobs(everything.clone()).await.unwrap().total, JobTotal::Exactly(accepted));
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.jobs(everything).await.unwrap().total, JobTotal::Exactly(accepted));
    store.insert_job(job("one-more", &json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_write_that_failed_left_nothing_behind_and_can_be_made_again() {
    let world = World::new();
    let job = world.add("again").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    // A foreign program that holds the write lock for longer than the store waits makes the commit fail.
    let blocker = rusqlite::Connection::open(world.path()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let end = finish(&job, &run, RunOutcome::ok("kept"), t(1500));
    assert!(world.store.finish_run(end.clone()).await.is_err());
    assert!(world.store.fault().is_some());
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(world.store.finish_run(end).await.unwrap(), RunFinished::Done);
    assert_eq!(world.store.fault(), None);
    assert_eq!(world.lease(t(1500)).await.len(), 1);
}
