//! Sending once more: nothing twice that was asked for once, nothing lost at a crash, and the run's headline stands.

use clawhook_model::{
    AttemptClass, CompletionStatus, DeadCause, Delivery, DeliveryId, DeliveryState, DeliveryStatus,
    DestinationId, ReplayFilter, ReplayId, ReplayState, Replayable, RunId, RunOutcome, Target, UnixMs,
};
use clawhook_store::{
    Claimed, DeliveryCancelled, DeliveryFilter, DeliveryReplayed, DeliveryRetried, NewReplay, NotSentAgain,
    ReplayAdvanced, ReplayCancelled, ReplayListFilter, ReplayOutcomes, RunReplayed, SentAgain, Topic,
    Verdict,
};
use proptest::prelude::*;
use serde_json::json;

use crate::destinations::{define, job_to};
use crate::outbox::{settle_all, settle_as};
use crate::world::{World, finish, t};

fn url(text: &str) -> Target {
    Target::Webhook(text.parse().expect("a URL"))
}

fn dead() -> ReplayFilter {
    in_states([Replayable::Dead])
}

fn in_states(states: impl Into<Vec<Replayable>>) -> ReplayFilter {
    ReplayFilter {
        destination: None,
        job_id: None,
        run_id: None,
        states: states.into(),
        causes: Vec::new(),
        since: None,
        until: None,
    }
}

fn replay_of(filter: ReplayFilter, to: Option<Target>, now: UnixMs) -> NewReplay {
    NewReplay { id: ReplayId::new(now), filter, to, per_second: None, now }
}

/// Begins a replay and drives it to its end, `most` at a time; gives how many it queued each time.
async fn replay(world: &World, new: NewReplay, most: usize) -> Vec<usize> {
    let (id, now) = (new.id, new.now);
    world.store.start_replay(new).await.expect("the store answers").expect("it begins");
    let mut sent = Vec::new();
    loop {
        match world.store.advance_replay(id, most, now).await.expect("the store answers") {
            ReplayAdvanced::Running { sent: more } => sent.push(more),
            ReplayAdvanced::Over => return sent,
        }
    }
}

async fn all(world: &World) -> Vec<Delivery> {
    let filter = DeliveryFilter { limit: 10_000, ..DeliveryFilter::default() };
    let mut page = world.store.deliveries(filter).await.expect("the store answers");
    page.deliveries.reverse();
    page.deliveries
}

async fn delivery(world: &World, id: DeliveryId) -> Delivery {
    world.store.delivery(id).await.expect("the store answers").expect("the delivery").delivery
}

fn sent(replayed: DeliveryReplayed) -> SentAgain {
    match replayed {
        DeliveryReplayed::Sent(again) => again,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_dead_delivery_is_itself_due_again_and_decides_over_its_run() {
    let world = World::new();
    let job = world.add("again").await;
    let run = world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Dead).await;
    let first = all(&world).await.remove(0);
    let again = world.store.replay_delivery(first.id, None, t(2000)).await.unwrap();
    assert_eq!(again, DeliveryReplayed::Sent(SentAgain::Rearmed(first.id)));
    let leased = world.lease(t(2000)).await.remove(0);
    assert_eq!((leased.id, leased.event_id, leased.attempt), (first.id, first.event_id, 2));
    assert_eq!(leased.retries_used, 0, "its whole retry schedule lies before it");
    let open = world.store.replay_delivery(first.id, None, t(2000)).await.unwrap();
    assert_eq!(open, DeliveryReplayed::Refused(NotSentAgain::Open(DeliveryState::Leased)));
    world.store.settle_attempt(settle_as(&leased, t(2001), Verdict::Delivered)).await.unwrap();
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.completion(), Some(CompletionStatus::Succeeded));
    assert_eq!(all(&world).await.len(), 1);
}

