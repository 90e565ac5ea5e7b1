//! One run of the server: from its first line in the log to its last.

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
use super::error::{Doing, Error};
use super::files;
use super::guard::Guard;

/// What a server is started with.
pub(super) struct Launch {
    pub(super) binaries: Binaries,
    pub(super) account: Account,
    /// The data directory.
    pub(super) data: PathBuf,
    pub(super) socket_folder: Option<PathBuf>,
    pub(super) port: u16,
    /// Whether a commit reaches the disk before it is reported.
    pub(super) durable: bool,
    /// A folder that the guard removes if the keeper dies.
    pub(super) remove: Option<PathBuf>,
}

/// A server that answers.
pub(super) struct Server {
    postmaster: Child,
    // Dropped after the postmaster has been stopped.
    _guard: Guard,
}

impl Server {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// [`Error::PortTaken`], or [`Error::NotReady`] with the end of the log.
    pub(super) fn start(launch: &Launch) -> Result<Self, Error> {
        let mut postmaster = command(launch)
            .spawn()
            .doing(|| format!("run {}", launch.binaries.program("postgres").display()))?;
        let log = Log::of(postmaster.stderr.take());
        let guard = Guard::beside(postmaster.id(), &launch.data, launch.remove.as_deref());
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

    /// The process id of the postmaster.
    pub(super) fn pid(&self) -> u32 {
        self.postmaster.id()
    }

    /// How the server ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.postmaster
            .try_wait()
            .doing(|| "ask for the server's end".to_owned())
    }

    /// Shuts the server down: open transactions are rolled back, everything is written, and the
    /// next start has nothing to recover. Only a server that does not heed this is killed.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        // In Postgres' words: "fast", "immediate", and the one that cannot be refused.
        for (signal, patience) in [
            (Signal::SIGINT, 30),
            (Signal::SIGQUIT, 10),
            (Signal::SIGKILL, 10),
        ] {
            if self.ended()?.is_some() {
                return Ok(());
            }
            self.signal(signal);
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(patience) {
                if self.ended()?.is_some() {
                    return Ok(());
                }
                std::thread::sleep(POLL);
            }
            tracing::warn!("Postgres did not end {patience} s after {signal}");
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        // The number is the postmaster's for as long as nobody has waited for it, and fits: the
        // system gave it out as a pid_t.
        let pid = Pid::from_raw(self.postmaster.id().cast_signed());
        if let Err(error) = kill(pid, signal) {
            tracing::warn!("cannot send {signal} to Postgres: {error}");
        }
    }

    /// `pg_ctl` waits in the same way: the eighth line of `postmaster.pid` is the server's state
    /// (`PM_STATUS_READY` in Postgres' `miscadmin.h` and `pidfile.h`).
    fn wait_until_ready(&mut self, data: &Path) -> Result<Readiness, Error> {
        let began = Instant::now();
        while began.elapsed() < START_PATIENCE {
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
        let how = format!("not ready after {} s", START_PATIENCE.as_secs());
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
/// Recovery after a crash replays at most a few segments of the log here; this is far beyond.
const START_PATIENCE: Duration = Duration::from_secs(120);

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
        // Time and process are the business of whoever keeps our own log.
        .args(["-c", "log_line_prefix="])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal goes to the keeper, who then stops the server.
        .process_group(0);
    if !launch.durable {
        command
            // Not synchronous_commit=off: that would lose commits with the process.
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    command
}

/// The one element of a list, quoted as an identifier; an empty list means no socket
/// (`SplitDirectoriesString` in Postgres' `varlena.c`).
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

/// Hands the server's log on to ours, and remembers the end of it.
struct Log {
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    const KEPT: usize = 20;

    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        let reader = std::thread::spawn(move || {
            let Some(stream) = stream else { return };
            let mut severity = Severity::Normal;
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                severity = severity.of_next(&line);
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

    /// The last lines of a server that has ended. Does not wait for long: a child of the server
    /// that lives on would hold the stream open.
    fn end(self) -> String {
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(POLL);
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// How much a line of the server's log matters here.
#[derive(Clone, Copy)]
enum Severity {
    Normal,
    Worrying,
    Grave,
}

impl Severity {
    /// Lines like `DETAIL:` and those that go on from the line above matter as much as that one.
    fn of_next(self, line: &str) -> Self {
        match line.split_once(':').map(|(word, _)| word) {
            Some("LOG" | "NOTICE" | "INFO") => Self::Normal,
            Some("WARNING" | "ERROR") => Self::Worrying,
            Some("FATAL" | "PANIC") => Self::Grave,
            _ => self,
        }
    }

    fn log(self, line: &str) {
        match self {
            Self::Normal => tracing::debug!(target: "postgres", "{line}"),
            Self::Worrying => tracing::warn!(target: "postgres", "{line}"),
            Self::Grave => tracing::error!(target: "postgres", "{line}"),
        }
    }
}
