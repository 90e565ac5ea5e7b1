//! The services that functions need, on this machine: for now a database.
//!
//! A setting replaces a service: with `DATABASE_URL` nothing is started. What is started keeps its
//! data in `.tirage/`, which one run at a time may use.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::native::Binaries;
use crate::process::Supervisor;
use crate::progress;
use crate::repository::Repository;
use crate::settings::Settings;

/// The first start makes a cluster, and may fetch Postgres before that.
const DATABASE_PATIENCE: Duration = Duration::from_secs(180);
const LOCK: &str = "lock";

/// `.tirage/`, locked: while this lives, no other run uses it. Make it before the supervisor, so
/// that it is let go after the services have stopped.
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The services of one run.
pub(crate) struct Stack {
    database: Database,
}

enum Database {
    /// Ours.
    Started(Started),
    /// The one that the settings name; only its `DATABASE_URL` matters here.
    Named(String),
}

/// What the devstack prints when Postgres is ready.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Started {
    url: String,
    admin_url: String,
}

impl DataFolder {
    /// Locks the folder; makes it if it isn't there.
    ///
    /// # Errors
    /// When another run holds it.
    pub(crate) fn open(repository: &Repository) -> Result<Self> {
        let path = repository.data_dir();
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another `cargo xtask up` or `services` of this clone is running")
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock .tirage"),
        }
    }

    /// Removes all data.
    ///
    /// # Errors
    /// When something can't be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        progress::status("Clearing", self.path.display());
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name() == LOCK {
                continue;
            }
            let removed = if entry.file_type()?.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

impl Stack {
    /// Starts the services that the settings don't replace.
    ///
    /// # Errors
    /// When a service doesn't start, and [`crate::signals::Interrupted`].
    pub(crate) fn start(
        repository: &Repository,
        binaries: &Binaries,
        data: &DataFolder,
        supervisor: &mut Supervisor,
    ) -> Result<Self> {
        if let Some(url) = Settings::read(repository)?.value("DATABASE_URL") {
            return Ok(Self {
                database: Database::Named(url),
            });
        }
        let mut command = Command::new(binaries.devstack());
        command
            .arg("postgres")
            .arg("--data")
            .arg(data.path.join("postgres"))
            .current_dir(repository.root());
        let postgres = supervisor.start("postgres", &mut command)?;
        let ready = supervisor.first_line(postgres, DATABASE_PATIENCE)?;
        let started =
            serde_json::from_str(&ready).context("the devstack's line isn't as agreed")?;
        Ok(Self {
            database: Database::Started(started),
        })
    }

    /// Tells `command` where the services are. What the settings say it knows already.
    pub(crate) fn configure(&self, command: &mut Command) {
        if let Database::Started(database) = &self.database {
            command
                .env("DATABASE_URL", &database.url)
                .env("DATABASE_ADMIN_URL", &database.admin_url);
        }
    }

    /// The name of the database.
    ///
    /// # Errors
    /// When `DATABASE_URL` names none.
    pub(crate) fn database_name(&self) -> Result<&str> {
        let url = match &self.database {
            Database::Started(started) => &started.url,
            Database::Named(url) => url,
        };
        database_name(url).context("DATABASE_URL names no database")
    }
}

/// The path of a connection URI:
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
fn database_name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_devstacks_line_is_understood() {
        let line =
            r#"{"admin_url":"postgres://a:1@127.0.0.1:5/t","url":"postgres://b:2@127.0.0.1:5/t"}"#;
        let database: Started = serde_json::from_str(line).unwrap();
        assert_eq!(database.url, "postgres://b:2@127.0.0.1:5/t");
        assert_eq!(database.admin_url, "postgres://a:1@127.0.0.1:5/t");
    }

    #[test]
    fn the_databases_name_is_the_path() {
        for (url, expected) in [
            ("postgres://u:p@127.0.0.1:5432/tirage", Some("tirage")),
            (
                "postgresql://u@h/tirage?sslmode=require&x=/y",
                Some("tirage"),
            ),
            ("postgres://u@h/", None),
            ("postgres://u@h", None),
        ] {
            assert_eq!(database_name(url), expected, "{url}");
        }
    }

    #[test]
    fn data_are_used_by_one_run_at_a_time_and_cleared_but_for_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let repository = Repository::at(root.path());
        let data = DataFolder::open(&repository).unwrap();
        let error = DataFolder::open(&repository).err().unwrap();
        assert!(error.to_string().contains("is running"), "{error}");

        fs::create_dir_all(repository.data_dir().join("postgres/base")).unwrap();
        fs::write(repository.data_dir().join("note"), "").unwrap();
        data.clear().unwrap();
        let left: Vec<_> = fs::read_dir(repository.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [LOCK]);

        drop(data);
        // A process that another test is just starting has the lock too, until it runs its program.
        let deadline = Instant::now() + Duration::from_secs(20);
        while DataFolder::open(&repository).is_err() {
            assert!(Instant::now() < deadline, "the lock was never let go");
        }
    }
}
