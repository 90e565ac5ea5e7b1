//! A child process that prints one line when it is ready.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

/// A running process. Killed when dropped.
///
/// Its stdin closes with this process, even if that is killed. Its stderr is shown if the environment
/// variable `TIRAGE_TEST_LOG` is set.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// `true` if it leads a process group, which is killed as a whole.
    is_group: bool,
    first_line: String,
}

#[expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]
impl Process {
    /// Starts a process and waits for its first line.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command, false)
    }

    /// Starts a process in a process group of its own, for a program that doesn't stop its children, and
    /// waits for its first line.
    #[must_use]
    pub fn start_group(command: &mut Command) -> Self {
        Self::spawn(command.process_group(0), true)
    }

    fn spawn(command: &mut Command, is_group: bool) -> Self {
        let log = std::env::var_os("TIRAGE_TEST_LOG").is_some();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match log {
                true => Stdio::inherit(),
                false => Stdio::null(),
            })
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).unwrap();
        assert!(!first_line.is_empty(), "{command:?} did not start");
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Self {
            child,
            is_group,
            first_line,
        }
    }

    /// Returns a field of the first line, which is a JSON object.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        let line: Value = serde_json::from_str(&self.first_line).unwrap();
        line[name].as_str().unwrap().to_owned()
    }

    /// Returns the URL in the first line, `listening on <URL>`.
    #[must_use]
    pub fn url(&self) -> &str {
        let url = self.first_line.trim().strip_prefix("listening on ");
        url.unwrap()
    }

    /// Kills the process, as a crash or a power cut does.
    pub fn kill(&mut self) {
        self.send_kill().unwrap();
        self.child.wait().unwrap();
    }

    fn send_kill(&self) -> rustix::io::Result<()> {
        let process = Pid::from_child(&self.child);
        match self.is_group {
            true => kill_process_group(process, Signal::KILL),
            false => kill_process(process, Signal::KILL),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has exited.
        let _ = self.send_kill();
        let _ = self.child.wait();
    }
}
