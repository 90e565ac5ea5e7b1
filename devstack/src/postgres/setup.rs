//! Sets up the data directory of a new cluster.
//!
//! The set-up runs in a folder of its own, which one rename turns into `data`. After a kill the next
//! start finds either a complete cluster or none. The thousand new files aren't synced, which would take
//! longer than the rest: a loss of power before the system has written them (half a minute on Linux) may
//! cost the new, still empty cluster.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::account::Account;
use super::binaries::Binaries;
use super::credentials::Credentials;
use super::folder::Folder;
use crate::access_key::random_hex;
use crate::error::{Error, IoContext};
use crate::files;

/// Creates the data directory of `folder`, with roles and database, unless it exists.
pub(super) fn ensure(
    folder: &Folder,
    binaries: &Binaries,
    account: Account,
    credentials: &Credentials,
) -> Result<(), Error> {
    remove_interrupted(folder)?;
    if folder.data().exists() {
        return Ok(());
    }
    tracing::info!("creating a cluster with Postgres {}", binaries.version());
    // A new name each time: the initdb of a killed parent may still be writing.
    let new = folder
        .home()
        .join(format!("{PREFIX}{}", random_hex::<8>()?));
    files::create_folder(&new, 0o700)?;
    account.chown(&new)?;
    let data = new.join("data");
    initdb(binaries, account, credentials, &new, &data)?;
    roles_and_database(binaries, account, credentials, &data)?;
    files::move_folder(&data, &folder.data())?;
    files::remove_folder(&new)
}

const PREFIX: &str = "setup-";

fn remove_interrupted(folder: &Folder) -> Result<(), Error> {
    for entry in files::entries(folder.home())? {
        let name = entry.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            files::remove_folder(&entry)?;
        }
    }
    Ok(())
}

fn initdb(
    binaries: &Binaries,
    account: Account,
    credentials: &Credentials,
    folder: &Path,
    data: &Path,
) -> Result<(), Error> {
    // initdb accepts a password only from a file. The folder is private.
    let password = folder.join("password");
    files::write_private(&password, credentials.superuser.as_bytes())?;
    let mut initdb = account.command(&binaries.program("initdb"));
    initdb
        .args([
            "--encoding=UTF8",
            "--no-locale",
            "--data-checksums",
            "--no-sync",
        ])
        .args(["--auth=scram-sha-256", "--username=postgres"])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(data);
    run(initdb, "")
}

/// Runs Postgres in single-user mode, which reads one statement per line and needs neither password nor
/// port.
fn roles_and_database(
    binaries: &Binaries,
    account: Account,
    credentials: &Credentials,
    data: &Path,
) -> Result<(), Error> {
    let Credentials { owner, user, .. } = credentials;
    let mut postgres = account.command(&binaries.program("postgres"));
    postgres
        .args(["--single", "-c", "exit_on_error=on", "-c", "fsync=off"])
        .arg("-D")
        .arg(data)
        .arg("postgres");
    run(
        postgres,
        // REPLICATION allows reading a change feed without a superuser. The passwords are hexadecimal
        // and need no quoting.
        &format!(
            "CREATE ROLE tirage_owner LOGIN CREATEDB CREATEROLE REPLICATION PASSWORD '{owner}'\n\
             CREATE ROLE tirage LOGIN PASSWORD '{user}'\n\
             CREATE DATABASE tirage OWNER tirage_owner\n"
        ),
    )
}

fn run(mut command: Command, input: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut run = || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().with_action(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program,
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
