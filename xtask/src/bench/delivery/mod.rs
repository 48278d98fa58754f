//! What becomes of deliveries when there are many, when there have been many, and when one destination hangs.
//!
//! Backlogs are made through real runs while their destination is paused. Only the history, rows that are settled and
//! that nobody looks at again, is written into the store's file directly, while no gateway has it open.

mod backlog;
mod fairness;
mod history;
mod steady;

use std::path::Path;
use std::time::Duration;

use super::BenchError;
use super::gateway::{Gateway, read_store, sent_to, system_event};
use super::receiver::Receiver;
use super::report::Figure;
use super::throughput::JOBS_EACH;
use crate::progress::Progress;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The deliveries of the backlog.
    backlog: usize,
    /// The deliveries of each of the drains that are compared.
    round: usize,
    /// The settled deliveries in a store that is long in use.
    history: usize,
    /// The deliveries that wait for the destination that hangs.
    hanging: usize,
    /// How long a steady rate is held.
    steady: Duration,
}

impl Sizes {
    const FULL: Self = Self {
        backlog: 100_000,
        round: 20_000,
        history: 1_000_000,
        hanging: 10_000,
        steady: Duration::from_secs(20),
    };
    const QUICK: Self = Self {
        backlog: 20_000,
        round: 10_000,
        history: 100_000,
        hanging: 1_000,
        steady: Duration::from_secs(8),
    };

    /// The usual sizes, with another history where one is asked for.
    pub(super) fn new(quick: bool, history: Option<usize>) -> Self {
        let usual = if quick { Self::QUICK } else { Self::FULL };
        Self { history: history.unwrap_or(usual.history), ..usual }
    }
}

/// What all measurements of this section share.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) folder: &'a Path,
    pub(super) receiver: &'a Receiver,
    pub(super) progress: Progress,
    pub(super) sizes: Sizes,
    /// How many connections ask for runs.
    pub(super) connections: usize,
}

impl Bench<'_> {
    /// Measures it all, with the rate that results are known to go the whole way at.
    pub(super) async fn measure(&self, durable_per_s: f64) -> Result<Vec<Figure>, BenchError> {
        let Sizes { backlog, history, hanging, .. } = self.sizes;
        self.progress.step(format_args!("A backlog of {backlog} deliveries"));
        let mut figures = backlog::measure(self).await?;
        self.progress.step(format_args!("Backlogs in a store with {history} settled deliveries"));
        figures.extend(history::measure(self).await?);
        self.progress.step(format_args!("{hanging} deliveries for a destination that hangs"));
        figures.extend(fairness::measure(self).await?);
        self.progress.step("The delay at half the rate");
        figures.extend(steady::measure(self, durable_per_s / 2.0).await?);
        Ok(figures)
    }

    /// Makes the destination `name` and jobs for it, as many as `connections` take in turn.
    async fn jobs_for(
        &self,
        gateway: &Gateway,
        name: &str,
        url: &str,
        connections: usize,
    ) -> Result<Vec<String>, BenchError> {
        gateway.add_destination(name, url).await?;
        let job = |n| sent_to(system_event(&format!("{name}-{n}"), url), name);
        gateway.make_jobs((0..connections * JOBS_EACH).map(job).collect()).await
    }
}
