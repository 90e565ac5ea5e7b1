//! The request to shut down: SIGTERM, SIGINT (Ctrl-C), or the end of standard input if the parent process
//! asked for that.

use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to shut down. A second signal then ends it without draining.
///
/// # Errors
/// When the system refuses to register a signal handler.
pub(crate) fn requested(
    with_stdin: bool,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closed(), if with_stdin => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // Written directly, because the log's buffer is lost here.
            eprintln!("tirage: second signal, exiting without draining");
            std::process::exit(1);
        });
    })
}

/// Resolves at the end of standard input: the pipe closes when the parent process dies. What is read is
/// ignored.
async fn stdin_closed() {
    let mut byte = [0];
    let mut stdin = tokio::io::stdin();
    while stdin.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}
