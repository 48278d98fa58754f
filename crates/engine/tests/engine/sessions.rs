//! Sessions: what a turn is told of what was said before, one turn at a time, system events and heartbeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock as _;
use clawhook_engine::{ActiveHours, EngineOptions, HeartbeatOptions, RunNow};
use clawhook_model::{
    AgentId, DeliveryMode, DeliverySettings, DeliveryState, ErrorReason, JobDefinition, JobId, RunId,
    RunProgress, RunStatus, SessionRef, TranscriptEntry, UnixMs, WebhookTarget, WebhookUrl,
};
use clawhook_store::RunRecord;
use jiff::civil::time;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, outcome, remains, t};

/// A job that is never due, with this instead of what `Life::add` gives it.
fn job(change: &Value) -> Value {
    let mut job = json!({
        "schedule": { "kind": "at", "at": t(9_000_000_000).to_rfc3339() },
        "deleteAfterRun": false,
    });
    for (key, change) in change.as_object().cloned().unwrap_or_default() {
        job[key] = change;
    }
    job
}

fn system_event(text: &str, wake: &str) -> Value {
    job(&json!({ "payload": { "kind": "systemEvent", "text": text }, "wakeMode": wake }))
}

fn in_session(target: &str) -> Value {
    job(&json!({ "sessionTarget": target }))
}

fn heartbeat() -> JobDefinition {
    let url = "https://example.com/".parse::<WebhookUrl>().expect("an address");
    let mode = DeliveryMode::Webhook(vec![WebhookTarget::Url(url)]);
    let beat = JobDefinition::heartbeat(&AgentId::main(), Duration::from_mins(30), T0);
    JobDefinition { delivery: DeliverySettings { mode, ..DeliverySettings::default() }, ..beat }
}

/// An engine whose agent `main` has a heartbeat.
fn beating(prompt: Option<&str>, active: Option<ActiveHours>) -> EngineOptions {
    let prompt = prompt.map(str::to_owned);
    let heartbeat = HeartbeatOptions { every: Duration::from_mins(30), active, prompt, model: None };
    EngineOptions { heartbeats: BTreeMap::from([(AgentId::main(), heartbeat)]), ..options() }
}

async fn run(life: &Life, job: &JobId) -> RunRecord {
    let asked = life.handle.run_now(job).await.expect("the store answers");
    let RunNow::Accepted(run) = asked else { panic!("{asked:?}") };
    over(life, run).await
}

async fn over(life: &Life, run: RunId) -> RunRecord {
    loop {
        let record = life.store.run(run).await.expect("the store answers").expect("the run");
        if matches!(record.run.progress, RunProgress::Finished { .. }) {
            return record;
        }
        tokio::task::yield_now().await;
    }
}

/// What the last turn was told: what was said before, as `role: text`, and the message.
fn told(life: &Life) -> (Vec<String>, String) {
    let (_, message) = life.runtime.turns().pop().expect("a turn");
    (said(&message.history), message.text)
}

fn said(entries: &[TranscriptEntry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{}: {}", entry.role.as_str(), entry.text)).collect()
}

async fn waiting(life: &Life) -> Vec<String> {
    let main = SessionRef::main(&AgentId::main());
    let events = life.store.system_events(main.id, 10).await.expect("the store answers");
    events.into_iter().map(|event| event.text).collect()
}

#[tokio::test]
async fn an_isolated_run_starts_clean_in_a_session_whose_key_has_openclaws_form() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let id = life.add("Clean", in_session("isolated")).await;
    let runs = [run(&life, &id).await, run(&life, &id).await];
    assert!(life.runtime.turns().iter().all(|(_, message)| message.history.is_empty()));
    let sessions = runs.map(|record| record.run.session);
    assert_ne!(sessions[0], sessions[1]);
    for session in sessions {
        assert_eq!(session.key, format!("agent:main:cron:clean:run:{}", session.id));
    }
}

