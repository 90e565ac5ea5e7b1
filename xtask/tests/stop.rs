//! No child process outlives `cargo xtask`, whichever way it ends.
//!
//! Shell scripts stand in for the programs that it builds and starts. The command line and the signals
//! are real. The tests in `tests/` start and stop the real bundle.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Records its process id, then behaves like the devstack. (Background commands of a shell have no stdin
/// unless it is redirected.)
const DEVSTACK: &str = r#"
trap 'echo '$1' >> stopped; exit 0' TERM
echo $$ >> pids
case $1 in
postgres) echo '{"url":"postgres://u@127.0.0.1:1/tirage","admin_url":"postgres://a@127.0.0.1:1/tirage"}' ;;
s3) echo '{"endpoint":"http://127.0.0.1:2","region":"r","bucket":"b","access_key_id":"i","secret_access_key":"s"}' ;;
queue) echo '{"endpoint":"http://127.0.0.1:3","queue_name":"q","access_key_id":"i","secret_access_key":"s"}' ;;
esac
exec 3<&0
cat <&3 > /dev/null &
wait
"#;

/// Behaves like the router's `migrate` and `sql-gateway`.
const ROUTER: &str = r#"
[ "$1" = migrate ] && exit 0
trap 'echo gateway >> stopped; exit 0' TERM
echo $$ >> pids
echo "$DATABASE_URL" > database-url
echo 'listening on http://127.0.0.1:4444'
exec 3<&0
cat <&3 > /dev/null &
wait
"#;

const MANIFEST: &str = r#"
[component.api]
source = "build/api.wasm"
[component.api.tool.tirage]
database_role = "tirage_api"
"#;

/// A clone whose `cargo` is `script`.
struct Clone {
    root: TempDir,
}

impl Clone {
    fn with_cargo(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("spin.toml"), MANIFEST).unwrap();
        let programs = root.path().join("target/debug");
        fs::create_dir_all(&programs).unwrap();
        write_script(&programs.join("tirage-devstack"), DEVSTACK);
        write_script(&programs.join("tirage"), ROUTER);
        write_script(&root.path().join("cargo"), script);
        Self { root }
    }

    fn services(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("services")
            .env("CARGO_MANIFEST_DIR", self.root.path().join("xtask"))
            .env("CARGO", self.root.path().join("cargo"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("DATABASE_URL")
            .env_remove("S3_ENDPOINT")
            .env_remove("QUEUE_ENDPOINT")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.path().join(file)).unwrap_or_default()
    }

    fn pids(&self, expected: usize) -> Vec<String> {
        wait_until(|| {
            let pids: Vec<_> = self.read("pids").lines().map(str::to_owned).collect();
            (pids.len() == expected).then_some(pids)
        })
    }
}

fn write_script(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn wait_until<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "timeout");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_until_gone(pids: &[String]) {
    for pid in pids {
        wait_until(|| (!is_alive(pid)).then_some(()));
    }
}

fn is_alive(pid: &str) -> bool {
    // Signal 0 checks that a process exists. A zombie still exists, and in containers without init its
    // parent may never reap it.
    let is_zombie =
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    !is_zombie && kill(Pid::from_raw(pid.parse().unwrap()), None).is_ok()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    line
}

#[test]
fn sigterm_stops_all_children_in_reverse_order() {
    let clone = Clone::with_cargo("exit 0");
    let mut xtask = clone.services();
    let line = first_line(&mut xtask);
    assert!(
        line.contains("DATABASE_HTTP_URL=http://127.0.0.1:4444 "),
        "{line}"
    );
    assert!(
        line.contains("CONNECTION_STRING=postgres://tirage_api:"),
        "{line}"
    );
    for variable in [
        "@127.0.0.1:4444/tirage ",
        "SPIN_VARIABLE_S3_BUCKET=b ",
        "SPIN_VARIABLE_QUEUE_NAME=q ",
    ] {
        assert!(line.contains(variable), "{line}");
    }
    assert!(line.ends_with(" spin up\n"), "{line}");
    assert_eq!(
        clone.read("database-url").trim(),
        "postgres://u@127.0.0.1:1/tirage"
    );

    let pids = clone.pids(4);
    signal(&xtask, Signal::SIGTERM);
    assert_eq!(xtask.wait().unwrap().code(), Some(0));
    assert_eq!(clone.read("stopped"), "gateway\nqueue\ns3\npostgres\n");
    wait_until_gone(&pids);
}

#[test]
fn children_exit_when_xtask_is_killed() {
    let clone = Clone::with_cargo("exit 0");
    let mut xtask = clone.services();
    first_line(&mut xtask);
    let pids = clone.pids(4);
    xtask.kill().unwrap();
    xtask.wait().unwrap();
    wait_until_gone(&pids);
}

#[test]
fn a_dead_child_stops_the_others_and_fails_the_command() {
    let clone = Clone::with_cargo("exit 0");
    let mut xtask = clone.services();
    first_line(&mut xtask);
    let pids = clone.pids(4);
    kill(Pid::from_raw(pids[0].parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(xtask.wait().unwrap().code(), Some(1));
    wait_until_gone(&pids);
    let stopped = clone.read("stopped");
    assert!(stopped.starts_with("gateway\n"), "{stopped}");
    assert_eq!(stopped.lines().count(), 3, "{stopped}");
}

#[test]
fn sigterm_during_a_build_stops_the_build() {
    // The background process stands for a compiler that cargo started; only signals to the group reach it.
    let clone = Clone::with_cargo("sleep 600 & echo $! >> pids; echo $$ >> pids; wait");
    let mut xtask = clone.services();
    let pids = clone.pids(2);
    signal(&xtask, Signal::SIGTERM);
    assert_eq!(xtask.wait().unwrap().code(), Some(130));
    wait_until_gone(&pids);
}
