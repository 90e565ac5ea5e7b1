//! Stops the server when its parent process dies.
//!
//! A server doesn't notice that the process that started it was killed, or that a test binary ended.
//! So each server has a guard: a shell that waits until the parent's end of a pipe is closed, which the
//! kernel does however the parent ends, and then shuts the server down. For a temporary cluster it also
//! removes the folder. A parent that has stopped the server itself writes a line, and the guard exits.
//!
//! If the guard is killed too, the next start on the same folder cleans up.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Error, IoContext};

/// Arguments: `$0` data directory, `$1` the server's process id, `$2` folder to remove, or empty.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r _ && exit
running() { read -r pid < "$0/postmaster.pid" && [ "$pid" = "$1" ] && kill -0 "$1"; }
if running "$1"; then
    kill -INT "$1"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        running "$1" || break
        sleep 0.5
    done
fi
[ -z "$2" ] || rm -rf -- "$2"
"#;

/// The guard of one server. Drop it after the server has been stopped.
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Starts the guard of the server with process id `server` on `data`. The guard removes the folder
    /// `remove` after it has stopped the server.
    pub(super) fn start(server: u32, data: &Path, remove: Option<&Path>) -> Result<Self, Error> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .arg(data)
            .arg(server.to_string())
            .arg(remove.unwrap_or(Path::new("")))
            .current_dir("/")
            // Excludes the guard from the terminal's Ctrl-C.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_action(|| "start the server's guard".to_owned())?;
        Ok(Self { shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = stdin.write_all(b"stopped\n");
        }
        // The exit status doesn't matter.
        let _ = self.shell.wait();
    }
}
