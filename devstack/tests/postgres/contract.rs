//! What the program that starts the cluster relies on: the line on stdout, the roles, the address, a
//! graceful shutdown.

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use postgres::error::SqlState;

use crate::support::{Devstack, connect, folder, servers_on};

#[test]
fn data_passwords_and_port_survive_a_restart() {
    let folder = folder();
    let began = Instant::now();
    let first = Devstack::start(folder.path());
    println!("first start: {} ms", began.elapsed().as_millis());
    first
        .admin()
        .batch_execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)")
        .unwrap();
    let urls = first.urls.clone();
    let (status, rest, _) = first.stop();
    assert!(status.success());
    assert_eq!(rest, "", "exactly one line on stdout");
    assert_eq!(servers_on(&folder.path().join("data")), []);

    let began = Instant::now();
    let second = Devstack::start(folder.path());
    println!("next start: {} ms", began.elapsed().as_millis());
    assert_eq!(second.urls, urls);
    let row = second.admin().query_one("SELECT id FROM kept", &[]);
    assert_eq!(row.unwrap().get::<_, i32>(0), 42);
}

#[test]
fn the_plain_role_may_only_connect() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    let mut client = connect(&devstack.urls.url);
    let row = client
        .query_one(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication \
             OR rolbypassrls FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .unwrap();
    assert_eq!((row.get(0), row.get(1)), ("tirage", false));
    let refused = client.batch_execute("CREATE TABLE mine (id int)");
    assert_eq!(
        refused.unwrap_err().code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    );
}

#[test]
fn the_owner_migrates_without_being_superuser() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    let mut owner = devstack.admin();
    let row = owner
        .query_one(
            "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .unwrap();
    assert_eq!(
        (row.get(0), row.get(1), row.get(2)),
        ("tirage_owner", false, false)
    );
    owner
        .batch_execute(
            "CREATE ROLE component LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'secret';
             CREATE TABLE shared (id int);
             GRANT SELECT ON shared TO component;",
        )
        .unwrap();
    let url = devstack
        .urls
        .admin_url
        .replacen("tirage_owner", "component", 1);
    let (before, after) = url.split_once("component:").unwrap();
    let (_, host) = after.split_once('@').unwrap();
    let mut component = connect(&format!("{before}component:secret@{host}"));
    assert!(
        component
            .query("SELECT * FROM shared", &[])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_server_is_ready_for_a_change_feed_and_speaks_utf8() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    let mut owner = devstack.admin();
    for (setting, expected) in [
        ("wal_level", "logical"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("TimeZone", "UTC"),
        ("listen_addresses", "127.0.0.1"),
        ("data_checksums", "on"),
        ("fsync", "on"),
    ] {
        let row = owner.query_one(
            "SELECT CASE $1 WHEN 'lc_collate' THEN (SELECT datcollate FROM pg_database WHERE \
             datname = current_database()) ELSE current_setting($1) END",
            &[&setting],
        );
        assert_eq!(row.unwrap().get::<_, &str>(0), expected, "{setting}");
    }
}

#[test]
fn every_login_needs_the_password() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    let port: u16 = devstack.urls.url.rsplit_once(':').unwrap().1[..5]
        .parse()
        .unwrap();
    let socket = folder.path().join("socket");
    for host in ["127.0.0.1", socket.to_str().unwrap()] {
        for user in ["postgres", "tirage_owner", "tirage"] {
            let refused = postgres::Config::new()
                .host(host)
                .port(port)
                .user(user)
                .password("wrong")
                .dbname("tirage")
                .connect(postgres::NoTls);
            let error = refused.err().unwrap();
            assert_eq!(
                error.code(),
                Some(&SqlState::INVALID_PASSWORD),
                "{user} at {host}: {error}"
            );
        }
    }
}

#[test]
fn signals_stop_it_gracefully() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = folder();
        let devstack = Devstack::start(folder.path());
        let _client = devstack.admin();
        kill(devstack.pid(), signal).unwrap();
        let (status, _, log) = devstack.wait();
        assert!(status.success(), "{signal}: {log}");
        assert_eq!(servers_on(&folder.path().join("data")), []);
        assert!(!folder.path().join("data/postmaster.pid").exists());
    }
}

#[test]
fn closed_pipes_stop_it_gracefully() {
    let folder = folder();
    let mut command = crate::support::command(folder.path());
    let mut devstack = Devstack::spawn(command.env("RUST_LOG", "debug"));
    drop((devstack.child.stderr.take(), devstack.child.stdin.take()));
    assert!(devstack.child.wait().unwrap().success());
    assert!(!folder.path().join("data/postmaster.pid").exists());
}
