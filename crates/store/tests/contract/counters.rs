//! Whatever happens in whatever order: a job counts the runs that are open, and what is to wait waits.

use std::sync::Arc;

use clawhook_model::{
    ErrorReason, FailureRules, Job, OpenRuns, Overlap, RunId, RunOutcome, RunProgress, RunStatus, SessionId,
};
use clawhook_store::{
    Backfill, JobEdit, Left, NextRun, OccurrenceOutcome, RunFilter, RunRecord, RunStart, StartRun,
};
use proptest::prelude::*;
use serde_json::json;

use crate::world::{LANE, World, begun, finish, planned, t};

/// Something that happens to a job.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It is claimed, with so many runs more that wait, as it was read or as it was a moment before.
    Claim {
        waiting: usize,
        stale: bool,
    },
    /// A run is asked for by hand, with a slot or without.
    ByHand {
        held: bool,
    },
    /// What is ready begins, so many runs at most.
    Begin {
        most: usize,
    },
    /// The oldest run under way ends.
    Finish(End),
    Disable,
    Enable,
    Backfill,
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    Broken,
    Busy,
    Interrupted,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, any::<bool>()).prop_map(|(waiting, stale)| Step::Claim { waiting, stale }),
        2 => any::<bool>().prop_map(|held| Step::ByHand { held }),
        5 => (1..4usize).prop_map(|most| Step::Begin { most }),
        3 => Just(Step::Finish(End::Well)),
        2 => Just(Step::Finish(End::Broken)),
        2 => Just(Step::Finish(End::Busy)),
        1 => Just(Step::Finish(End::Interrupted)),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
        1 => Just(Step::Backfill),
        1 => Just(Step::Reopen),
    ]
}

/// A job whose runs do not overlap, and the time that has passed.
struct Story {
    world: World,
    job: Job,
    read: OpenRuns,
    now: i64,
}

impl Story {
    async fn begin() -> Self {
        let world = World::new();
        let job = world.add_with("counted", json!({ "overlap": "bufferAll" })).await;
        Self { world, job, read: OpenRuns::default(), now: 1000 }
    }

    async fn take(mut self, step: Step) -> Self {
        self.now += 7000;
        let now = t(self.now);
        let stored = self.world.store.job(&self.job.id).await.expect("the store answers").expect("the job");
        match step {
            Step::Claim { waiting, stale } => {
                let Some(due) = stored.state.next_run_at else { return self };
                let open = if stale { self.read } else { stored.state.open_runs };
                let first = if open.any() { RunStart::AfterOthers } else { RunStart::Now };
                let mut runs = vec![planned(&self.job, due, first)];
                for place in 1..=i64::try_from(waiting).expect("a few") {
                    runs.push(planned(&self.job, due.plus_millis(place), RunStart::AfterOthers));
                }
                self.world.claim_all(&self.job, open, &runs, now).await;
            }
            Step::ByHand { held } => {
                let start = StartRun {
                    job_id: self.job.id.clone(),
                    run_id: RunId::new(now),
                    session_id: SessionId::random(),
                    held: if held { vec![LANE] } else { Vec::new() },
                    overlap: Overlap::Skip,
                };
                self.world.store.start_run(start, now).await.expect("it is answered");
            }
            Step::Begin { most } => self.let_begin(most).await,
            Step::Finish(end) => {
                if let Some(record) = self.runs().await.into_iter().find(is_under_way) {
                    self.end(&record, end).await;
                }
            }
            Step::Disable | Step::Enable => {
                let enabled = matches!(step, Step::Enable);
                let after = stored.definition.patched(json!({ "enabled": enabled }), now);
                let next_run = NextRun::Set(enabled.then(|| now.plus_millis(1)));
                let after = after.expect("a good patch");
                let left = Left::ahead(&stored);
                let edit = JobEdit {
                    before: stored.definition,
                    after,
                    next_run,
                    left,
                    forgives: enabled,
                    tells: Vec::new(),
                };
                self.world.store.update_job(&self.job.id, edit, now).await.expect("it is answered");
            }
            Step::Backfill => {
                let instants = vec![(now.plus_millis(-1), RunId::new(now), SessionId::random())];
                let job_id = self.job.id.clone();
                let backfill = Backfill { job_id, instants, overlap: Overlap::Skip, dry_run: false };
                self.world.store.backfill(backfill, now).await.expect("it is answered");
            }
            Step::Reopen => {
                self.world = self.world.reopen();
                for left in self.world.store.recover().await.expect("it is taken over") {
                    let interrupted = RunOutcome::error(ErrorReason::Interrupted, "the process ended");
                    self.world.end_queued(&self.job, &left.run, interrupted, now).await;
                }
            }
        }
        self.read = stored.state.open_runs;
        self
    }

