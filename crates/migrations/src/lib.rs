//! Brings the database up to date: the files of `migrations/`, each applied once, by exactly one of
//! however many routers start together.
//!
//! What it promises:
//! - A migration and the record that it was applied commit together. Whoever is killed in between
//!   leaves nothing behind.
//! - Only one applies at a time: each transaction first locks one row. A lock of the session would
//!   not survive a pooler.
//! - A database that isn't what this program expects is refused, not guessed at: a migration that was
//!   changed after it was applied, or one that this program doesn't have.
//!
//! Then it gives the components' roles their passwords ([`MigrateError::Privileged`] says which roles
//! it won't have). What it leaves out: going back. A change that turns out wrong is undone by the next
//! migration.

mod files;
mod roles;

use std::fmt;
use std::time::Duration;

use tirage_postgres::{Config, Connection, Error};

pub use files::Migration;

/// Attempts at what another process may be doing at the same moment.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// SQLSTATEs of a lost race: unique violation, duplicate table, duplicate object (a table's row type),
/// serialization failure, deadlock.
const LOST_RACE: [&str; 5] = ["23505", "42P07", "42710", "40001", "40P01"];

/// The record of what was applied, whose row 0 is the lock.
const RECORD: &str = "create table if not exists tirage_migration (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)";
const LOCK_ROW: &str = "insert into tirage_migration (number, name, checksum)
    values (0, 'lock', '') on conflict do nothing";
const LOCK: &str = "select from tirage_migration where number = 0 for update";
const APPLIED: &str =
    "select number, name, checksum from tirage_migration where number > 0 order by number";
const APPLY: &str = "insert into tirage_migration (number, name, checksum) values ($1, $2, $3)";

/// Why the database could not be brought up to date. What had been applied until then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database can't be reached, or refused a statement of ours.
    #[error("the database: {0}")]
    Database(#[from] Error),
    /// A migration failed; nothing of it was kept.
    #[error("migration {name}: {source}")]
    Failed {
        /// The migration.
        name: &'static str,
        /// What Postgres said.
        source: Error,
    },
    /// A file was changed after it had been applied.
    #[error("migration {name} was changed after it had been applied to this database")]
    Changed {
        /// The migration.
        name: String,
    },
    /// The database has a migration that this program doesn't have.
    #[error(
        "this database has migration {name}, which this program does not know: it is older than the database"
    )]
    Unknown {
        /// The migration.
        name: String,
    },
    /// A component's role could see past row-level security.
    #[error("the role {role} of a component is a superuser, or bypasses row-level security")]
    Privileged {
        /// The role.
        role: String,
    },
}

impl MigrateError {
    /// Whether the database just isn't there at the moment.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_unavailable())
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The migrations that this call applied, in their order.
    pub applied: Vec<&'static str>,
    /// The roles whose password this call set.
    pub roles: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.applied[..] {
            [] => write!(formatter, "the database is up to date")?,
            applied => write!(
                formatter,
                "applied {}: {}",
                applied.len(),
                applied.join(", ")
            )?,
        }
        match &self.roles[..] {
            [] => Ok(()),
            roles => write!(formatter, "; password set for {}", roles.join(", ")),
        }
    }
}

/// Applies what is missing, as `admin`, then makes sure that each of `roles` can log in.
///
/// # Errors
/// [`MigrateError`].
pub async fn migrate(admin: &Config, roles: &[Config]) -> Result<Report, MigrateError> {
    apply(admin, files::all(), roles).await
}

/// The same with migrations of the caller's choice; for tests.
#[doc(hidden)]
pub async fn apply(
    admin: &Config,
    migrations: Vec<Migration>,
    roles: &[Config],
) -> Result<Report, MigrateError> {
    let mut database = Connection::connect(admin).await?;
    begin_record(&mut database).await?;
    let mut report = Report::default();
    while let Some(name) = apply_next(&mut database, &migrations).await? {
        tracing::info!("applied migration {name}");
        report.applied.push(name);
    }
    for role in roles {
        if roles::ensure(&mut database, role).await? {
            report.roles.push(role.user().to_owned());
        }
    }
    Ok(report)
}

/// Makes the table that the lock is in. Two may do this at once, and one may lose.
async fn begin_record(database: &mut Connection) -> Result<(), MigrateError> {
    let mut attempt = 0;
    loop {
        let made = match database.execute(RECORD, &[]).await {
            Ok(_) => database.execute(LOCK_ROW, &[]).await,
            lost => lost,
        };
        match made {
            Ok(_) => return Ok(()),
            Err(error) if is_lost_race(&error) && attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_lost_race(error: &Error) -> bool {
    error
        .server()
        .is_some_and(|error| LOST_RACE.contains(&error.code.as_str()))
}

/// Applies the first migration that is missing, in a transaction of its own; its name, or nothing
/// when none is. An error ends the transaction with the connection that the caller drops.
async fn apply_next(
    database: &mut Connection,
    migrations: &[Migration],
) -> Result<Option<&'static str>, MigrateError> {
    database.batch_execute("begin").await?;
    database.execute(LOCK, &[]).await?;
    let applied = database.execute(APPLIED, &[]).await?;
    for (index, row) in applied.rows.iter().enumerate() {
        let name = || row.text(1).unwrap_or_default().to_owned();
        match migrations.get(index) {
            None => return Err(MigrateError::Unknown { name: name() }),
            Some(known) if row.text(2) != Some(known.checksum.as_str()) => {
                return Err(MigrateError::Changed { name: name() });
            }
            Some(_) => {}
        }
    }
    let Some(next) = migrations.get(applied.rows.len()) else {
        database.batch_execute("commit").await?;
        return Ok(None);
    };
    database
        .batch_execute(next.sql)
        .await
        .map_err(|source| MigrateError::Failed {
            name: next.name,
            source,
        })?;
    let number = next.number.to_string();
    database
        .execute(
            APPLY,
            &[Some(&number), Some(next.name), Some(&next.checksum)],
        )
        .await?;
    database.batch_execute("commit").await?;
    Ok(Some(next.name))
}
