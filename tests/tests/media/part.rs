//! A part of the stack: a process that says in one line of JSON that it is ready.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A process that runs. Killed when dropped.
pub(crate) struct Part {
    child: Child,
    /// Its first line.
    pub(crate) line: String,
}

impl Part {
    /// Starts it and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> Self {
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
        Self { child, line }
    }

    /// A field of its first line.
    pub(crate) fn field(&self, name: &str) -> String {
        let line: Value = serde_json::from_str(&self.line).unwrap();
        line[name].as_str().unwrap().to_owned()
    }

    /// Ends it at once, as a crash or a power cut would.
    pub(crate) fn kill(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
