//! What others rely on: the line on stdout, keys and port that stay, the orderly end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Server, command, key};

#[tokio::test]
async fn objects_keys_and_port_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (ready, key) = (server.ready.clone(), key());
    assert_eq!(server.put(&key, b"bytes", true).await.failure(), None);
    let (status, rest) = server.stop();
    assert!(status.success());
    assert_eq!(rest, "", "one line on stdout");

    let server = Server::start(folder.path());
    assert_eq!(server.ready, ready);
    assert_eq!(server.get(&key).await.body, b"bytes");
    assert_eq!(server.keys("").await, [key.to_string()]);
}

#[test]
fn the_line_is_as_promised_and_the_keys_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let one = Server::start(folder.path());
    let (other, _other_folder) = Server::temporary();
    assert!(one.ready.endpoint.starts_with("http://127.0.0.1:"));
    assert_eq!(one.ready.region, "fr-par");
    assert_eq!(one.ready.bucket, "tirage");
    assert_ne!(one.ready.access_key_id, other.ready.access_key_id);
    assert_ne!(one.ready.secret_access_key, other.ready.secret_access_key);
    assert!(one.ready.secret_access_key.len() >= 40);
    let file = folder.path().join("credentials.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn it_ends_in_order_when_told_to() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut server, _folder) = Server::temporary();
        let pid = Pid::from_raw(server.child.id().cast_signed());
        kill(pid, signal).unwrap();
        assert!(server.child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn it_goes_on_without_stdin_if_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    let mut server = Server::spawn(command.arg("--detached-stdin").stdin(Stdio::null()));
    // Had it taken the end of stdin for an order, a restart of the same folder would succeed.
    let second = crate::support::command(folder.path())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let log = String::from_utf8(second.stderr).unwrap();
    assert!(log.contains("in use by another process"), "{log}");
    assert!(server.child.try_wait().unwrap().is_none());
}

#[test]
fn a_port_that_somebody_else_took_is_replaced_unless_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let endpoint = server.ready.endpoint.clone();
    assert!(server.stop().0.success());
    let port = endpoint.rsplit(':').next().unwrap();
    let _taken = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();

    let refused = command(folder.path())
        .args(["--port", port])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let server = Server::start(folder.path());
    assert_ne!(server.ready.endpoint, endpoint);
}

#[test]
fn a_temporary_server_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tirage-devstack"));
    command
        .args(["s3", "--temporary"])
        .env("TMPDIR", base.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let server = Server::spawn(&mut command);
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    assert!(server.stop().0.success());
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
}
