//! Destinations and their queues: each gives what it is asked for, keeps its order, and loses nothing while halted.

use clawhook_model::{
    DeliveryState, Destination, DestinationDefinition, DestinationName, Halt, HaltReason, Job, RunOutcome,
    Standing, UnixMs,
};
use clawhook_store::{
    Claimed, Decider, DeliveryCancelled, DestinationFilter, DestinationRemoved, DestinationUpdated,
    LeaseShare, NewDestination, QueueClass, QueueNews, Spends, Verdict,
};
use serde_json::{Value, json};

use crate::outbox::{settle_all, settle_as};
use crate::world::{T0, World, finish, t};

pub(crate) fn definition(change: &Value) -> DestinationDefinition {
    let mut value = json!({ "url": "https://example.com/ops?token=s3cret" });
    for (key, change) in change.as_object().cloned().unwrap_or_default() {
        value[key] = change;
    }
    DestinationDefinition::parse(value).expect("a good definition")
}

pub(crate) async fn define(world: &World, name: &str, change: Value) -> Destination {
    let name: DestinationName = name.parse().expect("a name");
    let new = NewDestination { name, definition: definition(&change), declared_in: None, now: T0 };
    world.store.insert_destination(new).await.expect("the store answers").expect("the name is free")
}

pub(crate) async fn job_to(world: &World, id: &str, destination: &str) -> Job {
    let delivery = json!({ "mode": "webhook", "destination": destination });
    world.add_with(id, json!({ "delivery": delivery })).await
}

fn share(destination: &Destination, most: usize, probe: bool) -> LeaseShare {
    LeaseShare { destination: destination.id, class: QueueClass::FirstTry, most, until: t(90_000), probe }
}

fn halt(reason: HaltReason) -> Halt {
    Halt { reason, detail: "as told".to_owned(), since: t(1) }
}

#[tokio::test]
async fn a_queue_gives_what_it_is_asked_for_and_tells_what_is_left() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = job_to(&world, "many", "ops").await;
    let other = world.add("other").await;
    for second in 1..=3 {
        world.run(&job, t(second * 1000)).await;
    }
    world.run(&other, t(1000)).await;
    let batch = world.lease_shares(t(5000), vec![share(&ops, 2, false)]).await;
    assert_eq!(batch.leased.len(), 2);
    assert!(batch.leased.iter().all(|leased| leased.destination == ops.id));
    let left = QueueNews { destination: ops.id, class: QueueClass::FirstTry, at: t(3000) };
    assert_eq!(batch.left, [left]);
    assert!(world.lease_shares(t(2999), vec![share(&ops, 2, false)]).await.leased.is_empty(), "not due yet");
}

#[tokio::test]
async fn commits_tell_which_queues_got_something() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = job_to(&world, "told", "ops").await;
    world.store.take_queue_news();
    world.run(&job, t(1000)).await;
    world.run(&job, t(2000)).await;
    let news = |class, at| QueueNews { destination: ops.id, class, at };
    assert_eq!(world.store.take_queue_news(), [news(QueueClass::FirstTry, t(1000))], "once, the earliest");
    settle_all(&world, t(2000), Verdict::RetryAt { at: t(9000), spends: Spends::Retry }).await;
    assert_eq!(world.store.take_queue_news(), [news(QueueClass::Retry, t(9000))]);
    assert!(world.store.take_queue_news().is_empty());
}

#[tokio::test]
async fn one_url_is_one_implicit_destination_whoever_names_it() {
    let world = World::new();
    for id in ["a", "b"] {
        let job = world.add(id).await;
        world.run(&job, t(1000)).await;
    }
    let leased = world.lease(t(1000)).await;
    assert_eq!(leased[0].destination, leased[1].destination);
    let filter = DestinationFilter { implicit: true, limit: 10, ..DestinationFilter::default() };
    let page = world.store.destinations(filter).await.unwrap();
    assert_eq!((page.total, page.destinations[0].queue.leased), (1, 2));
    assert_eq!(page.destinations[0].destination.target.shown(), "https://example.com/hook?token=***");
}

