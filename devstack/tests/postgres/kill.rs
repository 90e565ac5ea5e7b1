//! The next start finds all committed data after a kill of any process at any time.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::support::{Devstack, command, connect, eventually, folder, postmaster, servers_on};

const TIMEOUT: Duration = Duration::from_secs(10);

fn write(devstack: &Devstack) {
    devstack
        .admin()
        .batch_execute(
            "CREATE TABLE kept (id int);
             INSERT INTO kept SELECT generate_series(1, 1000)",
        )
        .unwrap();
}

fn assert_kept(devstack: &Devstack) {
    let row = devstack.admin().query_one("SELECT count(*) FROM kept", &[]);
    assert_eq!(row.unwrap().get::<_, i64>(0), 1000);
}

#[test]
fn killing_the_devstack_stops_the_server_too() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let data = folder.path().join("data");
    devstack.kill_9();
    eventually(TIMEOUT, "the guard stops the server", || {
        servers_on(&data).is_empty()
    });
    assert_kept(&Devstack::start(folder.path()));
}

#[test]
fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let folder = folder();
    let first = Devstack::start(folder.path());
    write(&first);
    let urls = first.urls.clone();
    first.kill_9();
    let second = Devstack::start(folder.path());
    assert_eq!(second.urls, urls);
    assert_kept(&second);
}

#[test]
fn a_killed_postmaster_is_replaced_at_the_same_address() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let data = folder.path().join("data");
    let killed = postmaster(&data);
    kill(killed, Signal::SIGKILL).unwrap();
    eventually(TIMEOUT, "another postmaster answers", || {
        postgres::Client::connect(&devstack.urls.admin_url, postgres::NoTls).is_ok()
    });
    assert_ne!(postmaster(&data), killed);
    assert_kept(&devstack);
    let (status, _, log) = devstack.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("restarting it"), "{log}");
    assert_eq!(servers_on(&data), []);
}

#[test]
fn a_server_without_devstack_and_guard_is_stopped_by_the_next_start() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let data = folder.path().join("data");
    let orphan = postmaster(&data);
    for guard in crate::support::children(devstack.pid()) {
        if guard != orphan {
            kill(guard, Signal::SIGKILL).unwrap();
        }
    }
    devstack.kill_9();
    std::thread::sleep(Duration::from_millis(300));
    assert!(servers_on(&data).contains(&orphan), "it still runs");

    let next = Devstack::start(folder.path());
    assert_ne!(postmaster(&data), orphan);
    assert!(!servers_on(&data).contains(&orphan));
    assert_kept(&next);
}

#[test]
fn a_busy_backend_that_outlived_everything_is_stopped_by_the_next_start() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let data = folder.path().join("data");
    let mut client = connect(&devstack.urls.admin_url);
    let backend: i32 = client
        .query_one("SELECT pg_backend_pid()", &[])
        .unwrap()
        .get(0);
    let busy = std::thread::spawn(move || client.batch_execute("DO 'BEGIN LOOP END LOOP; END'"));
    let mut watcher = connect(&devstack.urls.admin_url);
    let is_busy =
        "SELECT state = 'active' AND query LIKE 'DO%' FROM pg_stat_activity WHERE pid = $1";
    eventually(TIMEOUT, "the backend is busy", || {
        watcher.query_one(is_busy, &[&backend]).unwrap().get(0)
    });
    drop(watcher);
    devstack.kill_9_with_everything(&data);
    eventually(TIMEOUT, "only the busy backend is left", || {
        servers_on(&data) == [nix::unistd::Pid::from_raw(backend)]
    });

    assert_kept(&Devstack::start(folder.path()));
    assert!(busy.join().unwrap().is_err());
}

#[test]
fn a_stale_process_id_of_an_unrelated_process_is_ignored() {
    let folder = folder();
    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let data = folder.path().join("data");
    let file = data.join("postmaster.pid");
    devstack.kill_9_with_everything(&data);
    eventually(TIMEOUT, "all processes have ended", || {
        servers_on(&data).is_empty()
    });

    let mut unrelated = Command::new("sleep").arg("60").spawn().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&file, format!("{}\n{rest}", unrelated.id())).unwrap();

    assert_kept(&Devstack::start(folder.path()));
    assert!(unrelated.try_wait().unwrap().is_none(), "it still runs");
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
}

#[test]
fn a_first_start_can_be_killed_at_any_moment() {
    // All starts use one folder, so that each finds the leftovers of the last kill. A first start takes
    // about a second, several on a busy machine.
    let folder = folder();
    let mut interrupted = 0;
    let delays = std::iter::successors(Some(20.0), |delay| Some(delay * 1.25));
    for delay in delays.map(|delay| Duration::from_secs_f64(delay / 1000.0)) {
        let mut child = command(folder.path()).spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.path().join("port").exists() {
            break;
        }
        interrupted += 1;
    }
    println!("{interrupted} starts were interrupted");
    assert!(interrupted >= 3);

    let devstack = Devstack::start(folder.path());
    write(&devstack);
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("setup-") || name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    connect(&devstack.urls.url);
    let urls = devstack.urls.clone();
    assert!(devstack.stop().0.success());
    let again = Devstack::start(folder.path());
    assert_eq!(again.urls, urls);
    assert_kept(&again);
}
