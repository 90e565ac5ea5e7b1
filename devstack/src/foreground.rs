//! Waits for the reason to stop: SIGINT, SIGTERM, SIGHUP, or a closed stdin.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const SIGNALS_LOST: &str = "signals can no longer be received";

/// Receives the reasons to stop.
pub(crate) struct Foreground {
    reasons: Receiver<&'static str>,
}

impl Foreground {
    /// Catches signals, which no longer end the process by themselves, and watches stdin.
    pub(crate) fn enter() -> anyhow::Result<Self> {
        let (sender, reasons) = channel();
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
        let stdin_sender = sender.clone();
        std::thread::spawn(move || report_signals(signals, &sender));
        std::thread::spawn(move || report_end_of_stdin(&stdin_sender));
        Ok(Self { reasons })
    }

    /// Waits for a reason to stop.
    pub(crate) async fn stopped(self) -> &'static str {
        let (sender, reason) = tokio::sync::oneshot::channel();
        // Not a thread of the runtime, which would wait for it at its end.
        std::thread::spawn(move || sender.send(self.reasons.recv()));
        match reason.await {
            Ok(Ok(reason)) => reason,
            Ok(Err(_)) | Err(_) => SIGNALS_LOST,
        }
    }

    /// Waits for a reason to stop, at most for `timeout`.
    pub(crate) fn stopped_within(&self, timeout: Duration) -> Option<&'static str> {
        match self.reasons.recv_timeout(timeout) {
            Ok(reason) => Some(reason),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(SIGNALS_LOST),
        }
    }
}

fn report_signals(mut signals: Signals, sender: &Sender<&'static str>) {
    for signal in signals.forever() {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        // The receiver is gone once the process is stopping.
        let _ = sender.send(name);
    }
}

fn report_end_of_stdin(sender: &Sender<&'static str>) {
    let mut ignored = [0; 1024];
    // An error ends stdin too.
    while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
    let _ = sender.send("stdin was closed");
}
