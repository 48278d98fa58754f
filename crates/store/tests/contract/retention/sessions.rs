//! Sessions, transcripts, what waits for a turn, and what was spent.

use std::time::Duration;

use clawhook_model::{Cleanup, Job, Role, SessionName, SessionRef, TranscriptEntry, UnixMs, Usage};
use clawhook_store::{Claimed, FinishRun, NewRun, Retention, Verdict};

use serde_json::json;

use super::{DAY_MS, MINUTE_MS, by_age, done, newest, prune, rows};
use crate::outbox::settle_all;
use crate::world::{World, finish, t};

fn said(text: &str, at: UnixMs) -> TranscriptEntry {
    TranscriptEntry { at, role: Role::Assistant, text: text.to_owned(), detail: None }
}

fn sessions_after(minutes: u64) -> Retention {
    Retention { session_max_age: Some(Duration::from_mins(minutes)), ..Retention::KEEP_ALL }
}

/// Runs an instant and says something, with a change to what is committed.
async fn say(world: &World, job: &Job, due: UnixMs, change: impl FnOnce(&mut FinishRun)) -> NewRun {
    let (claimed, run) = world.claim(job, due, Some(due.plus_millis(1000))).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    let mut end = finish(job, &run, done(), due);
    end.transcript = vec![said("hello", due), said("good bye", due)];
    change(&mut end);
    world.store.finish_run(end).await.expect("the run is stored");
    run
}

/// A job whose runs each have a session of their own.
async fn talker(world: &World, id: &str) -> Job {
    let payload = json!({ "kind": "agentTurn", "message": "hello" });
    world.add_with(id, json!({ "payload": payload, "sessionTarget": "isolated" })).await
}

fn kept(job: &Job) -> SessionRef {
    let name: SessionName = "diary".parse().expect("a name");
    SessionRef::named(&job.definition.agent(), &name)
}

