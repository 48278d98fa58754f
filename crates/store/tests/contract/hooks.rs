//! Inbound hooks: what is accepted is durable with what it asks for, once.

use bytes::Bytes;
use clawhook_model::{
    AgentId, DeliveryBegin, DeliveryId, DeliveryPlan, EventId, HookRequestId, Job, JobDefinition, JobState,
    Lane, Payload, RunId, RunOutcome, SessionId, SessionRef, Target, Trigger, UnixMs,
};
use clawhook_store::{
    AcceptHook, HookAccepted, HookAsk, HookEvent, HookKey, HookOutcome, HookRequestFilter, HookRun, HookWake,
    KeptHook, NewDelivery, NewHookRequest, NewRun, PruneCursor, PruneNext, QueuedRun, Retention,
};
use serde_json::{Value, json};

use crate::world::{T0, World, finish, t};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The standing job of a hook.
fn hook(id: &str) -> Job {
    Job {
        id: format!("hook-{id}").parse().expect("a job id"),
        definition: JobDefinition::hook(id, None),
        created_at: T0,
        updated_at: T0,
        state: JobState::default(),
    }
}

/// What a request asks for: a turn with this message, on its way to a webhook.
fn work(message: &str) -> JobDefinition {
    let mut work = JobDefinition::hook("deploys", None);
    let Payload::AgentTurn(turn) = &mut work.payload else { unreachable!("a hook's job has a turn") };
    turn.message = message.to_owned();
    work
}

fn run_of(hook: &Job, message: &str, now: UnixMs) -> HookRun {
    let work = work(message);
    let job = Job { definition: work.clone(), ..hook.clone() };
    let run = NewRun::of(&job, RunId::new(now), Trigger::Hook, None, SessionId::random());
    HookRun { run, work }
}

fn request(body: &str, now: UnixMs) -> NewHookRequest {
    NewHookRequest {
        id: HookRequestId::new(now),
        path: "deploys".to_owned(),
        client: Some("127.0.0.1".to_owned()),
        headers: json!({ "authorization": "***" }),
        body: Bytes::copy_from_slice(body.as_bytes()),
        answer: json!({ "ok": true, "runId": format!("{now}") }),
        replay_of: None,
    }
}

fn accept(hook: &Job, asks: Vec<HookAsk>, now: UnixMs) -> AcceptHook {
    AcceptHook { job_id: hook.id.clone(), request: request("{}", now), key: None, depth: 100, asks }
}

struct Hooks {
    world: World,
    hook: Job,
}

impl Hooks {
    async fn new(at_once: u32) -> Self {
        let (world, hook) = (World::new(), hook("deploys"));
        world
            .store
            .keep_hook(KeptHook { job: hook.clone(), at_once, held: false }, T0)
            .await
            .expect("the store answers");
        Self { world, hook }
    }

    async fn accept(&self, accept: AcceptHook, now: UnixMs) -> HookAccepted {
        self.world.store.accept_hook(accept, now).await.expect("the store answers")
    }

    /// Asks for one run, and gives it.
    async fn ask(&self, message: &str, now: UnixMs) -> NewRun {
        let asked = run_of(&self.hook, message, now);
        let run = asked.run.clone();
        let accepted = self.accept(accept(&self.hook, vec![HookAsk::Run(Box::new(asked))], now), now).await;
        assert_eq!(accepted, HookAccepted::Done(HookOutcome::Queued));
        run
    }

    async fn begin(&self, now: UnixMs) -> Vec<QueuedRun> {
        self.world.store.claim_queued(Lane::Hook, 100, now).await.expect("the store answers")
    }

    async fn end(&self, run: &NewRun, outcome: RunOutcome, now: UnixMs) {
        let job = self.world.store.job(&self.hook.id).await.expect("the store answers").expect("the job");
        self.world.store.finish_run(finish(&job, run, outcome, now)).await.expect("the store answers");
    }

    async fn requests(&self) -> Vec<clawhook_store::HookRequest> {
        let filter = HookRequestFilter { limit: 100, ..HookRequestFilter::default() };
        self.world.store.hook_requests(filter).await.expect("the store answers")
    }

