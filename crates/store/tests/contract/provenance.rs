//! Where runs come from, and what is told when they come too far.

use clawhook_model::{ErrorReason, InstanceId, Provenance, RunOutcome, Trigger};
use clawhook_store::RefusedLoop;
use serde_json::{Value, json};

use crate::destinations::define;
use crate::world::{World, begun, t};

fn two_hops() -> Provenance {
    Provenance { hops: 2, trail: vec!["other/first".to_owned(), "other/second".to_owned()] }
}

#[tokio::test]
async fn what_led_to_a_run_is_kept_and_its_retry_comes_from_the_same_place() {
    let world = World::new();
    let job = world.add("far").await;
    let mut planned = crate::world::planned(&job, t(1000), clawhook_store::RunStart::Now);
    planned.run.provenance = two_hops();
    let run = planned.run.clone();
    let claim = clawhook_store::Claim {
        runs: vec![planned],
        ..crate::world::claim(&job.id, t(1000), None, Some(t(100_000)))
    };
    world.store.claim(vec![claim], t(1000)).await.unwrap();
    assert_eq!(world.store.run(run.id).await.unwrap().unwrap().run.provenance, two_hops());
    let failed = RunOutcome::error(ErrorReason::RateLimit, "slow down");
    world.store.finish_run(crate::world::finish(&job, &run, failed, t(1500))).await.unwrap();
    let queued = world.store.claim_queued(crate::world::LANE, 1, t(90_000)).await.unwrap();
    assert_eq!((queued[0].run.trigger, begun(&queued[0].run).provenance), (Trigger::Retry, two_hops()));
}

#[tokio::test]
async fn work_that_is_refused_as_a_circle_is_counted_and_told_to_those_who_subscribed() {
    let world = World::new();
    define(&world, "watch", json!({ "subscriptions": [{ "events": ["loop.broken"] }] })).await;
    let job = world.add("round").await;
    let told = two_hops().through(&InstanceId::default(), &job.id);
    let broken = told.caused(2).unwrap_err();
    let refused = RefusedLoop {
        job_id: job.id.clone(),
        job_name: "round".to_owned(),
        agent_id: job.definition.agent(),
        broken,
    };
    world.store.tell_of_loop(refused, t(1)).await.unwrap();
    assert_eq!(world.store.counts(t(1)).await.unwrap().loops_broken, 1);
    let leased = world.lease(t(1)).await;
    let event: Value = serde_json::from_slice(&leased[0].body).unwrap();
    assert_eq!((&event["type"], &event["jobId"]), (&json!("loop.broken"), &json!("round")));
    let trail = json!(["other/first", "other/second", "gateway/round"]);
    assert_eq!(event["loop"], json!({ "hops": 3, "maxHops": 2, "trail": trail }));
    assert_eq!(event["provenance"], json!({ "hops": 3, "trail": trail }));
    assert!(event["reason"].as_str().unwrap().contains("2 are allowed"), "{event}");
}