#[tokio::test]
async fn a_runs_own_session_goes_after_its_time_and_its_run_stays() {
    let world = World::new();
    let job = talker(&world, "talks").await;
    let run = say(&world, &job, t(1000), |_| {}).await;
    let waits = prune(&world, &sessions_after(10), t(11 * MINUTE_MS)).await;
    assert_eq!((waits.sessions, waits.entries), (0, 0), "its delivery is not settled");
    settle_all(&world, t(2000), Verdict::Delivered).await;
    assert_eq!(prune(&world, &sessions_after(10), t(9 * MINUTE_MS)).await.sessions, 0);
    let gone = prune(&world, &sessions_after(10), t(11 * MINUTE_MS)).await;
    assert_eq!((gone.sessions, gone.entries, gone.total()), (1, 2, 3));
    assert!(world.store.run(run.id).await.unwrap().is_some());
    assert!(world.store.transcript(run.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_its_job_wants_gone_goes_as_soon_as_everything_is_settled() {
    let world = World::new();
    let job = talker(&world, "discreet").await;
    say(&world, &job, t(1000), |end| end.left.cleanup = Cleanup::Delete).await;
    say(&world, &job, t(2000), |_| {}).await;
    assert_eq!(prune(&world, &Retention::KEEP_ALL, t(3000)).await.sessions, 0);
    settle_all(&world, t(3000), Verdict::Dead).await;
    let gone = prune(&world, &Retention::KEEP_ALL, t(3000)).await;
    assert_eq!((gone.sessions, gone.entries, gone.total()), (1, 2, 3));
}

#[tokio::test]
async fn a_run_that_goes_takes_its_own_session_along_and_nothing_of_one_that_is_kept() {
    let world = World::new();
    let job = talker(&world, "both").await;
    let diary = kept(&job);
    for second in 1..=3 {
        let reply = Some((diary.clone(), said("dear diary", t(second * 1000))));
        say(&world, &job, t(second * 1000), |end| end.left.reply = reply).await;
        settle_all(&world, t(second * 1000), Verdict::Delivered).await;
    }
    let gone = prune(&world, &newest(1), t(5000)).await;
    assert_eq!((gone.runs, gone.sessions, gone.entries), (2, 2, 4));
    let history = world.store.history(diary.id, 10, 1000).await.unwrap();
    assert_eq!(history.len(), 3);
}

#[tokio::test]
async fn a_conversation_forgets_what_is_old_and_goes_when_nobody_names_it_any_more() {
    let world = World::new();
    let job = talker(&world, "keeps").await;
    let diary = kept(&job);
    for second in [1, 2, 600] {
        say(&world, &job, t(if second == 1 { 1000 } else { second * 1000 }), |end| {
            end.session = diary.clone();
            end.left.is_kept = true;
        })
        .await;
        if second == 2 {
            let moved = world.store.correct_next_run(&job.id, Some(t(3000)), Some(t(600_000))).await;
            assert!(moved.unwrap());
        }
    }
    settle_all(&world, t(600_000), Verdict::Delivered).await;
    assert_eq!(prune(&world, &sessions_after(1), t(DAY_MS)).await.total(), 0, "it is kept");
    assert_eq!(prune(&world, &by_age(10), t(11 * MINUTE_MS)).await.entries, 4);
    assert_eq!(world.store.history(diary.id, 10, 1000).await.unwrap().len(), 2);
    let gone = prune(&world, &by_age(10), t(DAY_MS)).await;
    assert_eq!((gone.entries, gone.sessions), (2, 0), "a job names it");
    world.remove(&job.id, t(DAY_MS)).await;
    assert_eq!(prune(&world, &by_age(10), t(DAY_MS)).await.sessions, 1);
}

#[tokio::test]
async fn of_a_conversation_the_newest_two_thousand_entries_are_kept_at_most() {
    let world = World::new();
    let job = talker(&world, "chatty").await;
    let diary = kept(&job);
    say(&world, &job, t(1000), |end| {
        end.session = diary.clone();
        end.left.is_kept = true;
        end.transcript = (0..2600).map(|n| said(&n.to_string(), t(1000))).collect();
    })
    .await;
    assert_eq!(prune(&world, &Retention::KEEP_ALL, t(2000)).await.entries, 600);
    let history = world.store.history(diary.id, 10_000, 100_000).await.unwrap();
    assert_eq!((history.len(), history[0].text.as_str()), (2000, "600"));
}

#[tokio::test]
async fn a_text_that_no_turn_is_ever_told_of_goes_with_age_and_the_newest_keeps_its_number_taken() {
    let world = World::new();
    let job = talker(&world, "nobody-listens").await;
    let main = kept(&job);
    for second in 1..=3 {
        say(&world, &job, t(second * 1000), |end| {
            end.session = main.clone();
            end.left.is_kept = true;
            end.left.event = Some(format!("news {second}"));
        })
        .await;
    }
    assert_eq!(prune(&world, &by_age(10), t(9 * MINUTE_MS)).await.system_events, 0);
    assert_eq!(prune(&world, &by_age(10), t(DAY_MS)).await.system_events, 2);
    let waiting = world.store.system_events(main.id, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["news 3"]);
}

#[tokio::test]
async fn what_was_spent_is_known_for_four_hundred_days() {
    let world = World::new();
    let job = talker(&world, "costs").await;
    let today = i32::try_from(t(0).as_millis() / DAY_MS).unwrap();
    for (second, day) in [(1, today - 500), (2, today - 401), (3, today - 400), (4, today)] {
        say(&world, &job, t(second * 1000), |end| {
            end.day = day;
            end.outcome.usage = Some(Usage { total_tokens: 7, ..Usage::default() });
        })
        .await;
    }
    assert_eq!(prune(&world, &Retention::KEEP_ALL, t(0)).await.spending, 2);
    assert_eq!(rows(&world, "spending_days"), 2);
    assert_eq!(world.store.spent(today - 400, Some(&job.id)).await.unwrap().tokens, 7);
}
