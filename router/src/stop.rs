//! When to stop: SIGTERM, SIGINT (Ctrl-C), or the end of standard input if the parent asked for it.

use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process has been told to stop. A second signal ends it at once.
///
/// # Errors
/// When the system doesn't let us listen for signals.
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
            // Not through the log: what waits there is lost now.
            eprintln!("tirage: stopped a second time, not draining");
            std::process::exit(1);
        });
    })
}

/// A parent that dies closes the pipe; nothing else is ever read from it.
async fn stdin_closed() {
    let mut byte = [0];
    let mut stdin = tokio::io::stdin();
    while stdin.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}