#[tokio::test]
async fn a_turn_may_take_as_long_as_its_job_says_or_else_its_agent() {
    let folder = tempfile::tempdir().unwrap();
    let agents_own = Some(Duration::from_mins(7));
    let turn_limits = BTreeMap::from([(AgentId::main(), agents_own)]);
    let life = Life::begin(folder.path(), T0, EngineOptions { turn_limits, ..options() });
    let silent = life.add("silent", job(&json!({}))).await;
    let payload = json!({ "kind": "agentTurn", "message": "hello", "timeoutSeconds": 90 });
    let own = life.add("own", job(&json!({ "payload": payload }))).await;
    run(&life, &silent).await;
    run(&life, &own).await;
    assert_eq!(life.runtime.limits(), [agents_own, Some(Duration::from_secs(90))]);
}

#[tokio::test]
async fn a_named_session_keeps_what_was_said_over_runs_jobs_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let first = life.add("first", in_session("session:Daily")).await;
    let record = run(&life, &first).await;
    assert_eq!(record.run.session.key, "agent:main:daily");
    drop(life.stop().await);
    let life = Life::begin(folder.path(), T0, options());
    let second = life.add("second", in_session("session:daily")).await;
    run(&life, &second).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: done"]);
    run(&life, &first).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: done", "user: go", "assistant: done"]);
}

#[tokio::test]
async fn a_history_drops_its_oldest_runs_whole_and_never_shows_half_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { history: (7, 1000), ..options() });
    let id = life.add("bounded", in_session("session:bounded")).await;
    life.runtime.next([Script::Use(1, "one"), Script::Use(1, "two"), Script::Use(9, "three")]);
    run(&life, &id).await;
    run(&life, &id).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: ", "tool: seen", "assistant: one"]);
    run(&life, &id).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: ", "tool: seen", "assistant: two"]);
    run(&life, &id).await;
    assert_eq!(
        told(&life).0,
        ["user: go", "assistant: three"],
        "the last alone is more than there is room for"
    );
}

#[tokio::test]
async fn a_history_is_bounded_by_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { history: (100, 14), ..options() });
    let id = life.add("bounded", in_session("session:bounded")).await;
    life.runtime.next([Script::Answer("first"), Script::Answer("second")]);
    run(&life, &id).await;
    run(&life, &id).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: first"]);
    run(&life, &id).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: second"], "both are 15 bytes");
}

#[tokio::test]
async fn a_try_that_nothing_came_of_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let id = life.add("failing", in_session("session:failing")).await;
    life.runtime.next([Script::Fail(ErrorReason::Auth), Script::Answer("done")]);
    let failed = run(&life, &id).await;
    assert_eq!(said(&life.store.transcript(failed.run.id).await.unwrap()), ["user: go"]);
    run(&life, &id).await;
    assert!(told(&life).0.is_empty());
}

#[tokio::test]
async fn turns_of_one_session_never_overlap_and_who_waits_too_long_is_put_back_and_runs_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let slow = life.add("slow", in_session("session:x")).await;
    let second = life.add("second", in_session("session:x")).await;
    let other = life.add("other", in_session("session:y")).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next([Script::Deaf(release.clone()), Script::Answer("other"), Script::Answer("second")]);
    let RunNow::Accepted(slow_run) = life.handle.run_now(&slow).await.unwrap() else { panic!() };
    life.runtime.began(1).await;
    let RunNow::Accepted(second_run) = life.handle.run_now(&second).await.unwrap() else { panic!() };
    let is_queued = async || {
        let record = life.store.run(second_run).await.unwrap().expect("the run");
        matches!(record.run.progress, RunProgress::Queued(_))
    };
    // Both slots were taken, and who waits for a session leaves its own to others.
    assert_eq!(outcome(&run(&life, &other).await).2, Some("other"));
    // It gave its slot away in the moment in which it began to wait, so that its patience ends now.
    assert!(!is_queued().await);
    life.clock.advance(Duration::from_mins(2));
    while !is_queued().await {}
    release.add_permits(1);
    over(&life, slow_run).await;
    assert!(is_queued().await, "it waits out its time");
    life.clock.set(life.clock.now().plus(Duration::from_secs(31)));
    let record = over(&life, second_run).await;
    assert_eq!(outcome(&record), (RunStatus::Ok, None, Some("second")));
    assert_eq!(told(&life).0, ["user: go", "assistant: at last"]);
    assert_eq!(life.runtime.turns().len(), 3);
}