    async fn prune(&self, rules: &Retention, now: UnixMs) {
        let mut cursor = PruneCursor::default();
        loop {
            match self.world.store.prune(rules, cursor, now).await.expect("the store answers").then {
                PruneNext::Step(next) => cursor = next,
                PruneNext::Pass(_) => return,
            }
        }
    }
}

fn message_of(queued: &QueuedRun) -> &str {
    match &queued.job.definition.payload {
        Payload::AgentTurn(turn) => &turn.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_accepted_request_and_its_runs_survive_the_process_and_run_by_what_they_brought() {
    let hooks = Hooks::new(2).await;
    let run = hooks.ask("ship it", t(1)).await;
    let hooks = Hooks { world: hooks.world.reopen(), hook: hooks.hook };
    let begun = hooks.begin(t(2)).await;
    assert_eq!(begun.iter().map(|queued| queued.run.id).collect::<Vec<_>>(), [run.id]);
    assert_eq!((message_of(&begun[0]), begun[0].run.trigger), ("ship it", Trigger::Hook));
    let requests = hooks.requests().await;
    assert_eq!((requests.len(), &requests[0].runs, requests[0].completed_at), (1, &vec![run.id], None));
    hooks.end(&run, RunOutcome::ok("shipped"), t(3)).await;
    assert_eq!(hooks.requests().await[0].completed_at, Some(t(3)));
    assert_eq!(
        hooks.world.store.hook_request_of(run.id).await.unwrap().map(|request| request.id),
        Some(requests[0].id)
    );
}

#[tokio::test]
async fn a_run_that_a_dead_process_had_begun_is_interrupted_with_what_it_brought() {
    let hooks = Hooks::new(1).await;
    let run = hooks.ask("ship it", t(1)).await;
    assert_eq!(hooks.begin(t(2)).await.len(), 1);
    let hooks = Hooks { world: hooks.world.reopen(), hook: hooks.hook };
    let interrupted = hooks.world.store.recover().await.unwrap();
    let definition = &interrupted[0].job.definition;
    assert_eq!((interrupted[0].run.id, definition), (run.id, &work("ship it")));
}

#[tokio::test]
async fn no_more_runs_of_a_hook_begin_than_it_may_have_at_once_and_the_next_one_follows() {
    let hooks = Hooks::new(2).await;
    let mut asked = Vec::new();
    for (n, message) in ["a", "b", "c", "d"].iter().enumerate() {
        asked.push(hooks.ask(message, t(1 + i64::try_from(n).unwrap())).await);
    }
    let begun = hooks.begin(t(10)).await;
    assert_eq!(begun.iter().map(message_of).collect::<Vec<_>>(), ["a", "b"]);
    assert!(hooks.begin(t(11)).await.is_empty());
    hooks.end(&asked[1], RunOutcome::ok("done"), t(12)).await;
    assert_eq!(hooks.begin(t(13)).await.iter().map(message_of).collect::<Vec<_>>(), ["c"]);
    // A wider hook lets go at once what waits.
    hooks
        .world
        .store
        .keep_hook(KeptHook { job: hooks.hook.clone(), at_once: 3, held: false }, t(14))
        .await
        .unwrap();
    assert_eq!(hooks.begin(t(15)).await.iter().map(message_of).collect::<Vec<_>>(), ["d"]);
}

#[tokio::test]
async fn a_burst_waits_up_to_its_depth_and_what_is_beyond_leaves_nothing() {
    let hooks = Hooks::new(1).await;
    for n in 0..3 {
        hooks.ask("a", t(n)).await;
    }
    let several =
        ["b", "c"].map(|message| HookAsk::Run(Box::new(run_of(&hooks.hook, message, t(9))))).to_vec();
    let mut too_many = accept(&hooks.hook, several, t(9));
    too_many.depth = 4;
    assert_eq!(hooks.accept(too_many, t(9)).await, HookAccepted::Full { waiting: 3 });
    assert_eq!(hooks.requests().await.len(), 3);
    assert_eq!(hooks.world.open(&hooks.hook.id).await, (0, 3));
}

fn keyed(key: u8) -> HookKey {
    HookKey { key: [key; 32], work: [0; 32] }
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_across_restarts_until_a_day_after_its_end() {
    let hooks = Hooks::new(1).await;
    let with_key = |key, now| {
        let asked = run_of(&hooks.hook, "ship it", now);
        AcceptHook { key: Some(keyed(key)), ..accept(&hooks.hook, vec![HookAsk::Run(Box::new(asked))], now) }
    };
    let first = with_key(1, t(1));
    let repeated = HookAccepted::Repeated { request: first.request.id, answer: first.request.answer.clone() };
    let [HookAsk::Run(asked)] = &first.asks[..] else { unreachable!("it asks for a run") };
    let run = asked.run.clone();
    assert_eq!(hooks.accept(first, t(1)).await, HookAccepted::Done(HookOutcome::Queued));
    let (again, other) = (with_key(1, t(3)), with_key(2, t(4)));
    let (much_later, a_day_later) = (with_key(1, t(10 * DAY_MS)), with_key(1, t(11 * DAY_MS)));
    let long_gone = with_key(1, t(12 * DAY_MS));
    let hook = hooks.hook.clone();
    let hooks = Hooks { world: hooks.world.reopen(), hook };
    assert_eq!(hooks.accept(again, t(3)).await, repeated);
    assert_eq!(hooks.requests().await.len(), 1);
    assert_eq!(hooks.accept(other, t(4)).await, HookAccepted::Done(HookOutcome::Queued));
    // It is not over, however long that takes; its key lives a day from its end on.
    assert_eq!(hooks.accept(much_later, t(10 * DAY_MS)).await, repeated);
    hooks.begin(t(10 * DAY_MS)).await;
    hooks.end(&run, RunOutcome::ok("shipped"), t(10 * DAY_MS)).await;
    hooks.prune(&Retention { runs_per_job: Some(1), ..Retention::default() }, t(11 * DAY_MS)).await;
    assert_eq!(hooks.accept(a_day_later, t(11 * DAY_MS)).await, repeated);
    assert_eq!(hooks.accept(long_gone, t(12 * DAY_MS)).await, HookAccepted::Done(HookOutcome::Queued));
}

#[tokio::test]
async fn a_key_that_comes_again_with_other_work_is_refused_and_nothing_is_done() {
    let hooks = Hooks::new(1).await;
    let asked = |work, now| {
        let run = vec![HookAsk::Run(Box::new(run_of(&hooks.hook, "ship it", now)))];
        AcceptHook { key: Some(HookKey { key: [1; 32], work: [work; 32] }), ..accept(&hooks.hook, run, now) }
    };
    let first = asked(1, t(1));
    let request = first.request.id;
    assert_eq!(hooks.accept(first, t(1)).await, HookAccepted::Done(HookOutcome::Queued));
    assert_eq!(hooks.accept(asked(2, t(2)), t(2)).await, HookAccepted::KeyReused { request });
    assert_eq!(hooks.requests().await.len(), 1);
}

#[tokio::test]
async fn a_repeated_request_is_answered_even_where_the_hook_is_switched_off_or_full() {
    let hooks = Hooks::new(1).await;
    let ask = |now, depth| {
        let asked = vec![HookAsk::Run(Box::new(run_of(&hooks.hook, "a", now)))];
        AcceptHook { key: Some(keyed(1)), depth, ..accept(&hooks.hook, asked, now) }
    };
    assert_eq!(hooks.accept(ask(t(1), 1), t(1)).await, HookAccepted::Done(HookOutcome::Queued));
    assert!(matches!(hooks.accept(ask(t(2), 1), t(2)).await, HookAccepted::Repeated { .. }));
    let mut off = hooks.hook.definition.clone();
    off.enabled = false;
    hooks.world.edit(&hooks.hook, off, clawhook_store::NextRun::Keep, t(3)).await;
    assert!(matches!(hooks.accept(ask(t(4), 9), t(4)).await, HookAccepted::Repeated { .. }));
    let asked = vec![HookAsk::Run(Box::new(run_of(&hooks.hook, "b", t(5))))];
    assert_eq!(hooks.accept(accept(&hooks.hook, asked, t(5)), t(5)).await, HookAccepted::Disabled);
    // What was accepted before is still run, and the switch survives the configuration's next reading.
    hooks
        .world
        .store
        .keep_hook(KeptHook { job: hooks.hook.clone(), at_once: 1, held: false }, t(6))
        .await
        .unwrap();
    assert!(!hooks.world.store.job(&hooks.hook.id).await.unwrap().unwrap().definition.enabled);
    assert_eq!(hooks.begin(t(7)).await.len(), 1);
}

#[tokio::test]
async fn a_paused_hook_accepts_and_begins_nothing_until_it_is_resumed() {
    let hooks = Hooks::new(1).await;
    hooks.ask("a", t(1)).await;
    assert!(hooks.world.store.pause_hook(&hooks.hook.id, true, t(2)).await.unwrap());
    hooks.ask("b", t(3)).await;
    assert!(hooks.begin(t(4)).await.is_empty());
    let hooks = Hooks { world: hooks.world.reopen(), hook: hooks.hook };
    assert_eq!(hooks.world.store.hooks().await.unwrap()[0].paused_at, Some(t(2)));
    // What the configuration holds, a person cannot let go.
    let keep = |held| KeptHook { job: hooks.hook.clone(), at_once: 1, held };
    hooks.world.store.keep_hook(keep(true), t(5)).await.unwrap();
    hooks.world.store.pause_hook(&hooks.hook.id, false, t(5)).await.unwrap();
    assert!(hooks.begin(t(5)).await.is_empty());
    hooks.world.store.keep_hook(keep(false), t(5)).await.unwrap();
    assert_eq!(hooks.begin(t(6)).await.iter().map(message_of).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn failures_of_a_hooks_runs_are_counted_and_neither_tried_again_nor_switch_it_off() {
    let hooks = Hooks::new(1).await;
    for n in 0..12 {
        let run = hooks.ask("a", t(n * 10)).await;
        assert_eq!(hooks.begin(t(n * 10 + 1)).await.len(), 1);
        let failed = RunOutcome::error(clawhook_model::ErrorReason::RateLimit, "too many requests");
        hooks.end(&run, failed, t(n * 10 + 2)).await;
    }
    let state = hooks.world.state(&hooks.hook.id).await;
    assert_eq!((state.consecutive_errors, state.auto_disabled, state.backoff_until), (12, None, None));
    assert_eq!(hooks.world.open(&hooks.hook.id).await, (0, 0));
}

fn wake(hook: &Job, text: &str, run: Option<HookRun>, now: UnixMs) -> AcceptHook {
    let agent_id = AgentId::main();
    let session = SessionRef::main(&agent_id);
    let wake = HookWake { session, agent_id, text: text.to_owned(), run };
    accept(hook, vec![HookAsk::Wake(Box::new(wake))], now)
}

#[tokio::test]
async fn a_text_that_waits_already_is_coalesced_and_one_turn_is_queued_for_several() {
    let hooks = Hooks::new(1).await;
    let main = SessionRef::main(&AgentId::main());
    let turn = |now| {
        let mut asked = run_of(&hooks.hook, "look", now);
        asked.run.session = main.clone();
        Some(asked)
    };
    for (text, run, now, outcome) in [
        ("mail", None, 1, HookOutcome::Queued),
        ("mail", turn(t(2)), 2, HookOutcome::Coalesced),
        ("rain", turn(t(3)), 3, HookOutcome::Queued),
    ] {
        let accepted = hooks.accept(wake(&hooks.hook, text, run, t(now)), t(now)).await;
        assert_eq!(accepted, HookAccepted::Done(outcome), "{text}");
    }
    let texts: Vec<String> = hooks
        .world
        .store
        .system_events(main.id, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.text)
        .collect();
    assert_eq!(texts, ["mail", "rain"]);
    assert_eq!(hooks.world.open(&hooks.hook.id).await, (0, 1));
}

#[tokio::test]
async fn what_needs_no_agent_becomes_an_event_with_its_deliveries() {
    let hooks = Hooks::new(1).await;
    let target: Target = Target::Webhook("https://example.com/in".parse().unwrap());
    let plan = DeliveryPlan { target, begin: DeliveryBegin::Pending, ladder: None, required: true };
    let event = HookEvent {
        id: EventId::new(t(1)),
        body: Bytes::from_static(b"{\"type\":\"hook.received\"}"),
        deliveries: vec![NewDelivery { id: DeliveryId::new(t(1)), plan }],
    };
    let accepted = hooks.accept(accept(&hooks.hook, vec![HookAsk::Event(Box::new(event))], t(1)), t(1)).await;
    assert_eq!(accepted, HookAccepted::Done(HookOutcome::Published));
    let leased = hooks.world.lease(t(2)).await;
    assert_eq!((leased.len(), &leased[0].body[..]), (1, &b"{\"type\":\"hook.received\"}"[..]));
    // It goes with the history, and not while its delivery is under way.
    hooks.prune(&Retention::default(), t(30 * DAY_MS)).await;
    assert_eq!(hooks.requests().await.len(), 1);
}

#[tokio::test]
async fn requests_go_with_the_history_and_never_before_what_they_asked_for_is_over() {
    let hooks = Hooks::new(1).await;
    let first = hooks.ask("a", t(1)).await;
    let last = hooks.ask("b", t(2)).await;
    hooks.prune(&Retention::default(), t(30 * DAY_MS)).await;
    assert_eq!(hooks.requests().await.len(), 2);
    for (run, now) in [(&first, 3), (&last, 5)] {
        assert_eq!(hooks.begin(t(now)).await.len(), 1);
        hooks.end(run, RunOutcome::ok(""), t(now + 1)).await;
    }
    hooks.prune(&Retention::default(), t(30 * DAY_MS)).await;
    // The last run of a job stays, and the request with it.
    assert_eq!(hooks.requests().await.iter().map(|request| &request.runs[0]).collect::<Vec<_>>(), [&last.id]);
}

#[tokio::test]
async fn a_store_that_is_too_large_gives_up_bodies_and_keeps_keys() {
    let hooks = Hooks::new(1).await;
    let mut ignored = accept(&hooks.hook, Vec::new(), t(1));
    ignored.key = Some(keyed(1));
    ignored.request.body = Bytes::from(vec![b' '; 200_000]);
    let id = ignored.request.id;
    assert_eq!(hooks.accept(ignored.clone(), t(1)).await, HookAccepted::Done(HookOutcome::Ignored));
    hooks.prune(&Retention { max_bytes: Some(1), ..Retention::default() }, t(2)).await;
    let (request, body) = hooks.world.store.hook_request(id).await.unwrap().unwrap();
    assert_eq!((body.len(), &request.headers), (0, &Value::Null));
    assert!(matches!(hooks.accept(ignored, t(3)).await, HookAccepted::Repeated { .. }));
    hooks.prune(&Retention { max_bytes: Some(1), ..Retention::default() }, t(3 * DAY_MS)).await;
    assert!(hooks.requests().await.is_empty());
}

#[tokio::test]
async fn a_hook_that_is_not_there_accepts_nothing() {
    let hooks = Hooks::new(1).await;
    let other = hook("other");
    let asked = vec![HookAsk::Run(Box::new(run_of(&other, "a", t(1))))];
    assert_eq!(hooks.accept(accept(&other, asked, t(1)), t(1)).await, HookAccepted::NoHook);
    hooks.world.remove(&hooks.hook.id, t(2)).await;
    assert!(hooks.world.store.hooks().await.unwrap().is_empty());
    assert!(!hooks.world.store.pause_hook(&other.id, true, t(3)).await.unwrap());
}
