//! The binary as a child process, a client, and the machine's processes.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::{Client, NoTls};
use serde::Deserialize;
use tempfile::TempDir;

/// Creates a folder that Postgres' user can enter, like most clones.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// The line that the binary prints when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Urls {
    pub(crate) admin_url: String,
    pub(crate) url: String,
}

/// Returns the command `tirage-devstack postgres --data <data>` with a pipe as stdin.
pub(crate) fn command(data: &Path) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_tirage-devstack")), data)
}

/// Returns the same command for a copy of the binary.
pub(crate) fn command_of(binary: &Path, data: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("postgres")
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running `tirage-devstack postgres`.
pub(crate) struct Devstack {
    pub(crate) child: Child,
    pub(crate) urls: Urls,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Devstack {
    pub(crate) fn start(data: &Path) -> Self {
        Self::spawn(&mut command(data))
    }

    /// Runs `command`, and waits for its line on stdout.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut log = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut log)
                .unwrap();
            panic!("devstack did not become ready: {log}");
        }
        Self {
            child,
            urls: serde_json::from_str(&line).unwrap(),
            stdout,
        }
    }

    pub(crate) fn admin(&self) -> Client {
        connect(&self.urls.admin_url)
    }

    pub(crate) fn pid(&self) -> Pid {
        pid(self.child.id())
    }

    /// Closes stdin and waits. Returns the rest of stdout, and the log.
    pub(crate) fn stop(mut self) -> (ExitStatus, String, String) {
        drop(self.child.stdin.take());
        self.wait()
    }

    pub(crate) fn wait(mut self) -> (ExitStatus, String, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), rest, log)
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills this process, the server's guard and the postmaster, in that order, before any can react.
    pub(crate) fn kill_9_with_everything(self, data: &Path) {
        let postmaster = postmaster(data);
        let guards = children(self.pid());
        assert_eq!(guards.len(), 2, "the postmaster and its guard");
        for process in &guards {
            kill(*process, Signal::SIGSTOP).unwrap();
        }
        self.kill_9();
        for process in guards.into_iter().filter(|pid| *pid != postmaster) {
            kill(process, Signal::SIGKILL).unwrap();
        }
        kill(postmaster, Signal::SIGKILL).unwrap();
    }
}

/// Stops the server, so that it doesn't write into a folder that is being removed.
impl Drop for Devstack {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.stderr.take());
        let _ = self.child.wait();
    }
}

pub(crate) fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed())
}

/// Returns the postmaster of the server on the data directory `data`.
pub(crate) fn postmaster(data: &Path) -> Pid {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

/// Lists the processes whose working directory is `data` or below.
pub(crate) fn servers_on(data: &Path) -> Vec<Pid> {
    let data = data.canonicalize().unwrap_or(data.to_owned());
    processes()
        .filter(|(_, entry)| {
            // A removed directory has the suffix " (deleted)".
            entry
                .join("cwd")
                .read_link()
                .is_ok_and(|cwd| cwd.to_string_lossy().starts_with(&*data.to_string_lossy()))
        })
        .map(|(pid, _)| pid)
        .collect()
}

/// Lists the children of a process, without zombies.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    processes()
        .filter(|(_, entry)| {
            // "<pid> (<name>) <state> <parent> …"
            let stat = std::fs::read_to_string(entry.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, fields)| {
                let mut fields = fields.split(' ');
                fields.next() != Some("Z") && fields.next() == Some(parent.to_string().as_str())
            })
        })
        .map(|(pid, _)| pid)
        .collect()
}

fn processes() -> impl Iterator<Item = (Pid, std::path::PathBuf)> {
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        Some((Pid::from_raw(pid), path))
    })
}

/// Waits at most `timeout` until `done`.
pub(crate) fn eventually(timeout: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < timeout,
            "after {timeout:?} not yet: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `true` for root. Prints a notice otherwise.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}
