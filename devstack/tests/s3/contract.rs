//! What the program that starts the server relies on: the line on stdout, the same keys and port, a
//! graceful shutdown.

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
fn the_line_is_complete_and_the_keys_are_private() {
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
fn signals_stop_it_gracefully() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut server, _folder) = Server::temporary();
        let pid = Pid::from_raw(server.child.id().cast_signed());
        kill(pid, signal).unwrap();
        assert!(server.child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn a_taken_port_is_replaced_unless_it_was_requested() {
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
    let log = String::from_utf8(refused.stderr).unwrap();
    let expected = format!("port {port} on 127.0.0.1 is taken");
    assert!(log.contains(&expected), "{log}");
    let server = Server::start(folder.path());
    assert_ne!(server.ready.endpoint, endpoint);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let second = command(folder.path())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let log = String::from_utf8(second.stderr).unwrap();
    let expected = format!("in use by process {}", server.child.id());
    assert!(log.contains(&expected), "{log}");
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
