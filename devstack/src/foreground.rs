//! When a part has to end: on SIGINT, on SIGTERM, or when whoever started it closes its stdin.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Waits for the reason to end.
pub(crate) struct Foreground {
    reasons: Receiver<&'static str>,
}

impl Foreground {
    /// From here on signals no longer end the process by themselves. With `detached_stdin` a closed
    /// stdin means nothing.
    pub(crate) fn enter(detached_stdin: bool) -> anyhow::Result<Self> {
        let (sender, reasons) = channel();
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
        let stdin_sender = sender.clone();
        std::thread::spawn(move || report_signals(signals, &sender));
        if !detached_stdin {
            std::thread::spawn(move || report_end_of_stdin(&stdin_sender));
        }
        Ok(Self { reasons })
    }

    /// Waits for the reason to end.
    pub(crate) async fn end(self) -> &'static str {
        let (sender, reason) = tokio::sync::oneshot::channel();
        // Not one of the runtime's own threads, for whose end it would wait.
        std::thread::spawn(move || sender.send(self.reasons.recv()));
        match reason.await {
            Ok(Ok(reason)) => reason,
            Ok(Err(_)) | Err(_) => "signals can no longer be received",
        }
    }

    /// Waits for `patience` at most; gives the reason to end, if there is one.
    pub(crate) fn end_within(&self, patience: Duration) -> Option<&'static str> {
        match self.reasons.recv_timeout(patience) {
            Ok(reason) => Some(reason),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some("signals can no longer be received"),
        }
    }
}

fn report_signals(mut signals: Signals, sender: &Sender<&'static str>) {
    for signal in signals.forever() {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        // Nobody listens any more once the process is ending.
        let _ = sender.send(name);
    }
}

fn report_end_of_stdin(sender: &Sender<&'static str>) {
    let mut ignored = [0; 1024];
    // An error is an end as well: nobody can be at the other side.
    while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
    let _ = sender.send("stdin was closed");
}
