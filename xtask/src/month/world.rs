//! A store, its clock, its reaper, and two jobs that run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::Reaper;
use clawhook_model::{
    Attempt, AttemptClass, AttemptReport, DeliveryId, EventId, Job, JobDefinition, JobState, OpenRuns,
    PhaseTimings, Role, RunId, RunOutcome, SessionId, TranscriptEntry, Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, ChainRules, Claim, Claimed, Fate, Faults, FinishRun, LeaseRequest, LeaseShare, LeasedDelivery,
    LeftWithSessions, NewDelivery, NewRun, PlannedRun, QueueNews, RunFilter, RunStart, SettleAttempt, Store,
    Verdict,
};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{BEGINNING, Found, MonthError, Stretch, TABLES};

/// How many entries each run's transcript has.
pub(super) const SAID: u64 = 2;
const ANSWER: &str =
    "All services answer, the longest after 212 ms. Nothing needs anybody's attention at the moment.";
const SECOND: Duration = Duration::from_secs(1);

/// Two jobs in a store, and the reaper beside them.
pub(super) struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
    path: PathBuf,
    busy: Job,
    quiet: Job,
    quiet_every: Duration,
    event: Bytes,
    reaper: JoinHandle<()>,
}

impl World {
    pub(super) async fn begin(folder: &Path, stretch: &Stretch) -> Result<Self, MonthError> {
        let path = folder.join("month.db");
        let clock = ManualClock::at(BEGINNING);
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, "a month", BEGINNING, Arc::new(Calm))?);
        let quiet_every = Duration::from_secs(stretch.quiet_every);
        let (busy, quiet) = (job("busy", SECOND), job("quiet", quiet_every));
        store.insert_job(busy.clone()).await?;
        store.insert_job(quiet.clone()).await?;
        let (reaper, _) = Reaper::new(store.clone(), Arc::new(clock.clone()), stretch.reaper.clone());
        let reaper = tokio::spawn(reaper.run(CancellationToken::new()));
        Ok(Self { store, clock, path, busy, quiet, quiet_every, event: event(), reaper })
    }

    /// Lives on, second by second.
    pub(super) async fn live(&mut self, lasting: Duration) -> Result<(), MonthError> {
        let end = self.clock.now().plus(lasting);
        while self.clock.now() < end {
            let now = self.clock.now().plus(SECOND);
            self.clock.set(now);
            self.run(&self.busy, now, SECOND).await?;
            if now.since(BEGINNING).as_secs().is_multiple_of(self.quiet_every.as_secs()) {
                self.run(&self.quiet, now, self.quiet_every).await?;
            }
            self.deliver(now).await?;
            self.let_the_reaper_work(now).await;
        }
        Ok(())
    }

    async fn run(&self, job: &Job, now: UnixMs, every: Duration) -> Result<(), MonthError> {
        let run = NewRun::of(job, RunId::new(now), Trigger::Schedule, Some(now), SessionId::random());
        let claim = Claim {
            job_id: job.id.clone(),
            due_at: now,
            open: OpenRuns::default(),
            passed: Vec::new(),
            runs: vec![PlannedRun { run: run.clone(), start: RunStart::Now }],
            next_run_at: Some(now.plus(every)),
            disables: None,
        };
        let claimed = self.store.claim(vec![claim], now).await?;
        if claimed != [Claimed::Won(vec![run.id])] {
            return Err(MonthError::NotRun(now));
        }
        let finish = finish(job, &run, now, self.event.clone());
        self.store.finish_run(finish).await?;
        Ok(())
    }

    /// Has everything arrive that is due.
    async fn deliver(&self, now: UnixMs) -> Result<(), MonthError> {
        let share = |queue: QueueNews| LeaseShare {
            destination: queue.destination,
            class: queue.class,
            most: 100,
            until: now.plus_millis(45_000),
            probe: false,
        };
        let shares = self.store.take_queue_news().into_iter().map(share).collect();
        let batch = self.store.lease_deliveries(LeaseRequest { now, shares }).await?;
        for delivery in batch.leased {
            let settle = delivered(&delivery, now);
            self.store.settle_attempt(settle).await?;
        }
        Ok(())
    }

    /// Goes on once the reaper waits for a later time.
    async fn let_the_reaper_work(&self, now: UnixMs) {
        while self.clock.next_wake().is_none_or(|wake| wake <= now) && !self.reaper.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Counts what is there.
    pub(super) fn look(&self) -> Result<Found, MonthError> {
        let conn = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut found = Found { rows: [0; TABLES.len()], bytes: 0 };
        for (rows, (table, _)) in found.rows.iter_mut().zip(TABLES) {
            let sql = format!("SELECT count(*) FROM {table}");
            *rows = conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
        }
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        found.bytes = size(&self.path) + size(&self.path.with_extension("db-wal"));
        Ok(found)
    }

    /// How many runs of the quiet job are known.
    pub(super) async fn quiet_runs(&self) -> Result<u64, MonthError> {
        let filter = RunFilter { job_id: Some(self.quiet.id.clone()), limit: 1, ..RunFilter::default() };
        let page = self.store.runs(filter).await?;
        Ok(u64::try_from(page.total).unwrap_or(u64::MAX))
    }
}

