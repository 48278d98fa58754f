//! What a schedule of a million jobs costs: to start on, to keep, to read, and above all in punctuality.
//!
//! The jobs are written into the store's file directly, while no gateway has it open: copies of one that the gateway
//! made, each with its own name and instant. Lateness is what the gateway records itself, the start of a run after the
//! instant it was due at, and is read from the store.

mod claims;
mod fill;
mod lists;
mod punctual;
mod rest;

use std::path::{Path, PathBuf};

use super::BenchError;
use super::gateway::Gateway;
use super::receiver::Receiver;
use super::report::Figure;
use crate::progress::Progress;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The jobs in the store.
    jobs: usize,
    /// How many are due within one second.
    burst: usize,
    /// How many are due alone, one after the other.
    alone: usize,
    /// How many are claimed with the indexes of lists and without, in each round.
    claims: usize,
}

impl Sizes {
    const FULL: Self = Self { jobs: 1_000_000, burst: 10_000, alone: 100, claims: 10_000 };
    const QUICK: Self = Self { jobs: 100_000, burst: 10_000, alone: 40, claims: 5_000 };

    /// The usual sizes, with as many jobs as are asked for.
    pub(super) fn new(quick: bool, jobs: Option<usize>) -> Self {
        let usual = if quick { Self::QUICK } else { Self::FULL };
        Self { jobs: jobs.unwrap_or(usual.jobs).max(1), ..usual }
    }
}

/// What all measurements of this section share.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) folder: &'a Path,
    pub(super) receiver: &'a Receiver,
    pub(super) progress: Progress,
    pub(super) sizes: Sizes,
}

impl Bench<'_> {
    pub(super) async fn measure(&self) -> Result<Vec<Figure>, BenchError> {
        let Sizes { jobs, burst, alone, .. } = self.sizes;
        self.progress.step(format_args!("Filling a store with {jobs} jobs"));
        let state = self.fill().await?;
        self.progress.step(format_args!("Start and rest with {jobs} jobs"));
        let (mut figures, gateway) = rest::measure(self, state).await?;
        self.progress.step(format_args!("Lists of {jobs} jobs"));
        figures.extend(lists::measure(self, &gateway).await?);
        let state = gateway.stop();
        self.progress.step(format_args!("{alone} jobs due alone, and {burst} at once"));
        let (punctuality, state) = punctual::measure(self, state).await?;
        figures.extend(punctuality);
        self.progress.step("Claims with the indexes of lists and without");
        figures.extend(claims::measure(self, &state).await?);
        Ok(figures)
    }

    /// Fills the store of a gateway that has stopped, and returns where its state lies.
    async fn fill(&self) -> Result<PathBuf, BenchError> {
        let gateway = Gateway::start(self.folder, "schedule").await?;
        fill::make_templates(&gateway, self.receiver).await?;
        let state = gateway.stop();
        let (store, Sizes { jobs, claims, .. }) = (store_in(&state), self.sizes);
        let fill = move || {
            fill::fill(&store, fill::SENDING, jobs)?;
            fill::fill(&store, fill::QUIET, claims)
        };
        tokio::task::spawn_blocking(fill).await??;
        Ok(state)
    }
}

/// The store's file in a state directory.
fn store_in(state: &Path) -> PathBuf {
    state.join("clawhook.db")
}
