//! Temporary clusters leave nothing behind.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tirage_devstack::postgres::Cluster;

use crate::support::{Devstack, children, connect, eventually, pid, servers_on};

#[test]
fn a_temporary_cluster_is_removed_on_drop() {
    let began = Instant::now();
    let cluster = Cluster::start_temporary().unwrap();
    println!("temporary: {} ms", began.elapsed().as_millis());
    let folder = cluster.data_folder().parent().unwrap().to_owned();
    for url in [cluster.url(), cluster.admin_url(), cluster.superuser_url()] {
        connect(&url);
    }
    drop(cluster);
    assert!(!folder.exists());
    assert_eq!(servers_on(&folder), []);
}

#[test]
fn a_temporary_cluster_survives_a_kill_and_a_restart() {
    let mut cluster = Cluster::start_temporary().unwrap();
    let url = cluster.admin_url();
    connect(&url)
        .batch_execute("CREATE TABLE kept (); INSERT INTO kept DEFAULT VALUES")
        .unwrap();
    kill(pid(cluster.postmaster()), Signal::SIGKILL).unwrap();
    eventually(Duration::from_secs(5), "it has ended", || {
        cluster.ended().unwrap().is_some()
    });
    cluster.restart().unwrap();
    assert_eq!(cluster.admin_url(), url);
    let rows = connect(&url).query("SELECT FROM kept", &[]).unwrap();
    assert_eq!(rows.len(), 1);
}

#[test]
fn a_temporary_cluster_is_removed_when_the_binary_ends() {
    for is_killed in [false, true] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tirage-devstack"));
        command
            .args(["postgres", "--temporary"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let devstack = Devstack::spawn(&mut command);
        devstack.admin().batch_execute("SELECT").unwrap();
        // The server's working directory is its data directory.
        let data = children(devstack.pid())
            .iter()
            .filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).ok())
            .find(|folder| folder.ends_with("data"))
            .unwrap();
        let folder = data.parent().unwrap().to_owned();
        if is_killed {
            devstack.kill_9();
        } else {
            assert!(devstack.stop().0.success());
        }
        eventually(
            Duration::from_secs(10),
            "server and folder are gone",
            || servers_on(&folder).is_empty() && !folder.exists(),
        );
    }
}

static SHARED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

/// Statics are never dropped, so only the guard can clean up. The test runs itself again as the process
/// that ends.
#[test]
fn a_temporary_cluster_in_a_static_is_removed_with_its_process() {
    const CHILD: &str = "TIRAGE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        connect(&SHARED.url());
        println!("<{}>", SHARED.data_folder().display());
        std::process::abort();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("temporary::a_temporary_cluster_in_a_static_is_removed_with_its_process")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (_, data) = output.split_once('<').unwrap();
    let data = PathBuf::from(data.split_once('>').unwrap().0);
    let folder = data.parent().unwrap();
    assert_eq!(data.file_name().unwrap(), "data");
    eventually(
        Duration::from_secs(10),
        "server and folder are gone",
        || servers_on(&data).is_empty() && !folder.exists(),
    );
}
