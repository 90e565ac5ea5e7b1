//! Brings a database up to date: the migrations of an application, each applied once, by exactly one of
//! the processes that start together.
//!
//! It guarantees:
//! - A migration and the record that it was applied commit together. A process that is killed in between
//!   leaves nothing behind.
//! - Only one process applies migrations at a time: each transaction first locks a row. A session's lock
//!   would not survive a connection pooler.
//! - An unexpected database is refused: one that has a migration whose statements were changed after it
//!   was applied, or a migration that the folder lacks.
//!
//! Then it sets the passwords of the components' roles. It refuses a role that row-level security doesn't
//! bind ([`MigrateError::Privileged`]). It can't go back: a wrong change is undone by the next migration.

mod folder;
mod roles;

use std::fmt;
use std::time::Duration;

use tirage_postgres::{Config, Connection, Error};

pub use folder::{FolderError, Migration, read};

use folder::CHECKSUM_PREFIX;

/// Upper bound on attempts to create the record, which another process may be creating.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// SQLSTATEs after which another process has created the record: unique violation, duplicate table, duplicate object (a table's row type),
/// serialization failure, deadlock.
const LOST_RACE: [&str; 5] = ["23505", "42P07", "42710", "40001", "40P01"];

/// The record of applied migrations. Row 0 is the lock.
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
const SET_CHECKSUM: &str = "update tirage_migration set checksum = $2 where number = $1";

/// A failure to bring the database up to date. Migrations that were applied before it stay applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database can't be reached, or refused a statement of this crate.
    #[error("the database: {0}")]
    Database(#[from] Error),
    /// A migration failed; nothing of it was kept.
    #[error("migration {name}: {source}")]
    Failed {
        /// The migration.
        name: String,
        /// Error of Postgres.
        source: Error,
    },
    /// The statements of a migration were changed after it had been applied.
    #[error(
        "migration {name} was changed after it had been applied to this database: restore the file and \
         write the change as a new migration"
    )]
    Changed {
        /// The migration.
        name: String,
    },
    /// The database has a migration that the folder lacks.
    #[error(
        "this database has migration {name}, which the folder of migrations lacks: the application is older \
         than the database"
    )]
    Unknown {
        /// The migration.
        name: String,
    },
    /// Row-level security doesn't bind a component's role.
    #[error("the role {role} of a component must be neither a superuser nor BYPASSRLS")]
    Privileged {
        /// The role.
        role: String,
    },
}

impl MigrateError {
    /// `true` if the database can't be reached at the moment.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_unavailable())
    }
}

/// Effects of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Names of the migrations that it applied, in their order.
    pub applied: Vec<String>,
    /// Roles whose password it set.
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

/// Applies the `migrations` that the database lacks, as `admin`, then makes sure that each of `roles` can
/// log in. Without migrations the record is not compared with them.
///
/// # Errors
/// [`MigrateError`].
pub async fn migrate(
    admin: &Config,
    migrations: &[Migration],
    roles: &[Config],
) -> Result<Report, MigrateError> {
    let mut database = Connection::connect(admin).await?;
    create_record(&mut database).await?;
    let mut report = Report::default();
    if !migrations.is_empty() {
        while let Some(name) = apply_next(&mut database, migrations).await? {
            tracing::info!("applied migration {name}");
            report.applied.push(name);
        }
    }
    for role in roles {
        if roles::ensure(&mut database, role).await? {
            report.roles.push(role.user().to_owned());
        }
    }
    Ok(report)
}

/// Creates the table with the lock. Of two processes that do so at the same time, one may fail and try again.
async fn create_record(database: &mut Connection) -> Result<(), MigrateError> {
    let mut attempt = 0;
    loop {
        let created = match database.execute(RECORD, &[]).await {
            Ok(_) => database.execute(LOCK_ROW, &[]).await,
            failed => failed,
        };
        match created {
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

/// Applies the first missing migration in a transaction of its own. Returns its name, or `None` if the
/// database lacks no migration. After an error the caller drops the connection, which ends the transaction.
async fn apply_next(
    database: &mut Connection,
    migrations: &[Migration],
) -> Result<Option<String>, MigrateError> {
    database.batch_execute("begin").await?;
    database.execute(LOCK, &[]).await?;
    let applied = database.execute(APPLIED, &[]).await?;
    for (index, row) in applied.rows.iter().enumerate() {
        let name = row.text(1).unwrap_or_default();
        let checksum = row.text(2).unwrap_or_default();
        let Some(known) = migrations.get(index) else {
            let name = name.to_owned();
            return Err(MigrateError::Unknown { name });
        };
        if checksum == known.checksum {
            continue;
        }
        // Checksums without the prefix included comments. They can't be compared, so the name decides.
        if checksum.starts_with(CHECKSUM_PREFIX) || name != known.name {
            let name = name.to_owned();
            return Err(MigrateError::Changed { name });
        }
        let number = known.number.to_string();
        database
            .execute(SET_CHECKSUM, &[Some(&number), Some(&known.checksum)])
            .await?;
    }
    let Some(next) = migrations.get(applied.rows.len()) else {
        database.batch_execute("commit").await?;
        return Ok(None);
    };
    database
        .batch_execute(&next.sql)
        .await
        .map_err(|source| MigrateError::Failed {
            name: next.name.clone(),
            source,
        })?;
    let number = next.number.to_string();
    database
        .execute(
            APPLY,
            &[Some(&number), Some(&next.name), Some(&next.checksum)],
        )
        .await?;
    database.batch_execute("commit").await?;
    Ok(Some(next.name.clone()))
}
