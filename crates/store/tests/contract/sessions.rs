//! Sessions in the store: their lists, what was said in them, what waits in them, and their end.

use clawhook_model::{AgentId, Role, RunOutcome, SessionRef, TranscriptEntry, UnixMs};
use clawhook_store::{
    FinishRun, LeftWithSessions, RunFinished, SessionFilter, SessionRecord, SessionRemoved, SpokenFilter,
};
use serde_json::json;

use crate::world::{World, finish, job, t};

fn main_session() -> SessionRef {
    SessionRef::main(&AgentId::main())
}

fn entries(texts: &[&str]) -> Vec<TranscriptEntry> {
    texts.iter().map(|text| TranscriptEntry::said(t(0), Role::User, *text)).collect()
}

fn filter(limit: usize) -> SessionFilter {
    SessionFilter { limit, ..SessionFilter::default() }
}

/// Runs the job's occurrence at `due`, in which this was said, and leaves `left`.
async fn say(world: &World, id: &str, due: UnixMs, texts: &[&str], left: LeftWithSessions) -> SessionRef {
    let job = world.store.job(&id.parse().unwrap()).await.unwrap().unwrap();
    let (_, run) = world.claim(&job, due, Some(due.plus_millis(1000))).await;
    let finish = finish(&job, &run, RunOutcome::ok("done"), due);
    let finish = FinishRun { transcript: entries(texts), left, ..finish };
    assert_eq!(world.store.finish_run(finish).await.unwrap(), RunFinished::Done);
    run.session
}

fn own() -> LeftWithSessions {
    LeftWithSessions::default()
}

fn kept() -> LeftWithSessions {
    LeftWithSessions { is_kept: true, ..LeftWithSessions::default() }
}

fn event(text: &str) -> LeftWithSessions {
    LeftWithSessions { event: Some(text.to_owned()), ..kept() }
}

async fn add(world: &World, id: &str, target: &str) {
    let payload = json!({ "kind": "agentTurn", "message": "go" });
    let change = json!({ "sessionTarget": target, "payload": payload });
    world.store.insert_job(job(id, &change)).await.unwrap();
}

fn keys(sessions: &[SessionRecord]) -> Vec<&str> {
    sessions.iter().map(|record| record.session.key.as_str()).collect()
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_the_newest_first_and_found_by_what_they_are() {
    let world = World::new();
    add(&world, "daily", "session:daily").await;
    add(&world, "alone", "isolated").await;
    say(&world, "daily", t(1000), &["hello"], kept()).await;
    let first = say(&world, "alone", t(1000), &["one"], own()).await;
    let second = say(&world, "alone", t(2000), &["two"], own()).await;
    let page = world.store.sessions(filter(2)).await.unwrap();
    assert_eq!(keys(&page.sessions), [second.key.as_str(), first.key.as_str()]);
    let rest = SessionFilter { after: page.next, ..filter(2) };
    let rest = world.store.sessions(rest).await.unwrap();
    assert_eq!((keys(&rest.sessions), rest.next), (vec!["agent:main:daily"], None));
    let found = async |filter: SessionFilter| {
        let found = world.store.sessions(filter).await.unwrap().sessions;
        keys(&found).iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(SessionFilter { kept: Some(true), ..filter(9) }).await, ["agent:main:daily"]);
    assert_eq!(found(SessionFilter { kept: Some(false), ..filter(9) }).await.len(), 2);
    assert_eq!(found(SessionFilter { job: Some("alone".parse().unwrap()), ..filter(9) }).await.len(), 2);
    assert_eq!(found(SessionFilter { text: Some("DAILY".to_owned()), ..filter(9) }).await.len(), 1);
    let other = Some(AgentId::normalise("other"));
    assert!(found(SessionFilter { agent: other, ..filter(9) }).await.is_empty());
}

#[tokio::test]
async fn what_was_said_in_a_session_is_read_from_its_end_page_by_page() {
    let world = World::new();
    add(&world, "daily", "session:daily").await;
    let session = say(&world, "daily", t(1000), &["one", "two"], kept()).await;
    say(&world, "daily", t(2000), &["three"], kept()).await;
    let page = async |before| {
        let filter = SpokenFilter { session: session.id, before, limit: 2 };
        let page = world.store.session_transcript(filter).await.unwrap();
        let texts: Vec<String> = page.entries.into_iter().map(|spoken| spoken.entry.text).collect();
        (texts, page.before)
    };
    let (end, before) = page(None).await;
    assert_eq!(end, ["two", "three"]);
    assert_eq!(page(before).await, (vec!["one".to_owned()], None));
}

#[tokio::test]
async fn what_a_session_need_not_remember_is_shown_and_not_told() {
    let world = World::new();
    add(&world, "daily", "session:daily").await;
    let left = LeftWithSessions { forgotten: true, ..kept() };
    let session = say(&world, "daily", t(1000), &["a try"], left).await;
    say(&world, "daily", t(2000), &["hello"], kept()).await;
    let history = world.store.history(session.id, 100, 1000).await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(), ["hello"]);
    let shown = SpokenFilter { session: session.id, before: None, limit: 9 };
    let shown = world.store.session_transcript(shown).await.unwrap().entries;
    let shown: Vec<_> = shown.iter().map(|one| (one.entry.text.as_str(), one.is_remembered)).collect();
    assert_eq!(shown, [("a try", false), ("hello", true)]);
}

