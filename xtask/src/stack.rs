//! The services that functions need, on this machine: a database, an object store, a queue with its
//! trigger, and a schedule.
//!
//! The settings `DATABASE_URL`, `S3_ENDPOINT` and `QUEUE_ENDPOINT` name services that run elsewhere,
//! which aren't started then. The others keep their data in `.tirage/`, which one run at a time can use.

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
use service::{Database, ObjectStore, PendingService, Queue, Service};

/// The first start creates a cluster, and downloads Postgres if it isn't installed.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(180);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of the sweep. Deployments that pay for waking up run it every few minutes.
const SWEEP_SECONDS: &str = "10";
const LOCK: &str = "lock";
const JOB_SECRET: &str = "job-secret";

/// The folder `.tirage/`, locked against other runs. Create it before the supervisor, so that the lock
/// is released after the services have stopped.
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
    /// Creates the folder if it is missing, and locks it.
    ///
    /// # Errors
    /// When another run holds the lock.
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

    /// Returns the secret that authenticates jobs, which the first run creates.
    fn job_secret(&self) -> Result<String> {
        let path = self.path.join(JOB_SECRET);
        if let Ok(secret) = fs::read_to_string(&path)
            && !secret.is_empty()
        {
            return Ok(secret);
        }
        let secret = random_secret()?;
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
    /// When a file can't be removed.
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
    /// Starts the services that no setting names.
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
        let mut start = |part: &'static str, setting: &str| match settings.value(setting) {
            Some(value) => Ok(PendingService::External(value)),
            None => {
                let mut command = Command::new(binaries.devstack());
                command
                    .arg(part)
                    .arg("--data")
                    .arg(data.path.join(part))
                    .current_dir(repository.root());
                supervisor
                    .start(part, &mut command)
                    .map(PendingService::Starting)
            }
        };
        // All are started before the first is waited for, so that they start in parallel.
        let database = start("postgres", "DATABASE_URL")?;
        let objects = start("s3", "S3_ENDPOINT")?;
        let queue = start("queue", "QUEUE_ENDPOINT")?;
        Ok(Self {
            database: database.ready(supervisor, DATABASE_TIMEOUT)?,
            objects: objects.ready(supervisor, TIMEOUT)?,
            queue: queue.ready(supervisor, TIMEOUT)?,
            job_secret: match settings.value("JOB_SECRET") {
                Some(secret) => secret,
                None => data.job_secret()?,
            },
        })
    }

    /// Sets the environment of `command`, which reads the other settings itself.
    pub(crate) fn configure(&self, command: &mut Command) {
        for (name, value) in self.environment() {
            command.env(name, value);
        }
    }

    /// Returns the settings of the started services, and the secret of jobs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut environment = vec![("JOB_SECRET", self.job_secret.as_str())];
        environment.extend(self.database.environment());
        environment.extend(self.objects.environment());
        environment.extend(self.queue.environment());
        environment
    }

    /// Starts the queue's trigger and the schedule of the sweep, which call the application.
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
            // The devstack doesn't read `.env`.
            for name in service::QUEUE_SETTINGS {
                if let Some(value) = settings.value(name) {
                    command.env(name, value);
                }
            }
            self.configure(&mut command);
            let child = supervisor.start(part, &mut command)?;
            supervisor.first_line(child, TIMEOUT)?;
        }
        Ok(())
    }

    /// Returns the name of the database.
    ///
    /// # Errors
    /// When `DATABASE_URL` has no database name.
    pub(crate) fn database_name(&self) -> Result<&str> {
        let url = match &self.database {
            Service::Started(started) => &started.url,
            Service::External(url) => url,
        };
        database_name(url).context("DATABASE_URL has no database name")
    }
}

/// Returns the path of a connection URI
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>).
fn database_name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    (!path.is_empty()).then_some(path)
}

/// Returns 256 random bits in hexadecimal.
pub(crate) fn random_secret() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_database_name_is_the_path() {
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
    fn random_secrets_differ_and_fit_into_a_url() {
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn data_are_locked_and_cleared_except_the_lock() {
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
        // A process that another test is starting inherits the lock until it executes its program.
        let deadline = Instant::now() + Duration::from_secs(20);
        while DataFolder::open(&repository).is_err() {
            assert!(Instant::now() < deadline, "the lock was never released");
        }
    }
}
