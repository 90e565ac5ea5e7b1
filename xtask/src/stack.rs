//! The services that functions need, on this machine: a database, an object store, a queue with its
//! trigger, and a schedule.
//!
//! A setting replaces a service: with `DATABASE_URL`, `S3_ENDPOINT` or `QUEUE_ENDPOINT` that one isn't
//! started. What is started keeps its data in `.tirage/`, which one run at a time may use.

mod service;

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::native::Binaries;
use crate::process::Supervisor;
use crate::progress;
use crate::repository::Repository;
use crate::settings::Settings;
use service::{Begun, Database, ObjectStore, Queue, Service};

/// The first start makes a cluster, and may fetch Postgres before that.
const DATABASE_PATIENCE: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the sweep runs. Where it costs something to be awake, every few minutes is enough.
const SWEEP_SECONDS: &str = "10";
const LOCK: &str = "lock";
const JOB_SECRET: &str = "job-secret";

/// `.tirage/`, locked: while this lives, no other run uses it. Make it before the supervisor, so
/// that it is let go after the services have stopped.
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The services of one run.
pub(crate) struct Stack {
    database: Service<Database>,
    objects: Service<ObjectStore>,
    queue: Service<Queue>,
    job_secret: String,
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

    /// The secret that proves that jobs are ours, made at the first run.
    fn job_secret(&self) -> Result<String> {
        let path = self.path.join(JOB_SECRET);
        if let Ok(secret) = fs::read_to_string(&path)
            && !secret.is_empty()
        {
            return Ok(secret);
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(secret.as_bytes())?;
        Ok(secret)
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
        let settings = Settings::read(repository)?;
        let mut begin = |part: &'static str, setting: &str| match settings.value(setting) {
            Some(value) => Ok(Begun::Named(value)),
            None => {
                let mut command = Command::new(binaries.devstack());
                command
                    .arg(part)
                    .arg("--data")
                    .arg(data.path.join(part))
                    .current_dir(repository.root());
                supervisor.start(part, &mut command).map(Begun::Starting)
            }
        };
        // All at once, then each in its turn: the slowest decides.
        let database = begin("postgres", "DATABASE_URL")?;
        let objects = begin("s3", "S3_ENDPOINT")?;
        let queue = begin("queue", "QUEUE_ENDPOINT")?;
        Ok(Self {
            database: database.ready(supervisor, DATABASE_PATIENCE)?,
            objects: objects.ready(supervisor, PATIENCE)?,
            queue: queue.ready(supervisor, PATIENCE)?,
            job_secret: match settings.value("JOB_SECRET") {
                Some(secret) => secret,
                None => data.job_secret()?,
            },
        })
    }

    /// Tells `command` where the services are. What the settings say it knows already.
    pub(crate) fn configure(&self, command: &mut Command) {
        for (name, value) in self.environment() {
            command.env(name, value);
        }
    }

    /// The settings of the services that were started, and the secret of jobs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut environment = vec![("JOB_SECRET", self.job_secret.as_str())];
        environment.extend(self.database.environment());
        environment.extend(self.objects.environment());
        environment.extend(self.queue.environment());
        environment
    }

    /// Starts what calls the application: the queue's trigger, and the schedule of the sweep.
    ///
    /// # Errors
    /// When one doesn't start, and [`crate::signals::Interrupted`].
    pub(crate) fn start_callers(
        &self,
        repository: &Repository,
        binaries: &Binaries,
        application: &str,
        supervisor: &mut Supervisor,
    ) -> Result<()> {
        let settings = Settings::read(repository)?;
        for (part, path, more) in [
            ("trigger", "/jobs/photo", [].as_slice()),
            ("cron", "/jobs/sweep", &["--every", SWEEP_SECONDS]),
        ] {
            let mut command = Command::new(binaries.devstack());
            command
                .arg(part)
                .arg("--target")
                .arg(format!("{}{path}", application.trim_end_matches('/')))
                .args(more)
                .current_dir(repository.root());
            // `.env` is the router's to read, not the devstack's.
            for name in service::QUEUE_SETTINGS {
                if let Some(value) = settings.value(name) {
                    command.env(name, value);
                }
            }
            self.configure(&mut command);
            let child = supervisor.start(part, &mut command)?;
            supervisor.first_line(child, PATIENCE)?;
        }
        Ok(())
    }

    /// The name of the database.
    ///
    /// # Errors
    /// When `DATABASE_URL` names none.
    pub(crate) fn database_name(&self) -> Result<&str> {
        let url = match &self.database {
            Service::Started(started) => &started.url,
            Service::Named(url) => url,
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
        let secret = data.job_secret().unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(data.job_secret().unwrap(), secret);
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