#[tokio::test]
async fn a_removed_session_takes_what_was_said_and_what_waits_with_it_and_begins_anew() {
    let world = World::new();
    world.store.insert_job(job("event", &json!({}))).await.unwrap();
    add(&world, "daily", "session:main").await;
    say(&world, "event", t(1000), &[], event("a mail came")).await;
    let session = say(&world, "daily", t(1000), &["one", "two"], kept()).await;
    assert_eq!(session, main_session(), "it is the main session by another name");
    assert_eq!(world.store.session(session.id).await.unwrap().unwrap().waiting, 1);
    let removed = world.store.remove_session(session.id).await.unwrap();
    assert_eq!(removed, SessionRemoved::Done { entries: 2, events: 1 });
    assert!(world.store.session(session.id).await.unwrap().is_none());
    assert!(world.store.history(session.id, 100, 1000).await.unwrap().is_empty());
    assert!(world.store.system_events(session.id, 100).await.unwrap().is_empty());
    assert_eq!(world.store.remove_session(session.id).await.unwrap(), SessionRemoved::NotFound);
    say(&world, "daily", t(2000), &["anew"], kept()).await;
    assert_eq!(world.store.history(session.id, 100, 1000).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_in_which_a_run_is_under_way_is_not_removed() {
    let world = World::new();
    add(&world, "daily", "session:daily").await;
    let session = say(&world, "daily", t(1000), &["one"], kept()).await;
    let daily = world.store.job(&"daily".parse().unwrap()).await.unwrap().unwrap();
    let (_, run) = world.claim(&daily, t(2000), Some(t(3000))).await;
    assert_eq!(world.store.remove_session(session.id).await.unwrap(), SessionRemoved::Busy(run.id));
    assert_eq!(world.store.history(session.id, 100, 1000).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_runs_own_session_goes_without_its_run() {
    let world = World::new();
    add(&world, "alone", "isolated").await;
    let one = say(&world, "alone", t(1000), &["one"], own()).await;
    let other = say(&world, "alone", t(2000), &["two"], own()).await;
    let removed = world.store.remove_session(one.id).await.unwrap();
    assert_eq!(removed, SessionRemoved::Done { entries: 1, events: 0 });
    let left = world.store.sessions(filter(9)).await.unwrap().sessions;
    assert_eq!(keys(&left), [other.key.as_str()]);
}

#[tokio::test]
async fn what_waits_in_a_session_is_bounded_and_the_oldest_goes() {
    let world = World::new();
    world.store.insert_job(job("event", &json!({}))).await.unwrap();
    for n in 1..=1001 {
        say(&world, "event", t(n * 1000), &[], event(&n.to_string())).await;
    }
    let waiting = world.store.system_events(main_session().id, 2000).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].text.as_str()), (901, "101"));
    assert_eq!(world.store.session(main_session().id).await.unwrap().unwrap().waiting, 901);
    let told = waiting.iter().map(|event| event.seq).collect();
    say(&world, "event", t(1_002_000), &[], LeftWithSessions { told, ..kept() }).await;
    assert_eq!(world.store.session(main_session().id).await.unwrap().unwrap().waiting, 0);
}
