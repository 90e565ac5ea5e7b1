//! What happens when we are told to stop: Ctrl-C (SIGINT), SIGTERM, or a terminal that closes (SIGHUP).
//!
//! A command that we wait for is told to stop as well, with all that it started, and then we end. A
//! supervisor is asked to stop its children in order. With neither, we end at once.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// We were told to stop, which is how most of our runs end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Whom a signal concerns. One for the process, as signals are.
static STATE: Mutex<State> = Mutex::new(State {
    command: None,
    listener: None,
    interrupted: false,
});

struct State {
    /// The process group of the command that we wait for.
    command: Option<Pid>,
    listener: Option<Sender<i32>>,
    interrupted: bool,
}

/// Catches the signals from here on.
///
/// # Errors
/// When the system doesn't let us.
pub(crate) fn catch() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            handle(signal);
        }
    });
    Ok(())
}

/// From here on, signals are sent to the receiver instead of ending us.
pub(crate) fn listen() -> Receiver<i32> {
    let (sender, receiver) = channel();
    state().listener = Some(sender);
    receiver
}

/// A command that leads a process group of its own and is waited for: while this lives, the group is
/// told to stop when we are.
pub(crate) struct Foreground {
    child: Child,
}

impl Foreground {
    /// Starts `command`.
    ///
    /// # Errors
    /// When the system can't.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        // A signal that comes now waits for the lock, and so finds the child.
        let mut state = state();
        let child = command.process_group(0).spawn()?;
        state.command = Some(Pid::from_raw(child.id().cast_signed()));
        Ok(Self { child })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Interrupted`], when we were told to stop and it didn't succeed.
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
    let mut concerns_somebody = false;
    if let Some(group) = state.command {
        state.interrupted = true;
        // One that has just ended needs no telling.
        let _ = killpg(group, Signal::SIGTERM);
        concerns_somebody = true;
    }
    if let Some(listener) = &state.listener {
        concerns_somebody |= listener.send(signal).is_ok();
    }
    if !concerns_somebody {
        // What a shell reports for a program that a signal has ended.
        std::process::exit(128 + signal);
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
