//! Origin and version of Postgres' programs.

use std::path::Path;

use tirage_devstack::postgres::{Cluster, Error, Settings, Source};

use crate::support::{command, connect, folder};

#[test]
fn data_of_another_major_version_are_refused() {
    let folder = folder();
    let settings = Settings::new(folder.path());
    let cluster = Cluster::start(&settings).unwrap();
    let version = cluster.version().to_owned();
    let major = version.split('.').next().unwrap();
    drop(cluster);
    std::fs::write(folder.path().join("data/PG_VERSION"), "9\n").unwrap();

    let refused = command(folder.path()).output().unwrap();
    assert!(!refused.status.success());
    let log = String::from_utf8(refused.stderr).unwrap();
    for part in [
        "made by Postgres 9,",
        &format!("are Postgres {major}:"),
        "delete the cluster's folder",
    ] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }

    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    connect(&Cluster::start(&settings).unwrap().url());
}

#[test]
fn postgres_from_npm() {
    let folder = folder();
    let mut settings = Settings::new(folder.path());
    settings.source = Source::Npm;
    let cluster = Cluster::start(&settings).unwrap();
    let mut client = connect(&cluster.admin_url());
    let row = client.query_one("SHOW server_version", &[]).unwrap();
    assert_eq!(row.get::<_, &str>(0), cluster.version());
    assert!(
        cluster.version().starts_with("18."),
        "{}",
        cluster.version()
    );
    // Needs a library and a file of the package that the server finds relative to itself.
    client.batch_execute("CREATE EXTENSION pg_trgm").unwrap();
    client.batch_execute("CREATE TABLE kept ()").unwrap();
    drop(cluster);

    // A later start without a source finds the programs for these data.
    settings.source = Source::Automatic;
    let cluster = Cluster::start(&settings).unwrap();
    connect(&cluster.admin_url())
        .batch_execute("SELECT FROM kept")
        .unwrap();
}

#[test]
fn a_folder_without_postgres_is_refused() {
    let folder = folder();
    let mut settings = Settings::new(folder.path().join("cluster"));
    settings.source = Source::Folder(folder.path().to_owned());
    match Cluster::start(&settings).unwrap_err() {
        Error::BadBinaries { folder: named, .. } => assert_eq!(named, folder.path()),
        error => panic!("{error}"),
    }
}

#[test]
fn without_postgres_and_npm_one_line_explains_how_to_install_it() {
    let folder = folder();
    let output = command(&folder.path().join("cluster"))
        .args(["--source", "npm"])
        .env("PATH", Path::new("/nowhere"))
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("apt-get install postgresql"), "{log}");
    assert!(log.contains("npm does not run"), "{log}");
    let errors = log.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(errors.count(), 1, "{log}");
}
