//! Runs child processes, prints their output, and ensures that none outlives `cargo xtask`.
//!
//! Each child leads its own process group, so that a terminal's Ctrl-C reaches only this process, which
//! stops the children in reverse order of their start. Each child's stdin is a pipe from this process:
//! programs that exit when their stdin closes exit even if this process is killed. Output of children
//! goes to stderr, with a coloured name before each line, except the first line on stdout (an address or
//! a port), which the caller receives.

mod output;

use std::collections::VecDeque;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use self::output::Printer;
use crate::progress;
use crate::signals::{self, Interrupted};

/// Time that a child has to stop after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay between SIGTERM and closing the child's stdin, since a program that reads stdin may be unable to
/// exit before (<https://docs.rs/tokio/latest/tokio/io/fn.stdin.html>).
const STDIN_TIMEOUT: Duration = Duration::from_millis(250);
/// Interval at which the state of children is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Holds the children. Dropping it stops them.
pub(crate) struct Supervisor {
    children: Vec<Running>,
    signals: Receiver<i32>,
}

/// Identifies a child of a supervisor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildId {
    number: usize,
    name: &'static str,
}

struct Running {
    name: &'static str,
    process: Child,
    first_line: Receiver<String>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Supervisor {
    /// Creates a supervisor. From now on, signals don't end this process: the methods report them.
    pub(crate) fn new() -> Self {
        Self::with_signals(signals::listen())
    }

    fn with_signals(signals: Receiver<i32>) -> Self {
        Self {
            children: Vec::new(),
            signals,
        }
    }

    /// Starts a child, which runs until [`Supervisor::stop`].
    ///
    /// # Errors
    /// When the program can't be started.
    pub(crate) fn start(&mut self, name: &'static str, command: &mut Command) -> Result<ChildId> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let id = ChildId {
            number: self.children.len(),
            name,
        };
        let (first_line_sender, first_line) = channel();
        let last_lines = Arc::default();
        let printer = |first_line| Printer {
            first_line,
            prefix: output::prefix(id),
            last_lines: Arc::clone(&last_lines),
        };
        let (stdout, stderr) = (printer(Some(first_line_sender)), printer(None));
        let readers = [
            process.stdout.take().map(|pipe| stdout.follow(pipe)),
            process.stderr.take().map(|pipe| stderr.follow(pipe)),
        ];
        self.children.push(Running {
            name,
            process,
            first_line,
            last_lines,
            readers: readers.into_iter().flatten().collect(),
        });
        Ok(id)
    }

    /// Waits for the first line that child `id` prints on stdout.
    ///
    /// # Errors
    /// [`Interrupted`], and when a child exits or the timeout expires.
    pub(crate) fn first_line(&mut self, id: ChildId, timeout: Duration) -> Result<String> {
        let what = format!("{} to be ready", id.name);
        self.until(timeout, &what, |children| {
            children.get(id.number)?.first_line.try_recv().ok()
        })
    }