/// The end of a run that ended well.
pub(crate) fn finish(job: &Job, run: &NewRun, now: UnixMs, event: Bytes) -> FinishRun {
    let outcome = RunOutcome::ok(ANSWER);
    let deliveries = plan_deliveries(&job.definition.delivery, &outcome)
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(now), plan })
        .collect();
    let said = |role, text: &str| TranscriptEntry { at: now, role, text: text.to_owned(), detail: None };
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
        event,
        deliveries,
        transcript: vec![said(Role::User, "Look after the services."), said(Role::Assistant, ANSWER)],
        after: AfterRun::Keep,
        trigger: run.trigger,
        passed: None,
        failure: Arc::default(),
        retry: (RunId::new(now), SessionId::random()),
        day: i32::try_from(now.as_millis() / (24 * 60 * 60 * 1000)).unwrap_or(i32::MAX),
        left: LeftWithSessions::default(),
    }
}

/// The attempt by which a delivery arrived.
pub(crate) fn delivered(delivery: &LeasedDelivery, now: UnixMs) -> SettleAttempt {
    let mut report = AttemptReport::failed(AttemptClass::Delivered, "200 OK", PhaseTimings::default());
    report.error = None;
    let attempt = Attempt {
        delivery_id: delivery.id,
        number: delivery.attempt,
        started_at: now,
        report,
        next_at: None,
        decision: "delivered".to_owned(),
    };
    let verdict = Verdict::Delivered;
    SettleAttempt {
        delivery_id: delivery.id,
        lease: delivery.lease,
        attempt,
        verdict,
        reason: None,
        acknowledged: false,
        now,
    }
}

/// The event of a run.
pub(crate) fn event() -> Bytes {
    let body =
        json!({ "action": "finished", "jobId": "busy", "status": "ok", "summary": ANSWER, "output": ANSWER });
    body.to_string().into()
}

/// A job that is due from the first `every` on.
pub(crate) fn job(id: &str, every: Duration) -> Job {
    let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    let definition = json!({
        "name": id,
        "schedule": { "kind": "every", "everyMs": every_ms, "anchorMs": BEGINNING },
        "sessionTarget": "isolated",
        "payload": { "kind": "agentTurn", "message": "Look after the services." },
        "delivery": { "mode": "webhook", "to": format!("https://example.com/{id}") }
    });
    let definition = JobDefinition::parse(definition, BEGINNING);
    Job {
        id: id.parse().unwrap_or_else(|_| unreachable!("a word is an id")),
        definition: definition.unwrap_or_else(|error| unreachable!("it is a good job: {error}")),
        created_at: BEGINNING,
        updated_at: BEGINNING,
        state: JobState { next_run_at: Some(BEGINNING.plus(every)), ..JobState::default() },
    }
}

/// A disk on which nothing goes wrong.
#[derive(Debug)]
struct Calm;

#[async_trait]
impl Faults for Calm {
    async fn wait(&self) {}

    fn read(&self) -> Fate {
        Fate::Done
    }

    fn before_commit(&self, _operation: &'static str) -> Fate {
        Fate::Done
    }

    fn survives_commit(&self, _operation: &'static str) -> bool {
        true
    }
}
