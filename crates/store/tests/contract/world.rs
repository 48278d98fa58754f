//! A store in a folder of its own, and the short way to the nouns that the stories need.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clawhook_model::{
    DeliveryId, EventId, FailureRules, Job, JobDefinition, JobId, JobState, Lane, OpenRuns, Run, RunId,
    RunOutcome, SessionId, Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, ChainRules, Claim, Claimed, FinishRun, JobEdit, JobUpdated, LeaseBatch, LeaseRequest,
    LeaseShare, LeasedDelivery, Left, NewDelivery, NewRun, NextRun, OccurrenceFilter, OccurrenceOutcome,
    PlannedRun, QueueNews, RunFinished, RunStart, Store, StoreError,
};
use serde_json::{Value, json};

/// The instant at which the stories begin.
pub(crate) const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

/// `T0` and so many milliseconds.
pub(crate) fn t(ms: i64) -> UnixMs {
    T0.plus_millis(ms)
}

/// A store that can be closed and opened again.
pub(crate) struct World {
    folder: tempfile::TempDir,
    file: &'static str,
    pub(crate) store: Arc<dyn Store>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().expect("a folder"), "clawhook.db")
    }

    /// The store of this name in a folder.
    pub(crate) fn at(folder: tempfile::TempDir, file: &'static str) -> Self {
        let store = open(&folder.path().join(file)).expect("a store");
        Self { folder, file, store }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(self.file)
    }

    /// Ends this life of the store and begins another, with another owner.
    pub(crate) fn reopen(self) -> Self {
        let Self { folder, file, store } = self;
        drop(store);
        Self::at(folder, file)
    }

    /// Adds a job that is due every second from `t(1000)` on, and delivers to a webhook.
    pub(crate) async fn add(&self, id: &str) -> Job {
        self.add_with(id, json!({})).await
    }

    pub(crate) async fn add_with(&self, id: &str, change: Value) -> Job {
        let job = job(id, &change);
        self.store.insert_job(job.clone()).await.expect("the job is stored");
        job
    }

    /// Edits the job as it was read.
    pub(crate) async fn edit(
        &self,
        read: &Job,
        after: JobDefinition,
        next_run: NextRun,
        now: UnixMs,
    ) -> JobUpdated {
        let waited_for =
            self.store.job(&read.id).await.expect("the store answers").and_then(|job| job.state.next_run_at);
        let left = Left { waited_for, passed: Vec::new() };
        let edit = JobEdit {
            before: read.definition.clone(),
            after,
            next_run,
            left,
            forgives: false,
            tells: Vec::new(),
        };
        self.store.update_job(&read.id, edit, now).await.expect("the edit is answered")
    }

    /// Removes a job, if it is there.
    pub(crate) async fn remove(&self, id: &JobId, now: UnixMs) {
        let job = self.store.job(id).await.expect("the store answers");
        let left = job.as_ref().map(Left::ahead).unwrap_or_default();
        self.store.remove_job(id, left, now).await.expect("the removal is answered");
    }

    /// Claims the job's occurrence at `due`, and waits for `next`.
    pub(crate) async fn claim(&self, job: &Job, due: UnixMs, next: Option<UnixMs>) -> (Claimed, NewRun) {
        let run = NewRun::of(job, RunId::new(due), Trigger::Schedule, Some(due), SessionId::random());
        let claim = claim(&job.id, due, Some(run.clone()), next);
        let results = self.store.claim(vec![claim], due).await.expect("the claim is answered");
        (results[0].clone(), run)
    }

    /// Claims runs of a job that waits for the first one's instant, decided while `open` runs were not over.
    pub(crate) async fn claim_all(
        &self,
        job: &Job,
        open: OpenRuns,
        runs: &[PlannedRun],
        now: UnixMs,
    ) -> Claimed {
        let due_at = |planned: &PlannedRun| planned.run.scheduled_at.expect("it stands for an instant");
        let (first, last) = (due_at(&runs[0]), due_at(&runs[runs.len() - 1]));
        let next_run_at = Some(last.plus_millis(1000));
        let claim = Claim { open, runs: runs.to_vec(), ..claim(&job.id, first, None, next_run_at) };
        self.store.claim(vec![claim], now).await.expect("the claim is answered").remove(0)
    }

    /// Begins every run that is ready, the longest waiting first.
    pub(crate) async fn begin(&self, now: UnixMs) -> Vec<Run> {
        let queued = self.store.claim_queued(LANE, 100, now).await.expect("the queue is answered");
        queued.into_iter().map(|queued| queued.run).collect()
    }

    /// Ends a run.
    pub(crate) async fn end(&self, job: &Job, run: &NewRun, outcome: RunOutcome, now: UnixMs) {
        let finished = self.store.finish_run(finish(job, run, outcome, now)).await;
        assert_eq!(finished.expect("the run is stored"), RunFinished::Done);
    }

    /// Ends a run that was queued.
    pub(crate) async fn end_queued(&self, job: &Job, run: &Run, outcome: RunOutcome, now: UnixMs) {
        self.end(job, &begun(run), outcome, now).await;
    }

    /// What is kept of a job.
    pub(crate) async fn state(&self, job: &JobId) -> JobState {
        self.store.job(job).await.expect("the store answers").expect("the job").state
    }

    /// The runs of a job that are not over, under way and waiting.
    pub(crate) async fn open(&self, job: &JobId) -> (u32, u32) {
        let OpenRuns { running, waiting } = self.state(job).await.open_runs;
        (running, waiting)
    }

    /// Claims and finishes the job's occurrence at `due`.
    pub(crate) async fn run(&self, job: &Job, due: UnixMs) -> NewRun {
        let (claimed, run) = self.claim(job, due, Some(due.plus_millis(1000))).await;
        assert_eq!(claimed, Claimed::Won(vec![run.id]));
        let finished = self.store.finish_run(finish(job, &run, RunOutcome::ok("done"), due)).await;
        assert_eq!(finished.expect("the run is stored"), RunFinished::Done);
        run
    }

    /// Leases everything that is due.
    pub(crate) async fn lease(&self, now: UnixMs) -> Vec<LeasedDelivery> {
        let open = self.store.open_queues(now).await.expect("the queues are told");
        let share = |queue: QueueNews| LeaseShare {
            destination: queue.destination,
            class: queue.class,
            most: 100,
            until: now.plus_millis(45_000),
            probe: false,
        };
        self.lease_shares(now, open.queues.into_iter().map(share).collect()).await.leased
    }

    pub(crate) async fn lease_shares(&self, now: UnixMs, shares: Vec<LeaseShare>) -> LeaseBatch {
        self.store.lease_deliveries(LeaseRequest { now, shares }).await.expect("the lease is answered")
    }

    /// When the earliest job is due.
    pub(crate) async fn due_at(&self) -> Option<UnixMs> {
        self.store.next_wake(LANE).await.expect("the wake is told").due_at
    }

    /// When the earliest delivery of all is due.
    pub(crate) async fn next_due(&self, now: UnixMs) -> Option<UnixMs> {
        let open = self.store.open_queues(now).await.expect("the queues are told");
        open.queues.into_iter().map(|queue| queue.at).min()
    }

    pub(crate) async fn ledger(&self, job: &JobId) -> Vec<(UnixMs, OccurrenceOutcome)> {
        let mut ledger =
            self.store.occurrences(OccurrenceFilter::newest(job, 10_000)).await.expect("the ledger");
        ledger.reverse();
        ledger.into_iter().map(|occurrence| (occurrence.due_at, occurrence.outcome)).collect()
    }
}

