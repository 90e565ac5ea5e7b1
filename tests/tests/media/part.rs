//! A part of the stack: a process that says in one line of JSON that it is ready.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

/// A process that runs. Killed when dropped.
pub(crate) struct Part {
    child: Child,
    /// Whether it is a process group of its own, which is killed as a whole.
    is_group: bool,
    /// Its first line.
    pub(crate) line: String,
}

impl Part {
    /// Starts it and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::begin(command, false)
    }

    /// As [`Self::start`], for a program that leaves its work to others and doesn't end them.
    pub(crate) fn start_group(command: &mut Command) -> Self {
        Self::begin(command.process_group(0), true)
    }

    fn begin(command: &mut Command, is_group: bool) -> Self {
        let log = std::env::var_os("TIRAGE_TEST_LOG").is_some();
        let mut child = command
            // A part ends when this closes, even if the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match log {
                true => Stdio::inherit(),
                false => Stdio::null(),
            })
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} did not start");
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Self {
            child,
            is_group,
            line,
        }
    }

    /// A field of its first line.
    pub(crate) fn field(&self, name: &str) -> String {
        let line: Value = serde_json::from_str(&self.line).unwrap();
        line[name].as_str().unwrap().to_owned()
    }

    fn send_kill(&self) -> rustix::io::Result<()> {
        let process = Pid::from_child(&self.child);
        match self.is_group {
            true => kill_process_group(process, Signal::KILL),
            false => kill_process(process, Signal::KILL),
        }
    }

    /// Ends it at once, as a crash or a power cut would.
    pub(crate) fn kill(&mut self) {
        self.send_kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.send_kill();
        let _ = self.child.wait();
    }
}
