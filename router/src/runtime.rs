//! The runtime that every command runs on.

use anyhow::Context as _;

/// Worker threads at the least. A guest that computes gives its thread back only every 10 ms; on a
/// single processor a second thread lets the system share it among the others meanwhile.
const MIN_WORKERS: usize = 2;

/// Runs a command to its end. What it left running in the background is not waited for: reading
/// standard input, for one, has no end of its own.
///
/// # Errors
/// The command's, or that the system gives us no threads.
pub(crate) fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(MIN_WORKERS))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
