//! The runs that are under way, and how one of them is told to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clawhook_model::{JobId, RunId};
use tokio_util::sync::CancellationToken;

/// The runs that are under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    runs: Mutex<HashMap<JobId, Vec<Arc<Control>>>>,
}

/// What a run that is under way is told.
#[derive(Debug)]
pub(crate) struct Control {
    run: RunId,
    /// Cancelled when the run is to end.
    pub(crate) end: CancellationToken,
    reason: OnceLock<&'static str>,
}

impl Control {
    /// Why the run was cancelled; none where it was not, or the gateway is stopping.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }
}

impl UnderWay {
    /// Notes a run that begins; `parent` ends it too.
    pub(crate) fn begin(&self, job: &JobId, run: RunId, parent: &CancellationToken) -> Arc<Control> {
        let control = Arc::new(Control { run, end: parent.child_token(), reason: OnceLock::new() });
        self.lock().entry(job.clone()).or_default().push(control.clone());
        control
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
            // The first reason stands.
            control.reason.set(reason).ok();
            control.end.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Vec<Arc<Control>>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