#[tokio::test]
async fn each_target_of_a_job_has_an_outcome_of_its_own() {
    let world = World::new();
    define(&world, "ops", json!({})).await;
    let targets = json!([{ "destination": "ops" }, { "to": "https://example.com/two" }]);
    let job = world.add_with("both", json!({ "delivery": { "mode": "webhook", "targets": targets } })).await;
    let run = world.run(&job, t(1000)).await;
    let leased = world.lease(t(1000)).await;
    assert_eq!(leased.len(), 2);
    assert_eq!(leased[0].event_id, leased[1].event_id, "one event, one id");
    for (delivery, verdict) in leased.iter().zip([Verdict::Delivered, Verdict::Dead]) {
        world.store.settle_attempt(settle_as(delivery, t(1001), verdict)).await.unwrap();
    }
    let record = world.store.run(run.id).await.unwrap().unwrap();
    let states: Vec<DeliveryState> = record.deliveries.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::Dead]);
    assert_eq!(record.completion(), Some(clawhook_model::CompletionStatus::Failed), "i07: no green");
}

#[tokio::test]
async fn i04_a_halted_destination_gives_nothing_and_loses_nothing() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = job_to(&world, "kept", "ops").await;
    world.run(&job, t(1000)).await;
    let standings = [Standing::Paused(halt(HaltReason::Gone)), Standing::Disabled(halt(HaltReason::Failing))];
    for (standing, due) in standings.into_iter().zip([t(2000), t(3000)]) {
        let halted = world
            .store
            .set_standing(ops.id, standing.clone(), Decider::Person, t(1500))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(halted.standing, standing);
        world.run(&job, due).await;
        assert!(world.lease_shares(t(5000), vec![share(&ops, 9, false)]).await.leased.is_empty());
    }
    let counts = world.store.counts(t(9000)).await.unwrap();
    assert_eq!(
        (counts.deliveries_open, counts.deliveries_halted, counts.oldest_due_delivery_at),
        (3, 3, None)
    );
    world.store.take_queue_news();
    let resumed =
        world.store.set_standing(ops.id, Standing::Active, Decider::Person, t(9000)).await.unwrap().unwrap();
    assert_eq!((resumed.standing, resumed.resumed_at), (Standing::Active, Some(t(9000))));
    assert_eq!(world.store.take_queue_news().len(), 1, "who sends is told");
    assert_eq!(world.lease(t(9000)).await.len(), 3);
}

#[tokio::test]
async fn a_probe_finds_out_whether_a_paused_destination_is_well_but_never_a_disabled_one() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = job_to(&world, "probed", "ops").await;
    for second in 1..=2 {
        world.run(&job, t(second * 1000)).await;
    }
    world
        .store
        .set_standing(ops.id, Standing::Paused(halt(HaltReason::Failing)), Decider::Person, t(1))
        .await
        .unwrap();
    assert_eq!(world.lease_shares(t(5000), vec![share(&ops, 1, true)]).await.leased.len(), 1);
    world
        .store
        .set_standing(ops.id, Standing::Disabled(halt(HaltReason::Failing)), Decider::Person, t(1))
        .await
        .unwrap();
    assert!(world.lease_shares(t(5000), vec![share(&ops, 1, true)]).await.leased.is_empty());
}

#[tokio::test]
async fn an_order_is_kept_and_its_head_can_be_skipped() {
    let world = World::new();
    let ops = define(&world, "ops", json!({ "order": "job" })).await;
    let (first, second) = (job_to(&world, "first", "ops").await, job_to(&world, "second", "ops").await);
    for at in [1000, 2000, 3000] {
        world.run(&first, t(at)).await;
    }
    world.run(&second, t(1000)).await;
    let heads = world.lease(t(5000)).await;
    assert_eq!(heads.len(), 2, "the head of each job");
    let shown = world.store.destination(ops.id).await.unwrap().unwrap();
    assert_eq!((shown.queue.blocked, shown.queue.leased), (2, 2));
    for head in &heads {
        let again = Verdict::RetryAt { at: t(60_000), spends: Spends::Retry };
        world.store.settle_attempt(settle_as(head, t(5001), again)).await.unwrap();
    }
    assert!(world.lease(t(5002)).await.is_empty(), "a head that waits holds up those behind it");
    let head = heads.iter().min_by_key(|head| head.occurred_at).unwrap();
    assert_eq!(world.store.cancel_delivery(head.id, t(5003)).await.unwrap(), DeliveryCancelled::Done);
    let next = world.lease(t(5003)).await;
    assert_eq!(next.iter().map(|next| next.occurred_at).collect::<Vec<_>>(), [t(2000)]);
    world.store.settle_attempt(settle_as(&next[0], t(5004), Verdict::Delivered)).await.unwrap();
    assert_eq!(world.lease(t(5004)).await[0].occurred_at, t(3000));
}