    /// Waits until `probe` returns a value.
    ///
    /// # Errors
    /// The same as [`Supervisor::first_line`].
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        timeout: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        self.until(timeout, what, |_| probe())
    }

    /// Waits for a signal to stop.
    ///
    /// # Errors
    /// When a child exits before.
    pub(crate) fn wait(&mut self) -> Result<()> {
        loop {
            match self.poll(Duration::from_millis(100)) {
                Ok(()) => {}
                Err(error) if error.is::<Interrupted>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops all children, the last started first: SIGTERM, then SIGKILL after 10 s or at a second signal
    /// from the user.
    pub(crate) fn stop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            if !matches!(child.process.try_wait(), Ok(None)) {
                child.finish();
                continue;
            }
            let _ = kill(child.pid(), Signal::SIGTERM);
            let begin = Instant::now();
            while matches!(child.process.try_wait(), Ok(None)) {
                let is_second_signal = self.signals.recv_timeout(POLL_INTERVAL).is_ok();
                if is_second_signal || begin.elapsed() > STOP_TIMEOUT {
                    progress::note(format!("killing {}, which didn't stop", child.name));
                    break;
                }
                if begin.elapsed() > STDIN_TIMEOUT {
                    drop(child.process.stdin.take());
                }
            }
            child.finish();
        }
    }

    fn until<T>(
        &mut self,
        timeout: Duration,
        what: &str,
        mut probe: impl FnMut(&[Running]) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(found) = probe(&self.children) {
                return Ok(found);
            }
            self.poll(POLL_INTERVAL)?;
            if Instant::now() > deadline {
                bail!("timeout after {} s waiting for {what}", timeout.as_secs());
            }
        }
    }

    /// Waits for `pause`. Returns an error if a signal arrived or a child exited.
    fn poll(&mut self, pause: Duration) -> Result<()> {
        // recv_timeout doesn't wait if the sender is gone.
        match self.signals.recv_timeout(pause) {
            Ok(_) => return Err(Interrupted.into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
        }
        for child in &mut self.children {
            if let Some(status) = child.process.try_wait()? {
                return Err(child.exit_error(status));
            }
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Kills the child and the processes in its group, and reads the rest of its output.
    fn finish(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.process.wait();
        self.wait_for_output();
    }

    fn exit_error(&mut self, status: ExitStatus) -> anyhow::Error {
        self.wait_for_output();
        let lines = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let output = if lines.is_empty() {
            "it printed nothing".to_owned()
        } else {
            let lines = lines.iter().map(|line| format!("  {line}"));
            format!("its last lines:\n{}", lines.collect::<Vec<_>>().join("\n"))
        };
        anyhow::anyhow!("{} exited ({status}); {output}", self.name)
    }

    /// Waits for the end of the child's output, but not for long, since a grandchild may keep the pipes
    /// open.
    fn wait_for_output(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline && self.readers.iter().any(|reader| !reader.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn supervisor() -> (Sender<i32>, Supervisor) {
        let (sender, signals) = channel();
        (sender, Supervisor::with_signals(signals))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_alive(pid: &str) -> bool {
        // A zombie has exited, but in a container without init its parent may never reap it.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn children_stop_in_reverse_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (_signals, mut supervisor) = supervisor();
        for name in ["one", "two"] {
            let script = format!(
                "trap 'echo {name} >> {log}; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
                log = log.display()
            );
            let id = supervisor.start(name, &mut shell(&script)).unwrap();
            assert_eq!(supervisor.first_line(id, LONG).unwrap(), "ready");
        }
        supervisor.stop();
        assert_eq!(std::fs::read_to_string(log).unwrap(), "two\none\n");
    }

    #[test]
    fn a_signal_ends_the_wait_and_the_children() {
        let (signals, mut supervisor) = supervisor();
        let id = supervisor
            .start("child", &mut shell("echo $$; exec sleep 600"))
            .unwrap();
        let pid = supervisor.first_line(id, LONG).unwrap();
        assert!(is_alive(&pid));

        signals.send(SIGTERM).unwrap();
        supervisor.wait().unwrap();
        drop(supervisor);
        assert!(!is_alive(&pid));
    }

    #[test]
    fn an_exited_child_is_reported_with_its_last_lines() {
        let (_signals, mut supervisor) = supervisor();
        supervisor
            .start("steady", Command::new("sleep").arg("600"))
            .unwrap();
        supervisor
            .start("frail", &mut shell("echo farewell >&2; exit 7"))
            .unwrap();
        let error = supervisor.wait().unwrap_err().to_string();
        assert!(error.contains("frail exited (exit status: 7)"), "{error}");
        assert!(error.contains("farewell"), "{error}");
    }

    #[test]
    fn a_second_signal_kills_a_child_and_its_children() {
        let (signals, mut supervisor) = supervisor();
        let id = supervisor
            .start(
                "stubborn",
                &mut shell("trap '' TERM; sleep 600 & echo $!; wait; sleep 600"),
            )
            .unwrap();
        let grandchild = supervisor.first_line(id, LONG).unwrap();
        signals.send(SIGINT).unwrap();
        supervisor.wait().unwrap();

        signals.send(SIGINT).unwrap();
        let started = Instant::now();
        supervisor.stop();
        assert!(started.elapsed() < STOP_TIMEOUT);
        // SIGKILL has been sent, and takes effect asynchronously.
        while is_alive(&grandchild) {
            assert!(started.elapsed() < LONG, "the grandchild is still running");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn a_child_that_exits_when_its_stdin_closes_is_not_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (_signals, mut supervisor) = supervisor();
        let script = format!(
            "trap '' TERM; echo ready; cat > /dev/null; echo done > {}",
            log.display()
        );
        let id = supervisor.start("reader", &mut shell(&script)).unwrap();
        supervisor.first_line(id, LONG).unwrap();
        supervisor.stop();
        assert_eq!(std::fs::read_to_string(log).unwrap(), "done\n");
    }

    #[test]
    fn waiting_has_a_timeout() {
        let (_signals, mut supervisor) = supervisor();
        supervisor
            .start("silent", Command::new("sleep").arg("600"))
            .unwrap();
        let error = supervisor
            .wait_for("an event", Duration::from_millis(50), || None::<()>)
            .unwrap_err();
        assert!(error.to_string().contains("waiting for an event"));
        assert!(!error.is::<Interrupted>());
    }

    #[test]
    fn the_stdin_of_a_child_closes_when_the_supervisor_dies() {
        let (_signals, mut supervisor) = supervisor();
        let id = supervisor
            .start(
                "reader",
                &mut shell("echo ready; cat; echo closed >&2; exit 3"),
            )
            .unwrap();
        supervisor.first_line(id, LONG).unwrap();
        // The kernel does the same when this process is killed.
        drop(supervisor.children[0].process.stdin.take());
        let error = supervisor.wait().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
