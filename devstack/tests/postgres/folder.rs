//! The folder and its lock, the port, lost files.

use std::net::TcpListener;
use std::time::Duration;

use tirage_devstack::postgres::{Cluster, Error, Settings};

use crate::support::{Devstack, command, connect, eventually, folder, postmaster, servers_on};

#[test]
fn a_folder_in_use_is_refused_with_the_process_id() {
    let folder = folder();
    let first = Devstack::start(folder.path());
    let second = command(folder.path()).output().unwrap();
    assert!(!second.status.success());
    assert!(second.stdout.is_empty());
    let log = String::from_utf8(second.stderr).unwrap();
    let expected = format!("in use by process {}", first.pid());
    assert!(log.contains(&expected), "{log}");
    first.admin().batch_execute("SELECT").unwrap();
}

#[test]
fn a_start_waits_for_a_process_that_is_stopping() {
    let folder = folder();
    let first = Devstack::start(folder.path());
    let data = folder.path().join("data");
    let old = postmaster(&data);
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| Devstack::start(folder.path()));
        std::thread::sleep(Duration::from_millis(500));
        assert!(first.stop().0.success());
        second.join().unwrap()
    });
    assert_ne!(postmaster(&data), old);
    second.admin().batch_execute("SELECT").unwrap();
}

#[test]
fn a_port_that_is_taken_between_starts_is_replaced() {
    let folder = folder();
    let cluster = Cluster::start(&Settings::new(folder.path())).unwrap();
    let port = cluster.port();
    cluster.stop().unwrap();
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let cluster = Cluster::start(&Settings::new(folder.path())).unwrap();
    assert_ne!(cluster.port(), port);
    connect(&cluster.url());
}

#[test]
fn a_requested_port_is_used_or_refused() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = Settings::new(folder.path());
    settings.port = Some(port);
    let error = Cluster::start(&settings).unwrap_err();
    assert!(
        matches!(error, Error::PortTaken(taken) if taken == port),
        "{error}"
    );
    drop(listener);
    assert_eq!(Cluster::start(&settings).unwrap().port(), port);
}

#[test]
fn data_without_passwords_are_kept_and_refused() {
    let folder = folder();
    Devstack::start(folder.path()).stop();
    std::fs::remove_file(folder.path().join("credentials.json")).unwrap();
    let error = Cluster::start(&Settings::new(folder.path())).unwrap_err();
    assert!(matches!(error, Error::CredentialsLost { .. }), "{error}");
    assert!(folder.path().join("data/PG_VERSION").exists());
}

#[test]
fn long_paths_with_special_characters_work() {
    let folder = folder();
    let odd = folder
        .path()
        .join("it's a \"folder\", with = and ünïcode")
        .join("x".repeat(100));
    let cluster = Cluster::start(&Settings::new(&odd)).unwrap();
    assert_eq!(cluster.socket_folder(), None, "too long for a socket");
    connect(&cluster.url());
    drop(cluster);

    let short = folder.path().join("it's, \"odd\"");
    let cluster = Cluster::start(&Settings::new(&short)).unwrap();
    let socket = cluster.socket_folder().unwrap();
    let name = format!(".s.PGSQL.{}", cluster.port());
    assert!(socket.join(name).exists());
    let data = cluster.data_folder().to_owned();
    drop(cluster);
    eventually(Duration::from_secs(1), "stopped", || {
        servers_on(&data).is_empty()
    });
}
