//! The proof that history stays within its bound: a job that runs every second for a month.
//!
//! The month is simulated: its clock is moved by hand, and every instant is claimed, run, delivered and settled through the
//! store's own verbs, as the engine and the delivery service do it, while the real reaper comes when it comes. Beside it a
//! job runs every hour, whose history the busy one must not drive out. Day by day the rows of every table and the bytes on
//! the disk are counted and held against their bounds.
//!
//! Not shown: how fast it would be with syncs; the store works in one thread and leaves its changes with the operating
//! system, because five million transactions are to be gone through.

pub(crate) mod world;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clawhook_engine::ReaperOptions;
use clawhook_model::UnixMs;
use clawhook_store::{Retention, StoreError};

use self::world::World;
use crate::process::{self, ProcessError};
use crate::progress::{Progress, say};
use crate::workspace;

/// When the month begins.
const BEGINNING: UnixMs = UnixMs::from_millis(1_771_372_800_000);
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
/// How much larger than in its second part the store's file may be in any later one.
const BREATHES: f64 = 1.1;

/// What is to be lived through.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// How many days
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u64,
}

/// Why it is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonthError {
    #[error("{what} can't be used")]
    System { what: &'static str, source: std::io::Error },
    #[error("a process of the proof failed")]
    Process(#[from] ProcessError),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the store's file can't be read")]
    File(#[from] rusqlite::Error),
    #[error("the instant {0} was not run")]
    NotRun(UnixMs),
    #[error("after part {part} the store has {rows} rows in `{table}`, and should have {most} at most")]
    TooManyRows { part: u64, table: &'static str, rows: u64, most: u64 },
    #[error("after part {part} the store takes {bytes} bytes, and took {before} after the second")]
    Grows { part: u64, bytes: u64, before: u64 },
    #[error("of the quiet job {kept} runs are left, and {wanted} should be")]
    DrivenOut { kept: u64, wanted: u64 },
}

/// A stretch of time, and the rules that hold in it.
#[derive(Debug, Clone)]
struct Stretch {
    parts: u64,
    part: Duration,
    /// How often the quiet job runs, in seconds.
    quiet_every: u64,
    reaper: ReaperOptions,
}

/// What is there after a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    rows: [u64; TABLES.len()],
    /// The file and its log.
    bytes: u64,
}

/// The tables that grow, and how many rows of each come with a run.
const TABLES: [(&str, u64); 7] = [
    ("runs", 1),
    ("occurrences", 1),
    ("sessions", 1),
    ("transcript", world::SAID),
    ("events", 1),
    ("deliveries", 1),
    ("attempts", 1),
];

/// Lives through the month; in a build with optimisation, which the program that cargo runs as a task is not.
pub(crate) fn run(options: Options) -> Result<(), MonthError> {
    if cfg!(debug_assertions) {
        return run_optimised();
    }
    let progress = Progress::start();
    progress.step(format_args!("A job every second for {} days", options.days));
    let stretch = Stretch {
        parts: options.days,
        part: Duration::from_secs(DAY),
        quiet_every: HOUR,
        reaper: ReaperOptions::default(),
    };
    let began = Instant::now();
    let mut header = vec![format!("{:>4}", "day")];
    header.extend(TABLES.iter().map(|(table, _)| format!("{table:>12}")));
    header.push(format!("{:>10}", "MiB"));
    say(header.join(""));
    live_through(&stretch, |part, found| {
        let rows = found.rows.iter().map(|rows| format!("{rows:>12}")).collect::<String>();
        say(format_args!("{part:>4}{rows}{:>10.2}", mebibytes(found.bytes)));
    })?;
    let instants = options.days * DAY;
    let took = began.elapsed();
    progress.step(format_args!(
        "{instants} instants were run in {:.0} s, {:.0} a second, and the store stayed within its bounds",
        took.as_secs_f64(),
        instants as f64 / took.as_secs_f64()
    ));
    Ok(())
}

fn run_optimised() -> Result<(), MonthError> {
    process::run(workspace::cargo().args(["build", "--quiet", "--release", "--package", "xtask"]))?;
    let program: PathBuf =
        workspace::target().join("release").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    let source = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(MonthError::System { what: "the program that was built", source })
}

/// Lives through a stretch part by part, and holds what is there after each against its bound.
fn live_through(stretch: &Stretch, mut tell: impl FnMut(u64, Found)) -> Result<(), MonthError> {
    let folder = tempfile::Builder::new()
        .prefix("clawhook-month-")
        .tempdir()
        .map_err(|source| MonthError::System { what: "a folder for the store", source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| MonthError::System { what: "a runtime", source })?;
    runtime.block_on(async {
        let mut world = World::begin(folder.path(), stretch).await?;
        let mut second = None;
        for part in 1..=stretch.parts {
            world.live(stretch.part).await?;
            let found = world.look()?;
            tell(part, found);
            check(stretch, part, found, second)?;
            if part == 2 {
                second = Some(found.bytes);
            }
        }
        let kept = world.quiet_runs().await?;
        let wanted = quiet_runs_in(stretch);
        if kept.abs_diff(wanted) > 1 {
            return Err(MonthError::DrivenOut { kept, wanted });
        }
        Ok(())
    })
}

/// No table has more rows than what is kept, what comes between two passes, and what one step takes; and the file does
/// not grow any more once it has seen a whole part.
fn check(stretch: &Stretch, part: u64, found: Found, second: Option<u64>) -> Result<(), MonthError> {
    let Retention { runs_per_job, .. } = stretch.reaper.retention;
    let kept = u64::from(runs_per_job.unwrap_or(u32::MAX));
    let between_passes = stretch.reaper.busy_rest.as_secs() + 1;
    let runs = kept + between_passes + quiet_runs_in(stretch) + 1;
    for ((table, each), rows) in TABLES.iter().zip(found.rows) {
        let most = runs * each;
        if rows > most {
            return Err(MonthError::TooManyRows { part, table, rows, most });
        }
    }
    match second {
        Some(before) if found.bytes as f64 > before as f64 * BREATHES => {
            Err(MonthError::Grows { part, bytes: found.bytes, before })
        }
        _ => Ok(()),
    }
}

/// How many runs of the quiet job are young enough to be kept at the end.
fn quiet_runs_in(stretch: &Stretch) -> u64 {
    let Retention { history_max_age, runs_per_job, .. } = stretch.reaper.retention;
    let lived = stretch.part.as_secs() * stretch.parts;
    let kept_for = history_max_age.map_or(lived, |age| age.as_secs().min(lived));
    (kept_for / stretch.quiet_every).min(runs_per_job.map_or(u64::MAX, u64::from))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The month on a scale of one to a thousand or so.
    fn an_hour(reaper: ReaperOptions) -> Stretch {
        Stretch { parts: 6, part: Duration::from_mins(6), quiet_every: 60, reaper }
    }

    fn scaled(runs_per_job: Option<u32>) -> ReaperOptions {
        let retention = Retention {
            session_max_age: Some(Duration::from_mins(2)),
            history_max_age: Some(Duration::from_mins(10)),
            runs_per_job,
            max_bytes: None,
        };
        ReaperOptions { retention, busy_rest: Duration::from_secs(10), ..ReaperOptions::default() }
    }

    #[test]
    fn a_job_that_runs_every_second_stays_within_its_bound_in_rows_and_in_bytes() {
        let stretch = an_hour(scaled(Some(100)));
        let mut most = 0;
        live_through(&stretch, |_, found| most = most.max(found.rows[0])).expect("it stays within its bound");
        assert!(most > 100, "and is not forgotten sooner than it may be: {most}");
    }

    #[test]
    fn a_history_that_nobody_bounds_is_found_to_grow() {
        let keeps_all = ReaperOptions { retention: Retention::KEEP_ALL, ..scaled(None) };
        let mut rows = Vec::new();
        let grows = live_through(&an_hour(keeps_all), |_, found| rows.push(found.rows[0]));
        assert!(matches!(grows, Err(MonthError::Grows { .. })), "{grows:?}");
        assert!(rows.is_sorted());
    }
}
