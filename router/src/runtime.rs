//! The Tokio runtime of every command.

use anyhow::Context as _;

/// Lower bound on runtime threads. A guest that computes yields its thread only every 10 ms; on a single
/// processor a second thread lets the system run other work meanwhile.
const MIN_THREADS: usize = 2;

/// Runs a command to its end, without waiting for background work: a read of standard input, for example,
/// may never end.
///
/// # Errors
/// The command's, or that the system refuses to start threads.
pub(crate) fn run(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(MIN_THREADS))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
