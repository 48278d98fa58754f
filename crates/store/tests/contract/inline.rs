//! The store that works in its callers' hands: what simulated faults do to it is what real ones would.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{Fate, Faults, Store, StoreError};
use serde_json::json;

use crate::world::{T0, job, open};

/// One fault, whatever the operation.
#[derive(Debug)]
struct Always {
    before_commit: Fate,
    survives_commit: bool,
}

#[async_trait]
impl Faults for Always {
    async fn wait(&self) {}

    fn read(&self) -> Fate {
        Fate::Done
    }

    fn before_commit(&self, _: &'static str) -> Fate {
        self.before_commit.clone()
    }

    fn survives_commit(&self, _: &'static str) -> bool {
        self.survives_commit
    }
}

fn inline(path: &Path, before_commit: Fate, survives_commit: bool) -> SqliteStore {
    let faults = Arc::new(Always { before_commit, survives_commit });
    SqliteStore::open_inline(path, "test", T0, faults).expect("a store")
}

/// What a future answers at its first poll.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

/// Whether the job is there when a store with threads opens the file.
async fn is_kept(path: &Path) -> bool {
    let id = "one".parse().expect("a job id");
    open(path).expect("the store again").job(&id).await.expect("the store answers").is_some()
}

#[tokio::test]
async fn without_faults_each_operation_is_done_when_it_is_first_polled_and_the_file_is_an_ordinary_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = inline(&path, Fate::Done, true);
    assert_eq!(at_once(store.insert_job(job("one", &json!({})))).await, Some(Ok(())));
    let id = "one".parse().unwrap();
    assert!(at_once(store.job(&id)).await.unwrap().unwrap().is_some());
    drop(store);
    assert!(is_kept(&path).await);
}

#[tokio::test]
async fn a_process_that_dies_before_a_commit_leaves_nothing_and_answers_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = inline(&path, Fate::Dead, true);
    assert_eq!(at_once(store.insert_job(job("one", &json!({})))).await, None);
    drop(store);
    assert!(!is_kept(&path).await);
}

#[tokio::test]
async fn a_process_that_dies_after_a_commit_leaves_it_and_answers_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = inline(&path, Fate::Done, false);
    assert_eq!(at_once(store.insert_job(job("one", &json!({})))).await, None);
    drop(store);
    assert!(is_kept(&path).await);
}

#[tokio::test]
async fn a_write_that_fails_says_so_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let full = StoreError::Full("as told".to_owned());
    let store = inline(&path, Fate::Failed(full.clone()), true);
    assert_eq!(at_once(store.insert_job(job("one", &json!({})))).await, Some(Err(full.clone())));
    assert_eq!(store.fault(), Some(full));
    drop(store);
    assert!(!is_kept(&path).await);
}
