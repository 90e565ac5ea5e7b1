//! The user that Postgres runs as, and the place of data that it couldn't reach in the folder.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tirage_devstack::postgres::{Cluster, Error, Settings};

use crate::support::{Devstack, command_of, connect, folder, is_root, postmaster};

const NOBODY: u32 = 65534;

#[test]
fn started_by_root_it_runs_as_another_user() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let _devstack = Devstack::start(folder.path());
    let data = folder.path().join("data");
    let owner = fs::metadata(&data).unwrap().uid();
    assert_ne!(owner, 0);
    let process = fs::metadata(format!("/proc/{}", postmaster(&data))).unwrap();
    assert_eq!(process.uid(), owner);
    for (file, mode) in [
        ("data", 0o700),
        ("socket", 0o700),
        ("credentials.json", 0o600),
    ] {
        let metadata = fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{file}");
    }
    assert_eq!(
        fs::metadata(folder.path().join("credentials.json"))
            .unwrap()
            .uid(),
        0
    );
}

/// Starts the cluster as `sudo -u nobody` would, which only root can.
#[test]
fn started_by_an_ordinary_user_it_runs_as_that_user_and_root_can_continue() {
    if !is_root() {
        return;
    }
    let folder = folder();
    // Another user may be unable to enter the build's folder.
    let binary = folder.path().join("tirage-devstack");
    fs::copy(env!("CARGO_BIN_EXE_tirage-devstack"), &binary).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    let cluster = home.join("cluster");

    let as_nobody = || {
        let mut command = command_of(&binary, &cluster);
        command.uid(NOBODY).gid(NOBODY).env("HOME", &home);
        command
    };
    let first = Devstack::spawn(&mut as_nobody());
    first.admin().batch_execute("CREATE TABLE kept ()").unwrap();
    let data = cluster.join("data");
    for file in [data.clone(), format!("/proc/{}", postmaster(&data)).into()] {
        assert_eq!(
            fs::metadata(&file).unwrap().uid(),
            NOBODY,
            "{}",
            file.display()
        );
    }
    let urls = first.urls.clone();
    assert!(first.stop().0.success());

    let by_root = Devstack::start(&cluster);
    assert_eq!(by_root.urls, urls);
    by_root.admin().batch_execute("SELECT FROM kept").unwrap();
    by_root.stop();

    let again = Devstack::spawn(&mut as_nobody());
    assert_eq!(again.urls, urls);
    again.stop();
}

#[test]
fn data_of_another_user_are_refused() {
    if !is_root() {
        return;
    }
    let folder = folder();
    Devstack::start(folder.path()).stop();
    let data = folder.path().join("data");
    chown(&data, Some(0), Some(0)).unwrap();
    let error = Cluster::start(&Settings::new(folder.path())).unwrap_err();
    assert!(
        matches!(error, Error::ForeignData { owner: 0, .. }),
        "{error}"
    );
}

/// A folder that only root can enter, like a clone below `/root`. Data outside of it are removed on drop.
struct Private(TempDir);

impl Private {
    fn new() -> Self {
        let folder = folder();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn clone_named(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        for clone in fs::read_dir(self.0.path()).unwrap() {
            let location = clone.unwrap().path().join("location");
            if let Ok(home) = fs::read_to_string(location) {
                let _ = fs::remove_dir_all(home);
            }
        }
    }
}

fn home_of(clone: &Path) -> PathBuf {
    fs::read_to_string(clone.join("location")).unwrap().into()
}

#[test]
fn data_are_elsewhere_if_postgres_cannot_enter_the_folder() {
    if !is_root() {
        return;
    }
    let private = Private::new();
    let clone = private.clone_named("clone");
    let first = Devstack::start(&clone);
    let home = home_of(&clone);
    assert!(!home.starts_with(private.0.path()));
    assert_eq!(fs::metadata(&home).unwrap().uid(), 0);
    assert!(
        clone.join("credentials.json").exists(),
        "the passwords stay in the clone"
    );
    first.admin().batch_execute("CREATE TABLE kept ()").unwrap();
    let urls = first.urls.clone();
    let (_, _, log) = first.stop();
    assert!(log.contains(&home.display().to_string()), "{log}");

    let second = Devstack::start(&clone);
    assert_eq!(second.urls, urls);
    second.admin().batch_execute("SELECT FROM kept").unwrap();
}

#[test]
fn a_moved_clone_keeps_its_data_and_a_copied_one_starts_afresh() {
    if !is_root() {
        return;
    }
    let private = Private::new();
    let [old, moved, copied] = ["old", "moved", "copied"].map(|name| private.clone_named(name));
    let mut settings = Settings::new(&old);
    let cluster = Cluster::start(&settings).unwrap();
    connect(&cluster.admin_url())
        .batch_execute("CREATE TABLE kept ()")
        .unwrap();
    drop(cluster);

    fs::rename(&old, &moved).unwrap();
    settings.folder.clone_from(&moved);
    let original = Cluster::start(&settings).unwrap();
    let is_kept = |cluster: &Cluster| {
        connect(&cluster.admin_url())
            .batch_execute("SELECT FROM kept")
            .is_ok()
    };
    assert!(is_kept(&original));

    // While the original runs, because two servers on the same data would destroy them.
    fs::create_dir(&copied).unwrap();
    for file in ["location", "credentials.json", "port"] {
        fs::copy(moved.join(file), copied.join(file)).unwrap();
    }
    settings.folder.clone_from(&copied);
    let copy = Cluster::start(&settings).unwrap();
    assert!(!is_kept(&copy));
    assert!(is_kept(&original));
    assert_ne!(home_of(&copied), home_of(&moved));
}

#[test]
fn a_clone_that_was_removed_and_recreated_starts_afresh() {
    if !is_root() {
        return;
    }
    let private = Private::new();
    let clone = private.clone_named("clone");
    let settings = Settings::new(&clone);
    Cluster::start(&settings).unwrap().stop().unwrap();
    let home = home_of(&clone);
    fs::remove_dir_all(&clone).unwrap();
    let cluster = Cluster::start(&settings).unwrap();
    assert_eq!(home_of(&clone), home);
    connect(&cluster.url());
}
