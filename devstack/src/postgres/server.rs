//! One run of the server, from start to exit, and its log.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::account::Account;
use super::binaries::Binaries;
use super::guard::Guard;
use crate::error::{Error, IoContext};
use crate::files;

/// Parameters of a start.
pub(super) struct Launch {
    pub(super) binaries: Binaries,
    pub(super) account: Account,
    /// Data directory.
    pub(super) data: PathBuf,
    pub(super) socket_folder: Option<PathBuf>,
    pub(super) port: u16,
    /// Folder of a temporary cluster. The guard removes it if this process dies.
    pub(super) temporary: Option<PathBuf>,
}

/// A server that accepts connections.
pub(super) struct Server {
    postmaster: Child,
    // Dropped after the postmaster has been stopped.
    _guard: Guard,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    /// [`Error::PortTaken`], or [`Error::NotReady`] with the end of the log.
    pub(super) fn start(launch: &Launch) -> Result<Self, Error> {
        let mut postmaster = command(launch)
            .spawn()
            .with_action(|| format!("run {}", launch.binaries.program("postgres").display()))?;
        let log = Log::forward(postmaster.stderr.take());
        let guard = Guard::start(postmaster.id(), &launch.data, launch.temporary.as_deref());
        let mut server = match guard {
            Ok(guard) => Self {
                postmaster,
                _guard: guard,
            },
            Err(error) => {
                let _ = postmaster.kill();
                return Err(error);
            }
        };
        match server.wait_until_ready(&launch.data)? {
            Readiness::Ready => Ok(server),
            Readiness::Ended(how) => {
                let log = log.end();
                if log.contains("Address already in use") {
                    Err(Error::PortTaken(launch.port))
                } else {
                    Err(Error::NotReady { how, log })
                }
            }
        }
    }

    /// Returns the process id of the postmaster.
    pub(super) fn pid(&self) -> u32 {
        self.postmaster.id()
    }

    /// Returns the exit status if the server has ended.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.postmaster
            .try_wait()
            .with_action(|| "read the server's exit status".to_owned())
    }

    /// Shuts the server down: rolls open transactions back and writes everything, so that the next start
    /// has nothing to recover. Kills the server if that takes too long.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        // Postgres' "fast" and "immediate" shutdown, then the kernel's.
        for (signal, seconds) in [
            (Signal::SIGINT, 30),
            (Signal::SIGQUIT, 10),
            (Signal::SIGKILL, 10),
        ] {
            if self.ended()?.is_some() {
                return Ok(());
            }
            self.signal(signal);
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(seconds) {
                if self.ended()?.is_some() {
                    return Ok(());
                }
                std::thread::sleep(POLL);
            }
            tracing::warn!("Postgres did not end {seconds} s after {signal}");
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        // The id belongs to the postmaster until its exit status is read. It was a pid_t, so it fits.
        let pid = Pid::from_raw(self.postmaster.id().cast_signed());
        if let Err(error) = kill(pid, signal) {
            tracing::warn!("cannot send {signal} to Postgres: {error}");
        }
    }

    /// Waits as `pg_ctl` does: line 8 of `postmaster.pid` is the server's state (`PM_STATUS_READY` in
    /// Postgres' `pidfile.h`).
    fn wait_until_ready(&mut self, data: &Path) -> Result<Readiness, Error> {
        let began = Instant::now();
        while began.elapsed() < START_TIMEOUT {
            if let Some(status) = self.ended()? {
                return Ok(Readiness::Ended(status.to_string()));
            }
            let text = files::read(&data.join("postmaster.pid"))?.unwrap_or_default();
            let mut lines = text.lines();
            let ours = lines.next() == Some(self.pid().to_string().as_str());
            if ours && lines.nth(6).is_some_and(|state| state.trim() == "ready") {
                return Ok(Readiness::Ready);
            }
            std::thread::sleep(POLL);
        }
        let how = format!("not ready after {} s", START_TIMEOUT.as_secs());
        Ok(Readiness::Ended(how))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!("{error}");
        }
    }
}

enum Readiness {
    Ready,
    Ended(String),
}

const POLL: Duration = Duration::from_millis(5);
/// Time for a start. Crash recovery, the slowest part, replays at most a few WAL segments.
const START_TIMEOUT: Duration = Duration::from_secs(120);

fn command(launch: &Launch) -> std::process::Command {
    let mut command = launch.account.command(&launch.binaries.program("postgres"));
    command
        .arg("-D")
        .arg(&launch.data)
        .args(["-p", &launch.port.to_string()])
        .arg("-c")
        .arg(socket_setting(launch.socket_folder.as_deref()))
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_permissions=0700"])
        .args(["-c", "wal_level=logical"])
        .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC"])
        // tracing adds the time.
        .args(["-c", "log_line_prefix="])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal goes to the parent process, which then stops the server.
        .process_group(0);
    if launch.temporary.is_some() {
        command
            // Not synchronous_commit=off, which would lose commits when the process is killed.
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    command
}

/// Builds `unix_socket_directories`: a list of one folder, quoted as an identifier, or an empty list
/// for no socket (`SplitDirectoriesString` in Postgres' `varlena.c`).
fn socket_setting(folder: Option<&Path>) -> OsString {
    let mut setting = OsString::from("unix_socket_directories=");
    if let Some(folder) = folder {
        let quotes_doubled = folder
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
        setting.push("\"");
        setting.push(OsString::from_vec(quotes_doubled.collect()));
        setting.push("\"");
    }
    setting
}

/// Forwards the server's log, and keeps its last lines.
struct Log {
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    const KEPT: usize = 20;

    fn forward(stream: Option<impl Read + Send + 'static>) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        let reader = std::thread::spawn(move || {
            let Some(stream) = stream else { return };
            let mut severity = Severity::Debug;
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                severity = severity.next(&line);
                severity.log(&line);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(line);
                if kept.len() > Self::KEPT {
                    kept.pop_front();
                }
            }
        });
        Self { tail, reader }
    }

    /// Returns the last lines of a server that has ended. Waits only shortly, because a child that
    /// still runs keeps the stream open.
    fn end(self) -> String {
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(POLL);
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// Severity of a line of the server's log.
#[derive(Clone, Copy)]
enum Severity {
    Debug,
    Warning,
    Error,
}

impl Severity {
    /// Returns the severity of the next line. `DETAIL:` and continuation lines have that of the line
    /// before.
    fn next(self, line: &str) -> Self {
        match line.split_once(':').map(|(word, _)| word) {
            Some("LOG" | "NOTICE" | "INFO") => Self::Debug,
            Some("WARNING" | "ERROR") => Self::Warning,
            Some("FATAL" | "PANIC") => Self::Error,
            _ => self,
        }
    }

    fn log(self, line: &str) {
        match self {
            Self::Debug => tracing::debug!(target: "postgres", "{line}"),
            Self::Warning => tracing::warn!(target: "postgres", "{line}"),
            Self::Error => tracing::error!(target: "postgres", "{line}"),
        }
    }
}
