//! Who stops the server when its keeper cannot.
//!
//! A server is a process of its own; when the process that started it is killed, or a test binary
//! simply ends, nothing tells it. So each server has a guard beside it: a shell that waits for the
//! keeper's end of a pipe to close, which the kernel does however the keeper ends, and then asks the
//! server to shut down. For a temporary cluster it also removes the folder. A keeper that has
//! stopped the server itself says so, and the guard leaves.
//!
//! Killing the guard as well defeats it; the next start on the same folder cleans up then.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::error::{Doing, Error};

/// `$0`: the data directory, `$1`: the server's process id, `$2`: a folder to remove, or nothing.
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

/// The guard of one server. To be dropped once the server has been stopped.
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Sets a guard beside the server with the process id `server` on `data`. It removes the folder
    /// `remove` when it has stopped the server.
    pub(super) fn beside(server: u32, data: &Path, remove: Option<&Path>) -> Result<Self, Error> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .arg(data)
            .arg(server.to_string())
            .arg(remove.unwrap_or(Path::new("")))
            .current_dir("/")
            // Away from the terminal's Ctrl-C.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start the server's guard".to_owned())?;
        Ok(Self { shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = stdin.write_all(b"stopped\n");
        }
        // Nothing follows from how a shell without a task ended.
        let _ = self.shell.wait();
    }
}
