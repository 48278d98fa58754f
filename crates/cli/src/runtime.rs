//! The asynchronous runtimes of the two kinds of command.

use std::process::ExitCode;

use crate::failure::Failure;

/// Runs a client's command: one thread is all it needs, and starts soonest.
pub(crate) fn block_on(
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    runtime.block_on(command)
}

/// Runs the gateway: at least two workers, so that one long computation never holds up everything.
pub(crate) fn block_on_workers(
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(2))
        .enable_all()
        .build()
        .map_err(no_runtime)?;
    runtime.block_on(command)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn no_runtime(error: std::io::Error) -> Failure {
    Failure::error(format!("the operating system refused the threads or the event queue needed: {error}"))
}