#[tokio::test]
async fn current_is_shown_its_conversation_and_adds_its_reply_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let talk = life.add("talk", in_session("session:chat")).await;
    run(&life, &talk).await;
    let current = job(&json!({ "sessionTarget": "current", "sessionKey": "agent:main:chat" }));
    let current = life.add("current", current).await;
    life.runtime.next([Script::Use(2, "a reply"), Script::Answer("NO_REPLY"), Script::Answer(" ")]);
    let record = run(&life, &current).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: done"]);
    assert!(record.run.session.key.starts_with("agent:main:cron:current:run:"));
    assert_eq!(life.store.transcript(record.run.id).await.unwrap().len(), 6, "its own session has all");
    run(&life, &current).await;
    run(&life, &current).await;
    run(&life, &talk).await;
    assert_eq!(told(&life).0, ["user: go", "assistant: done", "assistant: a reply"]);
}

#[tokio::test]
async fn a_text_for_the_next_heartbeat_is_left_at_once_and_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let id = life.add("event", system_event("the backup is done", "next-heartbeat")).await;
    let record = run(&life, &id).await;
    assert_eq!(outcome(&record), (RunStatus::Ok, None, Some("the backup is done")));
    assert_eq!(record.run.session.key, "agent:main:main");
    assert!(life.runtime.none_began());
    assert_eq!(waiting(&life).await, ["the backup is done"]);
}

#[tokio::test]
async fn a_turn_in_the_main_session_tells_all_that_waits_once_and_its_reply_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    for (id, text) in [("one", "disk at 91 %"), ("two", "a mail came")] {
        let id = life.add(id, system_event(text, "next-heartbeat")).await;
        run(&life, &id).await;
    }
    let now = life.add("now", system_event("what is new?", "now")).await;
    life.runtime.next([Script::Answer("all is well")]);
    let record = run(&life, &now).await;
    let stamp = T0.to_rfc3339().replace(".000Z", "Z");
    let message = format!(
        "System events since your last turn:\n- [{stamp}, cron:one] disk at 91 %\n- [{stamp}, cron:two] a mail came\n\n\
         what is new?"
    );
    assert_eq!(told(&life), (Vec::new(), message.clone()));
    assert!(waiting(&life).await.is_empty());
    assert_eq!(record.deliveries[0].state, DeliveryState::Pending);
    let event: Value =
        serde_json::from_slice(&life.store.run_event(record.run.id).await.unwrap().unwrap().body).unwrap();
    assert_eq!((&event["summary"], &event["sessionKey"]), (&json!("all is well"), &json!("agent:main:main")));
    run(&life, &now).await;
    let history = vec![format!("user: {message}"), "assistant: all is well".to_owned()];
    assert_eq!(told(&life), (history, "what is new?".to_owned()));
}

#[tokio::test]
async fn what_a_turn_was_told_and_did_not_come_to_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let event = life.add("event", system_event("a mail came", "next-heartbeat")).await;
    run(&life, &event).await;
    let now = life.add("now", system_event("look", "now")).await;
    life.runtime.next([Script::Fail(ErrorReason::Network), Script::Panic, Script::Work]);
    run(&life, &now).await;
    run(&life, &now).await;
    life.handle.run_now(&now).await.unwrap();
    life.runtime.began(3).await;
    assert_eq!(waiting(&life).await, ["a mail came"]);
    // The process dies in the middle of the third turn.
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(10), options());
    life.finished(&now, 3).await;
    run(&life, &now).await;
    let (history, message) = told(&life);
    assert!(message.contains("a mail came"), "{message}");
    assert!(history.is_empty(), "{history:?}");
    assert!(waiting(&life).await.is_empty());
}

