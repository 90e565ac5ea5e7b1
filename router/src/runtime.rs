//! The runtime that every command runs on.

use anyhow::Context as _;

/// Worker threads beyond one for each processor. A guest that computes gives its thread back only
/// every 10 ms; a spare thread lets the system share the processor among the others meanwhile.
const SPARE_WORKERS: usize = 1;

/// Runs a command to its end. What it left running in the background is not waited for: reading
/// standard input, for one, has no end of its own.
///
/// # Errors
/// The command's, or that the system gives us no threads.
pub(crate) fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors + SPARE_WORKERS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
