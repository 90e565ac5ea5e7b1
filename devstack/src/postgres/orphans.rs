//! Stops servers that outlived the process that started them.
//!
//! Postgres' own check, the process id in `postmaster.pid`, fails in both directions: after a crash the
//! id may belong to another program, and Postgres refuses to start; after a kill of the postmaster alone
//! its children may still run with the data open. This module looks for processes whose working
//! directory is the data directory, which is true for every process of a server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, IoContext};
use crate::files;

/// Stops every process of a server on `data`, gracefully if possible, and removes a `postmaster.pid`
/// that names another program. Returns when the processes have ended.
///
/// The caller holds the lock of the cluster's folder.
pub(super) fn stop(data: &Path) -> Result<(), Error> {
    let Ok(data) = data.canonicalize() else {
        return Ok(());
    };
    let began = Instant::now();
    let mut sent = None;
    loop {
        let orphans = processes_on(&data)?;
        if orphans.is_empty() {
            break;
        }
        let signal = match began.elapsed().as_secs() {
            0..10 => Signal::SIGINT,
            10..15 => Signal::SIGQUIT,
            _ => Signal::SIGKILL,
        };
        if sent != Some(signal) {
            tracing::info!(
                "stopping a server that an earlier run left on {}",
                data.display()
            );
            sent = Some(signal);
            for (pid, signal) in targets(signal, &orphans, &data)? {
                // It may have ended meanwhile.
                let _ = kill(pid, signal);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    remove_stale_pid_file(&data)
}

/// Returns the processes to signal and their signals.
///
/// A postmaster forwards the signal to its children. Children without a postmaster are signalled
/// directly, with SIGTERM in place of SIGINT: SIGINT would only cancel their statement, and the client
/// would take that for an ordinary cancellation.
fn targets(signal: Signal, orphans: &[Pid], data: &Path) -> Result<Vec<(Pid, Signal)>, Error> {
    let postmaster = postmaster(data)?.filter(|pid| orphans.contains(pid));
    let all = |signal| orphans.iter().map(|pid| (*pid, signal)).collect();
    Ok(match (postmaster, signal) {
        (Some(postmaster), Signal::SIGINT | Signal::SIGQUIT) => vec![(postmaster, signal)],
        (None, Signal::SIGINT) => all(Signal::SIGTERM),
        _ => all(signal),
    })
}

/// Reads the process id in `postmaster.pid`. It may be stale, so the caller checks the process.
fn postmaster(data: &Path) -> Result<Option<Pid>, Error> {
    let text = files::read(&data.join(PID_FILE))?.unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.parse().ok());
    Ok(pid.filter(|pid| *pid > 1).map(Pid::from_raw))
}

/// Removes a `postmaster.pid` whose id now belongs to an unrelated process, because Postgres would
/// refuse to start. Postgres itself removes one without a process.
fn remove_stale_pid_file(data: &Path) -> Result<(), Error> {
    match postmaster(data)? {
        Some(pid) if kill(pid, None) != Err(nix::errno::Errno::ESRCH) => {
            let file = data.join(PID_FILE);
            std::fs::remove_file(&file).with_action(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

const PID_FILE: &str = "postmaster.pid";

/// Lists processes with the working directory `data` and the program name `postgres`.
#[cfg(target_os = "linux")]
fn processes_on(data: &Path) -> Result<Vec<Pid>, Error> {
    let pids = files::entries(Path::new("/proc"))?
        .into_iter()
        .filter_map(|entry| Some((entry.file_name()?.to_str()?.parse().ok()?, entry)))
        .filter(|(_, entry): &(i32, PathBuf)| {
            entry.join("cwd").read_link().is_ok_and(|cwd| cwd == data)
                && std::fs::read_to_string(entry.join("comm"))
                    .is_ok_and(|name| name.trim() == "postgres")
        })
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect();
    Ok(pids)
}

/// Lists the same processes with `lsof`, which macOS and the BSDs have.
#[cfg(not(target_os = "linux"))]
fn processes_on(data: &Path) -> Result<Vec<Pid>, Error> {
    let output = std::process::Command::new("lsof")
        .args(["-a", "-d", "cwd", "-c", "postgres", "-F", "pn"])
        .output()
        .with_action(|| "run lsof".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut pid = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix('p') {
            pid = number.parse().ok().map(Pid::from_raw);
        } else if line.strip_prefix('n').map(PathBuf::from).as_deref() == Some(data) {
            found.extend(pid);
        }
    }
    Ok(found)
}
