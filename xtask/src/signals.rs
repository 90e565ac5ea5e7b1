//! Handles the signals to stop: Ctrl-C (SIGINT), SIGTERM, and a closed terminal (SIGHUP).
//!
//! The process group of a running command gets SIGTERM, and this process exits after it. A supervisor
//! is notified and stops its children in order. Without either, this process exits immediately.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A signal asked this process to stop, which is the normal end of most runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The receivers of signals. Process-wide, as signals are.
static STATE: Mutex<State> = Mutex::new(State {
    command: None,
    listener: None,
    interrupted: false,
});

struct State {
    /// The process group of the running command.
    command: Option<Pid>,
    listener: Option<Sender<i32>>,
    interrupted: bool,
}

/// Installs the signal handlers.
///
/// # Errors
/// When the system refuses them.
pub(crate) fn catch() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            handle(signal);
        }
    });
    Ok(())
}

/// Returns a channel that receives all further signals, which no longer end this process.
pub(crate) fn listen() -> Receiver<i32> {
    let (sender, receiver) = channel();
    state().listener = Some(sender);
    receiver
}

/// A running command that leads its own process group. While this exists, signals to this process are
/// passed on to the group.
pub(crate) struct Foreground {
    child: Child,
}

impl Foreground {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it can't be started.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        // A signal that arrives now waits for the lock, and then finds the child.
        let mut state = state();
        let child = command.process_group(0).spawn()?;
        state.command = Some(Pid::from_raw(child.id().cast_signed()));
        Ok(Self { child })
    }

    /// Waits until the command exits.
    ///
    /// # Errors
    /// [`Interrupted`] if a signal arrived and the command failed.
    pub(crate) fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        if !status.success() && state().interrupted {
            return Err(Interrupted.into());
        }
        Ok(status)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        state().command = None;
    }
}

fn handle(signal: i32) {
    let mut state = state();
    let mut is_handled = false;
    if let Some(group) = state.command {
        state.interrupted = true;
        // Fails if the group has just ended, which is fine.
        let _ = killpg(group, Signal::SIGTERM);
        is_handled = true;
    }
    if let Some(listener) = &state.listener {
        is_handled |= listener.send(signal).is_ok();
    }
    if !is_handled {
        // The exit status that shells report for a program that a signal ended.
        std::process::exit(128 + signal);
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