    /// Begins what is ready, and ends at once what is not to be executed, as the engine does it.
    async fn let_begin(&self, most: usize) {
        let now = t(self.now);
        for queued in self.world.store.claim_queued(LANE, most, now).await.expect("the queue is answered") {
            if queued.job.is_enabled() || !queued.run.trigger.is_scheduled() {
                continue;
            }
            let mut outcome = RunOutcome::error(ErrorReason::Unknown, "disabled");
            outcome.status = RunStatus::Skipped;
            let mut end = finish(&self.job, &begun(&queued.run), outcome, now);
            end.passed = Some(OccurrenceOutcome::Skipped("disabled".to_owned()));
            self.world.store.finish_run(end).await.expect("it is ended");
        }
    }

    async fn end(&self, record: &RunRecord, end: End) {
        let outcome = match end {
            End::Well => RunOutcome::ok("done"),
            End::Broken => RunOutcome::error(ErrorReason::Exit, "it broke"),
            End::Busy => RunOutcome::error(ErrorReason::RateLimit, "slow down"),
            End::Interrupted => RunOutcome::error(ErrorReason::Interrupted, "the process ended"),
        };
        let mut end = finish(&self.job, &begun(&record.run), outcome, t(self.now));
        end.failure = Arc::new(FailureRules { disable_after: 3, ..FailureRules::default() });
        self.world.store.finish_run(end).await.expect("it is ended");
    }

    /// The job's runs, the oldest first.
    async fn runs(&self) -> Vec<RunRecord> {
        let filter = RunFilter { job_id: Some(self.job.id.clone()), limit: 1000, ..RunFilter::default() };
        let mut runs = self.world.store.runs(filter).await.expect("the store answers").runs;
        runs.reverse();
        runs
    }

    async fn open(&self) -> OpenRuns {
        self.world.state(&self.job.id).await.open_runs
    }

    async fn check(&self) {
        let runs = self.runs().await;
        let count = |is: fn(&RunRecord) -> bool| {
            u32::try_from(runs.iter().filter(|record| is(record)).count()).expect("a few")
        };
        let really = OpenRuns { running: count(is_under_way), waiting: count(waits) };
        assert_eq!(self.open().await, really, "the counters are what is open");
        assert!(really.running <= 1, "runs that are not to overlap do not");
    }

    /// Ends everything; a run that nobody lets begin would be left.
    async fn end_all(mut self) {
        for _ in 0..200 {
            // An hour is longer than any backoff.
            self.now += 3_700_000;
            self.let_begin(10).await;
            let under_way = self.runs().await.into_iter().find(is_under_way);
            match under_way {
                Some(record) => self.end(&record, End::Well).await,
                None if self.open().await.any() => {}
                None => return,
            }
        }
        panic!("a run is left behind: {:?}", self.open().await);
    }
}

fn is_under_way(record: &RunRecord) -> bool {
    matches!(record.run.progress, RunProgress::Running { .. })
}

fn waits(record: &RunRecord) -> bool {
    matches!(record.run.progress, RunProgress::Queued(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_order_of_events_miscounts_overlaps_or_forgets_a_run(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut story = Story::begin().await;
            for step in steps {
                story = story.take(step).await;
                story.check().await;
            }
            story.end_all().await;
        });
    }
}