#[tokio::test]
async fn an_order_that_is_given_up_lets_everything_go() {
    let world = World::new();
    let ops = define(&world, "ops", json!({ "order": "destination" })).await;
    let job = job_to(&world, "ordered", "ops").await;
    for at in [1000, 2000, 3000] {
        world.run(&job, t(at)).await;
    }
    assert_eq!(world.lease(t(5000)).await.len(), 1);
    let updated =
        world.store.update_destination(ops.id, ops.revision, definition(&json!({})), None, t(5000)).await;
    assert!(matches!(updated.unwrap(), DestinationUpdated::Done(_)));
    assert_eq!(world.lease(t(5000)).await.len(), 2);
}

#[tokio::test]
async fn an_empty_success_is_sent_where_the_destination_asks_for_it() {
    let world = World::new();
    define(&world, "all", json!({ "sendEmpty": true })).await;
    define(&world, "some", json!({})).await;
    let targets = json!([{ "destination": "all" }, { "destination": "some" }]);
    let job =
        world.add_with("silent", json!({ "delivery": { "mode": "webhook", "targets": targets } })).await;
    let (claimed, run) = world.claim(&job, t(1000), None).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    world.store.finish_run(finish(&job, &run, RunOutcome::ok("NO_REPLY"), t(1000))).await.unwrap();
    let record = world.store.run(run.id).await.unwrap().unwrap();
    let states: Vec<DeliveryState> = record.deliveries.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [DeliveryState::Pending, DeliveryState::Suppressed]);
}

#[tokio::test]
async fn i04_a_name_that_is_gone_leaves_a_dead_delivery_and_not_none() {
    let world = World::new();
    let job = job_to(&world, "orphan", "gone").await;
    let run = world.run(&job, t(1000)).await;
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].state, DeliveryState::Dead);
    assert_eq!(record.deliveries[0].reason.as_deref(), Some("there is no destination `gone` any more"));
    define(&world, "gone", json!({})).await;
    world.run(&job, t(2000)).await;
    assert_eq!(world.lease(t(2000)).await.len(), 1, "once it is defined, it is sent to");
}

#[tokio::test]
async fn a_destination_goes_only_when_nothing_waits_and_no_job_names_it_and_its_name_is_free_again() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = job_to(&world, "last", "ops").await;
    world.run(&job, t(1000)).await;
    assert_eq!(world.store.remove_destination(ops.id, t(1)).await.unwrap(), DestinationRemoved::InUse(1));
    settle_all(&world, t(1000), Verdict::Delivered).await;
    assert_eq!(world.store.remove_destination(ops.id, t(2)).await.unwrap(), DestinationRemoved::Named);
    world.remove(&job.id, t(1)).await;
    assert_eq!(world.store.remove_destination(ops.id, t(2)).await.unwrap(), DestinationRemoved::Done);
    assert!(world.store.destination(ops.id).await.unwrap().is_none());
    let again = define(&world, "ops", json!({})).await;
    assert_ne!(again.id, ops.id);
    let taken = NewDestination {
        name: "ops".parse().unwrap(),
        definition: definition(&json!({})),
        declared_in: None,
        now: T0,
    };
    assert!(world.store.insert_destination(taken).await.unwrap().is_none(), "the name is taken");
}