pub(crate) fn open(path: &std::path::Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::open(path, "the test", T0)?))
}

pub(crate) fn job(id: &str, change: &Value) -> Job {
    let mut value = json!({
        "name": id,
        "schedule": { "kind": "every", "everyMs": 1000, "anchorMs": T0 },
        "payload": { "kind": "systemEvent", "text": "hello" },
        "wakeMode": "next-heartbeat",
        "delivery": { "mode": "webhook", "to": "https://example.com/hook?token=s3cret" }
    });
    for (key, change) in change.as_object().cloned().unwrap_or_default() {
        value[key] = change;
    }
    let definition = JobDefinition::parse(value, T0).expect("a good job");
    let next_run_at = definition.enabled.then_some(t(1000));
    Job {
        id: id.parse().expect("a job id"),
        definition,
        created_at: T0,
        updated_at: T0,
        state: JobState { next_run_at, ..JobState::default() },
    }
}

pub(crate) fn claim(job: &JobId, due_at: UnixMs, run: Option<NewRun>, next_run_at: Option<UnixMs>) -> Claim {
    let now = |run| PlannedRun { run, start: RunStart::Now };
    Claim {
        job_id: job.clone(),
        due_at,
        open: OpenRuns::default(),
        passed: Vec::new(),
        runs: run.map(now).into_iter().collect(),
        next_run_at,
        disables: None,
    }
}

/// The runs that are not over.
pub(crate) fn open_runs(running: u32, waiting: u32) -> OpenRuns {
    OpenRuns { running, waiting }
}

/// A run of a claim.
pub(crate) fn planned(job: &Job, due: UnixMs, start: RunStart) -> PlannedRun {
    let run = NewRun::of(job, RunId::new(due), Trigger::Schedule, Some(due), SessionId::random());
    PlannedRun { run, start }
}

/// A run that was queued, as it was when it was new.
pub(crate) fn begun(run: &Run) -> NewRun {
    NewRun {
        provenance: run.provenance.clone(),
        upstream: run.upstream,
        id: run.id,
        job_id: run.job_id.clone(),
        job_name: run.job_name.clone(),
        agent_id: run.agent_id.clone(),
        trigger: run.trigger,
        scheduled_at: run.scheduled_at,
        attempt: run.attempt,
        session: run.session.clone(),
        lane: LANE,
        best_effort: false,
    }
}

pub(crate) fn finish(job: &Job, run: &NewRun, outcome: RunOutcome, now: UnixMs) -> FinishRun {
    let deliveries = plan_deliveries(&job.definition.delivery, &outcome)
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(now), plan })
        .collect();
    FinishRun {
        hooks: Vec::new(),
        chain: ChainRules::default(),
        run_id: run.id,
        job_id: job.id.clone(),
        session: run.session.clone(),
        agent_id: run.agent_id.clone(),
        ended_at: now,
        outcome,
        event_id: EventId::new(now),
        event: Bytes::from_static(b"{\"action\":\"finished\"}"),
        deliveries,
        transcript: Vec::new(),
        after: AfterRun::Keep,
        trigger: run.trigger,
        passed: None,
        failure: Arc::new(FailureRules::default()),
        retry: (RunId::new(now), SessionId::random()),
        day: 0,
        left: clawhook_store::LeftWithSessions::default(),
    }
}

/// The lane of the jobs above.
pub(crate) const LANE: Lane = Lane::Instant;