#[tokio::test]
async fn i07_an_extra_delivery_has_an_outcome_of_its_own_and_leaves_the_runs_headline_alone() {
    let world = World::new();
    let job = world.add("extra").await;
    let run = world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Delivered).await;
    let first = all(&world).await.remove(0);
    let again = world.store.replay_delivery(first.id, None, t(2000)).await.unwrap();
    let SentAgain::Added(extra) = sent(again) else { panic!("{again:?}") };
    let leased = world.lease(t(2000)).await.remove(0);
    assert_eq!(
        (leased.id, leased.event_id, leased.attempt),
        (extra, first.event_id, 1),
        "i09: one id for ever"
    );
    world.store.settle_attempt(settle_as(&leased, t(2001), Verdict::Dead)).await.unwrap();

    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.deliveries.len(), 2);
    assert_eq!(record.delivery_status(), DeliveryStatus::Delivered);
    assert_eq!((record.completion(), record.delivery_error()), (Some(CompletionStatus::Succeeded), None));
    let extra = world.store.delivery(extra).await.unwrap().unwrap().delivery;
    assert_eq!((extra.state, extra.required, extra.replay_of), (DeliveryState::Dead, false, Some(first.id)));
    assert_eq!(world.store.delivery(first.id).await.unwrap().unwrap().replayed_as, [extra.id]);
}

#[tokio::test]
async fn i07_a_run_whose_own_delivery_is_dead_is_not_green_because_another_receiver_got_it() {
    let world = World::new();
    let job = world.add("elsewhere").await;
    let run = world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Dead).await;
    let first = all(&world).await.remove(0);
    let to = url("https://example.com/other");
    let again = world.store.replay_delivery(first.id, Some(to.clone()), t(2000)).await.unwrap();
    assert!(matches!(again, DeliveryReplayed::Sent(SentAgain::Added(_))), "{again:?}");
    settle_all(&world, t(2000), Verdict::Delivered).await;
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.completion(), Some(CompletionStatus::Failed));
    assert_eq!(record.deliveries[1].target, to);
}

