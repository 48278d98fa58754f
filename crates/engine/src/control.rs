//! The runs that are under way, and how one of them is told to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clawhook_model::{JobId, RunId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::live::{Follow, LiveRun};

/// The runs that are under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    runs: Mutex<HashMap<JobId, Vec<Arc<Control>>>>,
    /// Moves whenever a run begins.
    begins: watch::Sender<()>,
}

/// What a run that is under way is told.
#[derive(Debug)]
pub(crate) struct Control {
    run: RunId,
    /// Cancelled when the run is to end.
    pub(crate) end: CancellationToken,
    /// What it brings while it goes on.
    pub(crate) live: Arc<LiveRun>,
    reason: OnceLock<&'static str>,
}

impl Control {
    /// Tells the run to end. The first reason stands.
    fn cancel(&self, reason: &'static str) {
        self.reason.set(reason).ok();
        self.end.cancel();
    }

    /// Why the run was cancelled; none where it was not, or the gateway is stopping.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }
}

impl UnderWay {
    /// Notes a run that begins; `parent` ends it too.
    pub(crate) fn begin(&self, job: &JobId, run: RunId, parent: &CancellationToken) -> Arc<Control> {
        let control = Arc::new(Control {
            run,
            end: parent.child_token(),
            live: Arc::default(),
            reason: OnceLock::new(),
        });
        self.lock().entry(job.clone()).or_default().push(control.clone());
        self.begins.send_replace(());
        control
    }

    /// Tells whenever a run begins.
    pub(crate) fn begins(&self) -> watch::Receiver<()> {
        self.begins.subscribe()
    }

    /// Notes that a run is over.
    pub(crate) fn over(&self, job: &JobId, run: RunId) {
        let mut runs = self.lock();
        let Some(of_job) = runs.get_mut(job) else { return };
        of_job.retain(|control| control.run != run);
        if of_job.is_empty() {
            runs.remove(job);
        }
    }

    /// Tells the runs of a job to end.
    pub(crate) fn cancel(&self, job: &JobId, reason: &'static str) {
        for control in self.lock().get(job).into_iter().flatten() {
            control.cancel(reason);
        }
    }

    /// Tells one run to end. False where it is not under way.
    pub(crate) fn cancel_run(&self, run: RunId, reason: &'static str) -> bool {
        let found = self.of_run(run);
        if let Some(control) = &found {
            control.cancel(reason);
        }
        found.is_some()
    }

    /// Joins those who watch a run; none where it is not under way.
    pub(crate) fn follow(&self, run: RunId) -> Option<Follow> {
        self.of_run(run)?.live.follow()
    }

    fn of_run(&self, run: RunId) -> Option<Arc<Control>> {
        self.lock().values().flatten().find(|control| control.run == run).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Vec<Arc<Control>>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
