//! Starts programs, shows what they say, and makes sure that none outlives us.
//!
//! Each child leads a process group of its own, so that a terminal's Ctrl-C reaches only us and we
//! choose the order in which they stop: the last started first. Each holds the other end of a pipe
//! as its stdin; programs that end when that closes end even when we are killed and can't stop them.
//! What children print goes to stderr, a coloured name before each line; their first line on stdout
//! is for the program (an address, a port), not for people, and is handed to the caller.

mod show;

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

use self::show::Show;
use crate::progress;
use crate::signals::{self, Interrupted};

/// How long a child that was told to stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a child that was told to stop keeps its stdin. Then it is closed too, since a program that
/// waits for it may be unable to end (<https://docs.rs/tokio/latest/tokio/io/fn.stdin.html>).
const STDIN_PATIENCE: Duration = Duration::from_millis(250);
/// How often children are looked after. Nothing waits for this except on the way out.
const LOOK: Duration = Duration::from_millis(20);
/// Holds the children; dropping it stops them.
pub(crate) struct Supervisor {
    children: Vec<Running>,
    signals: Receiver<i32>,
}

/// One of a supervisor's children.
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
    /// From here on signals no longer end us by themselves: [`Supervisor`]'s methods report them.
    pub(crate) fn new() -> Self {
        Self::with_signals(signals::listen())
    }

    fn with_signals(signals: Receiver<i32>) -> Self {
        Self {
            children: Vec::new(),
            signals,
        }
    }

    /// Starts a child that lives until [`Supervisor::stop`].
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
        let show = |first_line| Show {
            first_line,
            prefix: show::prefix(id),
            last_lines: Arc::clone(&last_lines),
        };
        let (stdout, stderr) = (show(Some(first_line_sender)), show(None));
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

    /// The first line that child `id` prints on stdout.
    ///
    /// # Errors
    /// [`Interrupted`]; when a child ends; when nothing came within `patience`.
    pub(crate) fn first_line(&mut self, id: ChildId, patience: Duration) -> Result<String> {
        let what = format!("what {} prints when it is ready", id.name);
        self.until(patience, &what, |children| {
            children.get(id.number)?.first_line.try_recv().ok()
        })
    }

    /// Waits until `probe` answers.
    ///
    /// # Errors
    /// As [`Supervisor::first_line`].
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        self.until(patience, what, |_| probe())
    }

    /// Waits until we are told to stop.
    ///
    /// # Errors
    /// When a child ends before that.
    pub(crate) fn wait(&mut self) -> Result<()> {
        loop {
            match self.look(Duration::from_millis(100)) {
                Ok(()) => {}
                Err(error) if error.is::<Interrupted>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops all children, the last started first: SIGTERM, and SIGKILL for one that takes longer
    /// than 10 s or when a second signal says that somebody is in a hurry.
    pub(crate) fn stop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            if !matches!(child.process.try_wait(), Ok(None)) {
                child.finish();
                continue;
            }
            let _ = kill(child.pid(), Signal::SIGTERM);
            let told = Instant::now();
            while matches!(child.process.try_wait(), Ok(None)) {
                let hurried = self.signals.recv_timeout(LOOK).is_ok();
                if hurried || told.elapsed() > STOP_PATIENCE {
                    progress::note(format!("{} doesn't stop: killing it", child.name));
                    break;
                }
                if told.elapsed() > STDIN_PATIENCE {
                    drop(child.process.stdin.take());
                }
            }
            child.finish();
        }
    }

    fn until<T>(
        &mut self,
        patience: Duration,
        what: &str,
        mut probe: impl FnMut(&[Running]) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = probe(&self.children) {
                return Ok(found);
            }
            self.look(LOOK)?;
            if Instant::now() > deadline {
                bail!("waited {} s in vain for {what}", patience.as_secs());
            }
        }
    }

    /// Waits for `pause`; an error if a signal came or a child has ended.
    fn look(&mut self, pause: Duration) -> Result<()> {
        // A sender that is gone sends nothing, and doesn't wait either.
        match self.signals.recv_timeout(pause) {
            Ok(_) => return Err(Interrupted.into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
        }
        for child in &mut self.children {
            if let Some(status) = child.process.try_wait()? {
                return Err(child.obituary(status));
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

    /// Ends what is left of the child and of processes that it left behind in its group.
    fn finish(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.process.wait();
        self.read_to_the_end();
    }

    fn obituary(&mut self, status: ExitStatus) -> anyhow::Error {
        self.read_to_the_end();
        let lines = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let said = if lines.is_empty() {
            "it said nothing".to_owned()
        } else {
            let lines = lines.iter().map(|line| format!("  {line}"));
            format!("it said last:\n{}", lines.collect::<Vec<_>>().join("\n"))
        };
        anyhow::anyhow!("{} ended ({status}); {said}", self.name)
    }

    /// A grandchild may hold the pipes open for ever, so not longer than people would notice.
    fn read_to_the_end(&self) {
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
        // A zombie has ended; nobody in a container may have collected it.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn the_last_started_stops_first() {
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
    fn a_signal_ends_the_wait_and_children_with_it() {
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
    fn a_child_that_dies_is_reported_with_its_last_words() {
        let (_signals, mut supervisor) = supervisor();
        supervisor
            .start("steady", Command::new("sleep").arg("600"))
            .unwrap();
        supervisor
            .start("frail", &mut shell("echo farewell >&2; exit 7"))
            .unwrap();
        let error = supervisor.wait().unwrap_err().to_string();
        assert!(error.contains("frail ended (exit status: 7)"), "{error}");
        assert!(error.contains("farewell"), "{error}");
    }

    #[test]
    fn a_stubborn_child_is_killed_when_told_twice_and_so_are_its_children() {
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
        assert!(started.elapsed() < STOP_PATIENCE);
        // It has been sent SIGKILL; when that takes effect is the kernel's business.
        while is_alive(&grandchild) {
            assert!(started.elapsed() < LONG, "the grandchild lives on");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_child_that_cannot_end_before_its_stdin_does_is_not_killed() {
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
    fn waiting_has_an_end() {
        let (_signals, mut supervisor) = supervisor();
        supervisor
            .start("silent", Command::new("sleep").arg("600"))
            .unwrap();
        let error = supervisor
            .wait_for("a miracle", Duration::from_millis(50), || None::<()>)
            .unwrap_err();
        assert!(error.to_string().contains("in vain for a miracle"));
        assert!(!error.is::<Interrupted>());
    }

    #[test]
    fn a_child_holds_a_pipe_that_closes_with_us() {
        let (_signals, mut supervisor) = supervisor();
        let id = supervisor
            .start(
                "reader",
                &mut shell("echo ready; cat; echo closed >&2; exit 3"),
            )
            .unwrap();
        supervisor.first_line(id, LONG).unwrap();
        // What the kernel does when we are killed.
        drop(supervisor.children[0].process.stdin.take());
        let error = supervisor.wait().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