#[tokio::test]
async fn a_one_shot_goes_when_its_own_delivery_arrived_whatever_becomes_of_extra_ones() {
    let world = World::new();
    let job = world.add("once").await;
    let (_, run) = world.claim(&job, t(1000), None).await;
    let mut end = finish(&job, &run, RunOutcome::ok("done"), t(1000));
    end.after = clawhook_store::AfterRun::RemoveWhenComplete;
    world.store.finish_run(end).await.unwrap();
    settle_all(&world, t(1000), Verdict::Dead).await;
    let first = all(&world).await.remove(0);
    let elsewhere = Some(url("https://example.com/other"));
    world.store.replay_delivery(first.id, elsewhere, t(2000)).await.unwrap();
    settle_all(&world, t(2000), Verdict::Dead).await;
    assert!(world.store.job(&job.id).await.unwrap().is_some(), "its result has not arrived");
    world.store.replay_delivery(first.id, None, t(3000)).await.unwrap();
    settle_all(&world, t(3000), Verdict::Delivered).await;
    assert!(world.store.job(&job.id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_not_to_be_sent_or_has_nowhere_to_go_is_not_sent_again() {
    let world = World::new();
    let refused = |why| DeliveryReplayed::Refused(why);
    let job = world.add("silent").await;
    let (claimed, run) = world.claim(&job, t(1000), None).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    world.store.finish_run(finish(&job, &run, RunOutcome::ok("NO_REPLY"), t(1000))).await.unwrap();
    let silent = all(&world).await.remove(0);
    let elsewhere = Some(url("https://example.com/other"));
    for to in [None, elsewhere] {
        let answer = world.store.replay_delivery(silent.id, to, t(2000)).await.unwrap();
        assert_eq!(answer, refused(NotSentAgain::Suppressed));
    }
    let orphan = job_to(&world, "orphan", "gone").await;
    world.run(&orphan, t(1000)).await;
    let orphaned = all(&world).await.remove(1);
    let again = || world.store.replay_delivery(orphaned.id, None, t(2000));
    assert_eq!(again().await.unwrap(), refused(NotSentAgain::NoDestination));
    let retried = world.store.retry_delivery(orphaned.id, t(2000)).await.unwrap();
    assert_eq!(retried, DeliveryRetried::NoDestination);
    let by_name = Some(Target::Destination("nowhere".parse().unwrap()));
    let nowhere = world.store.replay_delivery(orphaned.id, by_name, t(2000)).await.unwrap();
    assert_eq!(nowhere, refused(NotSentAgain::NoDestination));

    let defined = define(&world, "gone", json!({})).await;
    assert_eq!(again().await.unwrap(), DeliveryReplayed::Sent(SentAgain::Rearmed(orphaned.id)));
    assert_eq!(world.lease(t(2000)).await[0].destination, defined.id, "it goes to the one of that name now");
    let unknown = world.store.replay_delivery(DeliveryId::new(t(1)), None, t(1)).await.unwrap();
    assert_eq!(unknown, DeliveryReplayed::NotFound);
}

#[tokio::test]
async fn i08_a_run_is_sent_again_without_being_run_again() {
    let world = World::new();
    define(&world, "ops", json!({})).await;
    let targets = json!([{ "destination": "ops" }, { "to": "https://example.com/two" }]);
    let job = world.add_with("both", json!({ "delivery": { "mode": "webhook", "targets": targets } })).await;
    let run = world.run(&job, t(1000)).await;
    let leased = world.lease(t(1000)).await;
    for (delivery, verdict) in leased.iter().zip([Verdict::Delivered, Verdict::Dead]) {
        world.store.settle_attempt(settle_as(delivery, t(1001), verdict)).await.unwrap();
    }
    let again = world.store.replay_run(run.id, None, t(2000)).await.unwrap();
    let RunReplayed::Done { sent, refused } = again else { panic!("{again:?}") };
    assert_eq!((sent.len(), refused), (2, Vec::new()));
    assert_eq!(sent[1], SentAgain::Rearmed(leased[1].id));
    settle_all(&world, t(2000), Verdict::Delivered).await;

    let elsewhere = Some(url("https://example.com/backfill"));
    let again = world.store.replay_run(run.id, elsewhere, t(3000)).await.unwrap();
    let RunReplayed::Done { sent, .. } = again else { panic!("{again:?}") };
    assert_eq!(sent.len(), 1, "one event goes there once, however many targets the job has");
    let runs = world.store.runs(clawhook_store::RunFilter { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!(runs.total, 1);
}

#[tokio::test]
async fn a_run_that_asked_for_no_delivery_can_be_sent_to_somebody_all_the_same() {
    let world = World::new();
    let job = world.add_with("quiet", json!({ "delivery": { "mode": "none" } })).await;
    let (_, begun) = world.claim(&job, t(1000), Some(t(2000))).await;
    let early = world.store.replay_run(begun.id, None, t(1001)).await.unwrap();
    assert_eq!(early, RunReplayed::NotOver);
    world.store.finish_run(finish(&job, &begun, RunOutcome::ok("done"), t(1000))).await.unwrap();
    let nothing = world.store.replay_run(begun.id, None, t(2000)).await.unwrap();
    assert_eq!(nothing, RunReplayed::Done { sent: Vec::new(), refused: Vec::new() });
    let to = Some(url("https://example.com/late"));
    world.store.replay_run(begun.id, to, t(2000)).await.unwrap();
    assert_eq!(&world.lease(t(2000)).await[0].body[..], b"{\"action\":\"finished\"}");
    let record = world.store.run(begun.id).await.unwrap().unwrap();
    assert_eq!(record.delivery_status(), DeliveryStatus::NotRequested);
    let unknown = world.store.replay_run(RunId::new(t(1)), None, t(1)).await.unwrap();
    assert_eq!(unknown, RunReplayed::NotFound);
}

#[tokio::test]
async fn a_range_is_queued_once_in_batches_and_what_comes_about_later_is_no_part_of_it() {
    let world = World::new();
    let job = world.add("many").await;
    for second in 1..=5 {
        world.run(&job, t(second * 1000)).await;
    }
    settle_all(&world, t(6000), Verdict::Dead).await;
    let mut changes = world.store.subscribe(Topic::Replays);
    changes.mark_unchanged();
    let new = replay_of(dead(), None, t(7000));
    let begun = world.store.start_replay(new.clone()).await.unwrap().unwrap();
    assert_eq!((begun.matched, begun.state), (5, ReplayState::Running));
    assert!(changes.has_changed().unwrap(), "who drives it is told");
    // One that dies after the replay began is not its business.
    world.run(&job, t(6000)).await;
    settle_all(&world, t(8000), Verdict::Dead).await;
    let advance = || world.store.advance_replay(new.id, 2, t(9000));
    assert_eq!(advance().await.unwrap(), ReplayAdvanced::Running { sent: 2 });
    assert_eq!(world.lease(t(9000)).await.len(), 2);
    // One that a person retried in the meantime is on its way already.
    let third = all(&world).await[2].id;
    world.store.retry_delivery(third, t(9000)).await.unwrap();
    while advance().await.unwrap() != ReplayAdvanced::Over {}
    let ended = world.store.replay(new.id).await.unwrap().unwrap();
    assert_eq!((ended.replay.done, ended.replay.skipped), (4, 1));
    assert_eq!((ended.replay.state, ended.replay.ended_at), (ReplayState::Done, Some(t(9000))));
    assert_eq!(ended.outcomes, ReplayOutcomes { open: 4, ..ReplayOutcomes::default() });
    assert_eq!(all(&world).await[5].state, DeliveryState::Dead);
    assert!(world.store.running_replays().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_range_is_narrowed_by_each_part_of_its_filter() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let (job, other) = (job_to(&world, "a", "ops").await, world.add("b").await);
    world.run(&job, t(1000)).await;
    world.run(&job, t(2000)).await;
    let run = world.run(&other, t(1000)).await;
    settle_all(&world, t(4000), Verdict::Dead).await;
    let gateway = vec![DeadCause::Gateway];
    for (filter, matches) in [
        (dead(), 3),
        (in_states([Replayable::Delivered, Replayable::Cancelled]), 0),
        (ReplayFilter { destination: Some(ops.id), ..dead() }, 2),
        (ReplayFilter { destination: Some(DestinationId::from_number(77)), ..dead() }, 0),
        (ReplayFilter { job_id: Some(other.id.clone()), ..dead() }, 1),
        (ReplayFilter { run_id: Some(run.id), ..dead() }, 1),
        (ReplayFilter { since: Some(t(2000)), ..dead() }, 1),
        (ReplayFilter { until: Some(t(2000)), ..dead() }, 2),
        (ReplayFilter { causes: gateway, ..dead() }, 0),
        (ReplayFilter { causes: vec![DeadCause::Receiver], ..dead() }, 3),
    ] {
        let counted = world.store.count_replayable(filter.clone(), t(5000)).await.unwrap();
        assert_eq!(counted, matches, "{filter:?}");
    }
    assert_eq!(world.store.count_replayable(dead(), t(3999)).await.unwrap(), 0, "nothing was settled then");
}

#[tokio::test]
async fn one_replay_sends_an_event_to_a_destination_once() {
    let world = World::new();
    define(&world, "ops", json!({})).await;
    let targets = json!([{ "destination": "ops" }, { "to": "https://example.com/two" }]);
    let job = world.add_with("both", json!({ "delivery": { "mode": "webhook", "targets": targets } })).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Delivered).await;
    let new = replay_of(in_states([Replayable::Delivered]), Some(url("https://example.com/new")), t(2000));
    replay(&world, new.clone(), 10).await;
    let ended = world.store.replay(new.id).await.unwrap().unwrap().replay;
    assert_eq!((ended.matched, ended.done, ended.skipped), (2, 1, 1));
    assert_eq!(ended.to.map(|to| to.shown()).as_deref(), Some("https://example.com/new"));
}

#[tokio::test]
async fn a_replay_that_is_cancelled_queues_nothing_more_and_what_it_queued_is_sent() {
    let world = World::new();
    let job = world.add("ended").await;
    for second in 1..=3 {
        world.run(&job, t(second * 1000)).await;
    }
    settle_all(&world, t(4000), Verdict::Dead).await;
    let new = replay_of(dead(), None, t(5000));
    world.store.start_replay(new.clone()).await.unwrap();
    world.store.advance_replay(new.id, 1, t(5000)).await.unwrap();
    let ended = world.store.cancel_replay(new.id, t(5001)).await.unwrap();
    assert!(matches!(ended, ReplayCancelled::Done(replay) if replay.done == 1), "it tells how far it came");
    assert_eq!(world.store.advance_replay(new.id, 9, t(5002)).await.unwrap(), ReplayAdvanced::Over);
    assert_eq!(world.lease(t(5002)).await.len(), 1);
    let again = world.store.cancel_replay(new.id, t(5003)).await.unwrap();
    assert_eq!(again, ReplayCancelled::Over(ReplayState::Cancelled));
    let unknown = world.store.cancel_replay(ReplayId::new(t(1)), t(1)).await.unwrap();
    assert_eq!(unknown, ReplayCancelled::NotFound);
    let list = ReplayListFilter { state: Some(ReplayState::Cancelled), limit: 9, ..Default::default() };
    assert_eq!(world.store.replays(list).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_replay_to_a_destination_that_is_removed_ends_and_says_why() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let job = world.add("late").await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Dead).await;
    let new = replay_of(dead(), Some(Target::Destination("ops".parse().unwrap())), t(2000));
    world.store.start_replay(new.clone()).await.unwrap();
    world.store.remove_destination(ops.id, t(2001)).await.unwrap();
    assert_eq!(world.store.advance_replay(new.id, 9, t(2002)).await.unwrap(), ReplayAdvanced::Over);
    let ended = world.store.replay(new.id).await.unwrap().unwrap().replay;
    assert_eq!(ended.reason.as_deref(), Some("its destination was removed"));
    let nowhere = replay_of(dead(), Some(Target::Destination("ops".parse().unwrap())), t(3000));
    assert!(world.store.start_replay(nowhere).await.unwrap().is_none());
}

#[tokio::test]
async fn an_order_is_kept_by_what_is_sent_again() {
    let world = World::new();
    define(&world, "ops", json!({ "order": "destination" })).await;
    let job = job_to(&world, "ordered", "ops").await;
    for second in 1..=3 {
        world.run(&job, t(second * 1000)).await;
        settle_all(&world, t(second * 1000), Verdict::Dead).await;
    }
    replay(&world, replay_of(dead(), None, t(5000)), 2).await;
    for second in 1..=3 {
        let leased = world.lease(t(6000)).await;
        let instants: Vec<UnixMs> = leased.iter().map(|leased| leased.occurred_at).collect();
        assert_eq!(instants, [t(second * 1000)], "one at a time");
        world.store.settle_attempt(settle_as(&leased[0], t(6000), Verdict::Delivered)).await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_delivery_tells_on_whose_side_the_cause_lies() {
    let world = World::new();
    let job = world.add("told").await;
    let classes = [AttemptClass::ClientError, AttemptClass::Blocked, AttemptClass::DnsFailed];
    for (second, class) in (1..).zip(classes) {
        world.run(&job, t(second * 1000)).await;
        let leased = world.lease(t(second * 1000)).await.remove(0);
        let mut settle = settle_as(&leased, t(second * 1000), Verdict::Dead);
        settle.attempt.report.class = class;
        world.store.settle_attempt(settle).await.unwrap();
    }
    let orphan = job_to(&world, "orphan", "gone").await;
    world.run(&orphan, t(1000)).await;
    let counts = world.store.counts(t(9000)).await.unwrap().deliveries_dead;
    assert_eq!((counts.receiver, counts.configuration, counts.gateway, counts.total()), (1, 2, 1, 4));
    let filter =
        DeliveryFilter { causes: vec![DeadCause::Configuration], limit: 9, ..DeliveryFilter::default() };
    let page = world.store.deliveries(filter).await.unwrap();
    assert_eq!(page.total, 2);
    let blocked = page.deliveries[1].id;
    world.store.retry_delivery(blocked, t(9000)).await.unwrap();
    assert_eq!(delivery(&world, blocked).await.cause, None, "while it is tried again it is not dead");
    let cancelled = world.store.cancel_delivery(blocked, t(9001)).await.unwrap();
    assert_eq!((cancelled, delivery(&world, blocked).await.cause), (DeliveryCancelled::Done, None));
}

#[tokio::test]
async fn a_destination_is_found_by_what_it_is_called_even_after_its_removal() {
    let world = World::new();
    let ops = define(&world, "ops", json!({})).await;
    let by_name = Target::Destination("ops".parse().unwrap());
    assert_eq!(world.store.destination_id(&by_name).await.unwrap(), Some(ops.id));
    world.store.remove_destination(ops.id, t(1)).await.unwrap();
    assert_eq!(world.store.destination_id(&by_name).await.unwrap(), Some(ops.id));
    let second = define(&world, "ops", json!({})).await;
    assert_eq!(world.store.destination_id(&by_name).await.unwrap(), Some(second.id));
    assert_eq!(world.store.destination_id(&url("https://example.com/x")).await.unwrap(), None);
}

/// What may happen while a replay goes on.
#[derive(Debug, Clone)]
enum Step {
    Advance(usize),
    Restart,
    Deliver,
    Kill,
    ByHand(prop::sample::Index),
    Cancel(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..5).prop_map(Step::Advance),
        1 => Just(Step::Restart),
        1 => Just(Step::Deliver),
        1 => Just(Step::Kill),
        1 => any::<prop::sample::Index>().prop_map(Step::ByHand),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens meanwhile, restarts too: a replay comes to its end, accounts for all that it found, queues each
    /// delivery at most once, and each that nobody touched exactly once.
    #[test]
    fn i05_a_replay_queues_each_delivery_once_whatever_happens_meanwhile(
        count in 1usize..12,
        elsewhere in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let job = world.add("any").await;
            for number in 1..=i64::try_from(count).unwrap() {
                world.run(&job, t(number * 1000)).await;
            }
            settle_all(&world, t(20_000), Verdict::Dead).await;
            let own: Vec<DeliveryId> = all(&world).await.iter().map(|delivery| delivery.id).collect();
            let to = elsewhere.then(|| url("https://example.com/elsewhere"));
            let new = replay_of(dead(), to, t(30_000));
            let begun = world.store.start_replay(new.clone()).await.unwrap().unwrap();
            prop_assert_eq!(usize::try_from(begun.matched).unwrap(), count);
            let (mut now, mut touched) = (t(30_000), std::collections::HashSet::new());
            for step in steps {
                now = now.plus_millis(1000);
                match step {
                    Step::Advance(most) => { world.store.advance_replay(new.id, most, now).await.unwrap(); }
                    Step::Restart => world = world.reopen(),
                    Step::Deliver => settle_all(&world, now, Verdict::Delivered).await,
                    Step::Kill => settle_all(&world, now, Verdict::Dead).await,
                    Step::ByHand(index) => {
                        let id = *index.get(&own);
                        touched.insert(id);
                        world.store.retry_delivery(id, now).await.unwrap();
                    }
                    Step::Cancel(index) => {
                        let id = *index.get(&own);
                        touched.insert(id);
                        world.store.cancel_delivery(id, now).await.unwrap();
                    }
                }
            }
            while world.store.advance_replay(new.id, 3, now).await.unwrap() != ReplayAdvanced::Over {}
            let ended = world.store.replay(new.id).await.unwrap().unwrap();
            prop_assert_eq!(ended.replay.done + ended.replay.skipped, begun.matched);
            let ReplayOutcomes { open, delivered, dead, cancelled } = ended.outcomes;
            prop_assert_eq!(open + delivered + dead + cancelled, ended.replay.done);
            let deliveries = all(&world).await;
            for id in &own {
                let extra = deliveries.iter().filter(|delivery| delivery.replay_of == Some(*id)).count();
                prop_assert!(extra <= usize::from(elsewhere));
                if elsewhere && !touched.contains(id) {
                    prop_assert_eq!(extra, 1);
                }
            }
            if touched.is_empty() {
                prop_assert_eq!(usize::try_from(ended.replay.done).unwrap(), count);
            }
            Ok(())
        })?;
    }
}
