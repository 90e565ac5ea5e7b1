//! Stopping servers that outlived whoever started them.
//!
//! Postgres' own guard, the process id in `postmaster.pid`, errs in both directions: after a crash
//! the number may belong to something else by now, and it refuses to start; after the postmaster
//! alone was killed, its children may live on, busy, with the data open. What is asked here instead
//! is who works in the data directory: every process of a server does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{Doing, Error};
use super::files;

/// Stops every process of a server on `data`, cleanly if it can be done, and clears away a
/// `postmaster.pid` that names a stranger. Returns when they are gone.
///
/// Only for somebody who holds the lock of the cluster's folder.
pub(super) fn stop(data: &Path) -> Result<(), Error> {
    let Ok(data) = data.canonicalize() else {
        return Ok(());
    };
    let began = Instant::now();
    let mut asked = None;
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
        if asked != Some(signal) {
            tracing::info!(
                "stopping a server that an earlier run left on {}",
                data.display()
            );
            asked = Some(signal);
            for (pid, signal) in targets(signal, &orphans, &data)? {
                // It may have gone by itself since.
                let _ = kill(pid, signal);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    forget_stranger(&data)
}

/// Whom to send what: a postmaster that lives tells its children; children without one have to be told
/// themselves, and SIGINT would only cancel what they are doing, which a client can't tell from a wish of
/// somebody's. Those that don't heed SIGTERM heed SIGQUIT (or nothing, in the worst of loops).
fn targets(signal: Signal, orphans: &[Pid], data: &Path) -> Result<Vec<(Pid, Signal)>, Error> {
    let postmaster = postmaster(data)?.filter(|pid| orphans.contains(pid));
    let all = |signal| orphans.iter().map(|pid| (*pid, signal)).collect();
    Ok(match (postmaster, signal) {
        (Some(postmaster), Signal::SIGINT | Signal::SIGQUIT) => vec![(postmaster, signal)],
        (None, Signal::SIGINT) => all(Signal::SIGTERM),
        _ => all(signal),
    })
}

/// The process id in `postmaster.pid`. The line is the data directory's, not ours: whoever acts on
/// it checks what that process is.
fn postmaster(data: &Path) -> Result<Option<Pid>, Error> {
    let text = files::read(&data.join(PID_FILE))?.unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.parse().ok());
    Ok(pid.filter(|pid| *pid > 1).map(Pid::from_raw))
}

/// Removes a `postmaster.pid` whose number now belongs to a process that has nothing to do with
/// the data, because Postgres would refuse to start. Any other it clears away itself.
fn forget_stranger(data: &Path) -> Result<(), Error> {
    match postmaster(data)? {
        Some(pid) if kill(pid, None) != Err(nix::errno::Errno::ESRCH) => {
            let file = data.join(PID_FILE);
            std::fs::remove_file(&file).doing(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

const PID_FILE: &str = "postmaster.pid";

/// The processes whose working directory is `data` and whose program is called `postgres`.
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

/// The same, asked of `lsof`, which macOS and the BSDs have.
#[cfg(not(target_os = "linux"))]
fn processes_on(data: &Path) -> Result<Vec<Pid>, Error> {
    let output = std::process::Command::new("lsof")
        .args(["-a", "-d", "cwd", "-c", "postgres", "-F", "pn"])
        .output()
        .doing(|| "run lsof".to_owned())?;
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