#[tokio::test]
async fn a_text_whose_session_is_busy_for_too_long_is_left_for_its_next_turn() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let slow = life.add("slow", system_event("look", "now")).await;
    let now = life.add("now", system_event("a mail came", "now")).await;
    life.runtime.next([Script::Work]);
    life.handle.run_now(&slow).await.unwrap();
    life.runtime.began(1).await;
    let RunNow::Accepted(left) = life.handle.run_now(&now).await.unwrap() else { panic!() };
    let is_over = async || {
        let record = life.store.run(left).await.unwrap().expect("the run");
        matches!(record.run.progress, RunProgress::Finished { .. })
    };
    while !is_over().await {
        life.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(outcome(&over(&life, left).await), (RunStatus::Ok, None, Some("a mail came")));
    assert_eq!(waiting(&life).await, ["a mail came"]);
}

#[tokio::test]
async fn a_heartbeat_asks_where_something_waits_or_it_has_a_prompt_and_else_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, beating(None, None));
    let beat = life.insert("heartbeat-main", heartbeat()).await;
    let record = run(&life, &beat).await;
    assert_eq!(outcome(&record), (RunStatus::Ok, None, Some("HEARTBEAT_OK")));
    assert_eq!(record.deliveries[0].state, DeliveryState::Suppressed);
    assert!(life.runtime.none_began());
    let event = life.add("event", system_event("a mail came", "next-heartbeat")).await;
    run(&life, &event).await;
    run(&life, &beat).await;
    assert!(told(&life).1.contains("a mail came"));
    assert!(told(&life).1.contains("HEARTBEAT_OK"), "it is told how to say that nothing is to be done");
    assert!(waiting(&life).await.is_empty());
    drop(life.stop().await);

    let life = Life::begin(folder.path(), T0, beating(Some("Read HEARTBEAT.md."), None));
    run(&life, &beat).await;
    assert_eq!(told(&life).1, "Read HEARTBEAT.md.");
}

#[tokio::test]
async fn a_heartbeat_that_finds_nothing_to_do_is_silent_and_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, beating(Some("Look."), None));
    let beat = life.insert("heartbeat-main", heartbeat()).await;
    life.runtime.next([Script::Answer("HEARTBEAT_OK"), Script::Answer("A disk is full.")]);
    let silent = run(&life, &beat).await;
    assert_eq!(silent.deliveries[0].state, DeliveryState::Suppressed);
    let loud = run(&life, &beat).await;
    assert_eq!(loud.deliveries[0].state, DeliveryState::Pending);
    assert!(told(&life).0.is_empty());
    run(&life, &beat).await;
    assert_eq!(told(&life).0, ["user: Look.", "assistant: A disk is full."]);
}

#[tokio::test]
async fn a_heartbeat_out_of_its_hours_is_skipped_and_what_waits_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let midnight = UnixMs::from_millis(T0.as_millis() / 86_400_000 * 86_400_000);
    let morning = ActiveHours { start: time(8, 0, 0, 0), end: time(12, 0, 0, 0), zone: TimeZone::UTC };
    let options = beating(None, Some(morning));
    let life = Life::begin(folder.path(), midnight, options);
    let beat = life.insert("heartbeat-main", heartbeat()).await;
    let event = life.add("event", system_event("a mail came", "next-heartbeat")).await;
    run(&life, &event).await;
    let early = run(&life, &beat).await;
    assert_eq!(outcome(&early).0, RunStatus::Skipped);
    assert_eq!(outcome(&early).1, Some(ErrorReason::QuietHours));
    assert_eq!(waiting(&life).await, ["a mail came"]);
    life.clock.set(midnight.plus(Duration::from_hours(8)));
    assert_eq!(outcome(&run(&life, &beat).await).0, RunStatus::Ok);
    assert!(waiting(&life).await.is_empty());
}

#[tokio::test]
async fn a_heartbeat_beats_at_its_interval() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, beating(Some("Look."), None));
    let beat = life.insert("heartbeat-main", heartbeat()).await;
    life.go_on(t(3 * 1_800_000)).await;
    life.finished(&beat, 3).await;
    assert_eq!(life.ledger(&beat).await, [(1_800_000, "ran"), (3_600_000, "ran"), (5_400_000, "ran")]);
}
