//! Making the data directory of a new cluster.
//!
//! All of it happens in a folder with a name of its own, which becomes `data` by one rename at the
//! end. Whatever is killed, the next start finds either a complete cluster or none.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::account::Account;
use super::binaries::Binaries;
use super::credentials::Credentials;
use super::error::{Doing, Error};
use super::files;
use super::folder::Folder;
use super::syncing::Syncing;
use crate::hexadecimal::random_hex;

/// Makes the data directory of `folder`, with the roles and the database, unless it is there.
pub(super) fn ensure(
    folder: &Folder,
    binaries: &Binaries,
    account: Account,
    credentials: &Credentials,
    durable: bool,
) -> Result<(), Error> {
    remove_interrupted(folder)?;
    if folder.data().exists() {
        return Ok(());
    }
    tracing::info!("making a new cluster with Postgres {}", binaries.version());
    // Never a name that was used before: an initdb whose parent was killed may still be writing.
    let random = random_hex::<8>().doing(|| "get random bytes".to_owned())?;
    let new = folder.home().join(format!("{PREFIX}{random}"));
    files::create_folder(&new, 0o700)?;
    account.give(&new)?;
    let data = new.join("data");
    initdb(binaries, account, credentials, &new, &data)?;
    roles_and_database(binaries, account, credentials, &data)?;
    if durable {
        Syncing::owed_by(folder)?;
    }
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
    // initdb takes the password from a file only; the folder around it is closed to others.
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

/// Postgres in single-user mode reads one statement a line, and needs no password and no port.
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
        // REPLICATION, so that a change feed can be read without a superuser. The passwords are
        // hexadecimal: there is nothing in them to quote.
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
    let output = run().doing(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program,
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