#[tokio::test]
async fn the_jobs_that_name_a_destination_are_found_and_no_others() {
    let world = World::new();
    define(&world, "ops", json!({})).await;
    job_to(&world, "one", "ops").await;
    let several =
        json!({ "mode": "webhook", "targets": [{ "to": "https://example.com/" }, { "destination": "ops" }] });
    world.add_with("several", json!({ "delivery": several, "enabled": false })).await;
    job_to(&world, "other", "ops-2").await;
    let says = json!({ "kind": "command", "argv": ["x"], "env": { "destination": "ops" } });
    world.add_with("says", json!({ "payload": says })).await;
    let naming = |limit| {
        let store = world.store.clone();
        async move {
            let found = store.jobs_naming(&"ops".parse().unwrap(), limit).await.unwrap();
            found.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(naming(10).await, ["one", "several"]);
    assert_eq!(naming(1).await, ["one"]);
}

#[tokio::test]
async fn the_delivery_that_holds_an_order_up_is_told_with_how_many_wait_for_it() {
    let world = World::new();
    let ops = define(&world, "ops", json!({ "order": "job" })).await;
    let (held, free) = (job_to(&world, "held", "ops").await, job_to(&world, "free", "ops").await);
    for second in 1..=3 {
        world.run(&held, t(second * 1000)).await;
    }
    world.run(&free, t(1000)).await;
    settle_all(&world, t(3000), Verdict::RetryAt { at: t(9000), spends: Spends::Retry }).await;
    let heads = world.store.order_heads(ops.id, 10).await.unwrap();
    let [head] = heads.as_slice() else { panic!("{heads:?}") };
    assert_eq!((head.job_id.as_str(), head.behind, head.next_at), ("held", 2, Some(t(9000))));
    assert_eq!(head.state, DeliveryState::Waiting);
}

#[tokio::test]
async fn where_a_destination_is_declared_can_change() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let file = Some("/etc/clawhook.json5".to_owned());
    let updated =
        world.store.update_destination(ops.id, ops.revision, definition(&json!({})), file.clone(), t(1));
    let DestinationUpdated::Done(updated) = updated.await.unwrap() else { panic!("it is changed") };
    assert_eq!((updated.declared_in, updated.revision), (file, ops.revision + 1));
}

#[tokio::test]
async fn an_edit_from_an_old_reading_changes_nothing() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let edit =
        |revision| world.store.update_destination(ops.id, revision, definition(&json!({})), None, t(1));
    assert!(matches!(edit(ops.revision).await.unwrap(), DestinationUpdated::Done(_)));
    assert!(matches!(edit(ops.revision).await.unwrap(), DestinationUpdated::Changed));
}

#[tokio::test]
async fn what_is_known_of_a_destination_survives_a_restart() {
    let world = World::new();
    let ops = define(&world, "ops", json!({ "order": "job", "limits": { "perSecond": 2.5 } })).await;
    let since: Option<UnixMs> = Some(t(77));
    world.store.note_failing(ops.id, since).await.unwrap();
    let world = world.reopen();
    let again = world.store.destination_named(&"ops".parse().unwrap()).await.unwrap().unwrap().destination;
    assert_eq!((again.definition, again.failing_since), (ops.definition, since));
}

#[tokio::test]
async fn sealed_secrets_are_kept_and_come_back_as_they_were_stored() {
    let world = World::new();
    let stored = json!({
        "url": "https://example.com/ops",
        "signing": { "secret": { "sealed": "v1.key.text" } },
        "subscriptions": [{ "events": ["job.added"] }],
    });
    let definition = DestinationDefinition::parse_stored(stored.clone()).unwrap();
    let new = NewDestination { name: "ops".parse().unwrap(), definition, declared_in: None, now: T0 };
    let ops = world.store.insert_destination(new).await.unwrap().unwrap();
    assert_eq!(ops.definition.unwrap().to_stored_json(), stored);
    world.add("told").await;
    assert_eq!(world.lease(t(1)).await.len(), 1, "its subscriptions are read too");
}

#[tokio::test]
async fn the_gateway_never_overrules_a_person() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let set = |standing, decider| world.store.set_standing(ops.id, standing, decider, t(5));
    let by_hand = Standing::Paused(halt(HaltReason::ByHand));
    set(by_hand.clone(), Decider::Person).await.unwrap();
    for standing in [Standing::Active, Standing::Disabled(halt(HaltReason::Failing))] {
        let left = set(standing, Decider::Gateway).await.unwrap().unwrap();
        assert_eq!(left.standing, by_hand);
    }
    let disabled = Standing::Disabled(halt(HaltReason::Failing));
    set(Standing::Active, Decider::Person).await.unwrap();
    set(disabled.clone(), Decider::Gateway).await.unwrap();
    assert_eq!(set(Standing::Active, Decider::Gateway).await.unwrap().unwrap().standing, disabled);
    assert_eq!(set(Standing::Active, Decider::Person).await.unwrap().unwrap().standing, Standing::Active);
}
