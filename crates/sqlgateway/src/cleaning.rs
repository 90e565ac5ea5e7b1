//! Cleans a session after a request, so that the next one sees nothing of it.
//!
//! What may have to be cleaned can't be told from a request: functions and triggers do what they
//! like. So it is always everything, but it costs little: the statements have names, and they are
//! sent along with the end of the request. Of what is rare and can be seen, the server is only asked
//! whether it is there, in a statement that is needed anyway.
//!
//! Where a session is certainly the same behind a sync, it is cleaned there, after the answer, and nobody
//! waits for it: the next request is sent behind the cleaning, and the server skips it if that fails. Where a
//! pooler may hand out another session by then, it is cleaned before the sync.

use tirage_postgres::{Connection, Error, Event, Routine, TransactionStatus};

/// A session of a pool, and how it is cleaned.
#[derive(Debug)]
pub(crate) struct PooledSession {
    pub(crate) connection: Connection,
    thoroughness: Thoroughness,
    reach: Reach,
}

/// What is between us and the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It was not asked yet.
    Unknown,
    /// Nothing: it is the same from the login to the end.
    Direct,
    /// A pooler, which may give us another session with every transaction.
    Pooled,
}

/// How a session is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thoroughness {
    /// With a look for what is rare.
    Usual,
    /// Everything that is rare is cleaned, whether it is there or not. For who may become another user
    /// without a trace that the look would see (superusers), and for a session in which something rare
    /// was found: a schema for temporary tables is there for good.
    Full,
}

/// What a request may have left in its session, except what [`FULL`] cleans and this one looks for:
/// another role, and a schema for temporary tables. If either is there, it returns a row.
///
/// Operators are named in full: another one of the same name may be in the path while this is parsed.
static USUAL: Routine = Routine {
    name: "clean",
    statements: &[
        "CLOSE ALL",
        "RESET ALL",
        "UNLISTEN *",
        "DISCARD SEQUENCES",
        // The function that unlocks is called first, and never returns NULL.
        "SELECT WHERE pg_catalog.pg_advisory_unlock_all() IS NULL \
         OR pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 \
         OR pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'",
    ],
};

/// Everything that a request may have left in its session, except plans, which are worth keeping.
/// It is DISCARD ALL without DISCARD PLANS
/// (<https://www.postgresql.org/docs/current/sql-discard.html>), one statement after the other, and
/// without DEALLOCATE ALL, which would forget our own statements.
static FULL: Routine = Routine {
    name: "reset",
    statements: &[
        "CLOSE ALL",
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET ALL",
        "UNLISTEN *",
        "DISCARD TEMP",
        "DISCARD SEQUENCES",
        // Returns no row, because nobody wants the void that is in it.
        "SELECT WHERE pg_catalog.pg_advisory_unlock_all() IS NULL",
    ],
};

/// As [`USUAL`], for before a request that is sent behind it. If what is looked for is there, it fails,
/// and the server skips what was sent behind it.
static USUAL_OR_FAIL: Routine = Routine {
    name: "clean_or_fail",
    statements: &[
        "CLOSE ALL",
        "RESET ALL",
        "UNLISTEN *",
        "DISCARD SEQUENCES",
        "SELECT WHERE pg_catalog.pg_advisory_unlock_all() IS NULL OR CAST(CASE \
         WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 \
         OR pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' \
         THEN 'tirage: the session needs a full cleaning' ELSE '0' END AS pg_catalog.int4) IS NULL",
    ],
};

pub(crate) static BEGIN: Routine = Routine {
    name: "begin",
    statements: &["BEGIN"],
};

/// Begins a transaction of a kind that waits for no others, whatever kind a request has left as the usual one
/// (serializable, read only and deferrable ones wait for a snapshot,
/// <https://www.postgresql.org/docs/current/sql-set-transaction.html>).
static BEGIN_CLEANING: Routine = Routine {
    name: "begin_cleaning",
    statements: &["BEGIN ISOLATION LEVEL READ COMMITTED"],
};

pub(crate) static COMMIT: Routine = Routine {
    name: "commit",
    statements: &["COMMIT"],
};

static ROLLBACK: Routine = Routine {
    name: "rollback",
    statements: &["ROLLBACK"],
};

/// Whether DEALLOCATE ALL is needed. The answer takes as long as a small statement, so it is asked
/// only where a request has done more than read and write rows.
const HAS_STATEMENTS: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)";

/// Which process serves the session: another than the login said where a pooler is between.
const PROCESS_ID: &str = "SELECT pg_catalog.pg_backend_pid()";

impl PooledSession {
    /// A fresh connection's session. In a box, because it changes hands with every request.
    pub(crate) fn new(connection: Connection) -> Box<Self> {
        Box::new(Self {
            thoroughness: if connection.is_superuser() {
                Thoroughness::Full
            } else {
                Thoroughness::Usual
            },
            reach: Reach::Unknown,
            connection,
        })
    }

    /// Whether the session is certainly the same behind a sync.
    pub(crate) fn is_direct(&self) -> bool {
        self.reach == Reach::Direct
    }

    /// Puts the cleaning in line behind a sync, for [nobody to wait for](Connection::queue_trailing). For a
    /// [direct](Self::is_direct) session.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub(crate) fn queue_cleaning_behind(&mut self) -> Result<(), Error> {
        // A transaction needs no sync to end.
        let cleaning = self.cleaning_between();
        self.connection
            .queue_trailing(&[&BEGIN_CLEANING, cleaning, &COMMIT])
    }

    /// Waits for the end of a cleaning that nobody waited for, if there is one, and asks for a sign of life.
    ///
    /// # Errors
    /// As for [`receive_cleaning`](Self::receive_cleaning).
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        match self.connection.rest().await {
            Err(Error::Skipped(_)) => self.clean(false).await,
            rested => rested,
        }
    }

    /// Puts the cleaning in line, and its sync. What comes before it must be committed or rolled back
    /// by then: triggers that are deferred to the commit may still leave something.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub(crate) fn queue_cleaning(&mut self, may_have_prepared: bool) -> Result<(), Error> {
        self.connection.queue_routine(match self.thoroughness() {
            Thoroughness::Usual => &USUAL,
            Thoroughness::Full => &FULL,
        })?;
        if may_have_prepared {
            self.connection.queue_repeated(HAS_STATEMENTS, [])?;
        }
        if self.reach == Reach::Unknown {
            self.connection.queue_statement(PROCESS_ID, [])?;
        }
        self.connection.queue_sync();
        Ok(())
    }

    /// Puts in line what cleans the session between two requests. It fails where that isn't enough.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub(crate) fn queue_cleaning_between(&mut self) -> Result<(), Error> {
        let cleaning = self.cleaning_between();
        self.connection.queue_routine(cleaning)
    }

    /// Waits for the end of the cleaning, which is the next and last thing in line, and sees to what it
    /// found.
    ///
    /// # Errors
    /// Whatever kept it from being done: then the session is not clean.
    pub(crate) async fn receive_cleaning(&mut self) -> Result<(), Error> {
        let found = self.receive_findings().await?;
        if let Some(process_id) = found.process_id {
            self.reach = match process_id == self.connection.process_id() {
                true => Reach::Direct,
                false => Reach::Pooled,
            };
        }
        if found.something_rare {
            self.thoroughness = Thoroughness::Full;
            self.connection.queue_routine(&FULL)?;
            self.connection.queue_sync();
            self.receive_findings().await?;
        }
        if found.statements {
            self.connection.statements_are_gone();
            self.connection.batch_execute("DEALLOCATE ALL").await?;
        }
        Ok(())
    }

    /// Cleans the session, whatever state it is in.
    ///
    /// # Errors
    /// As for [`receive_cleaning`](Self::receive_cleaning).
    pub(crate) async fn clean(&mut self, may_have_prepared: bool) -> Result<(), Error> {
        if self.connection.ready().await? != TransactionStatus::Idle {
            self.connection.queue_routine(&ROLLBACK)?;
        }
        self.queue_cleaning(may_have_prepared)?;
        self.receive_cleaning().await
    }

    /// What cleans the session before a request that is sent behind it.
    fn cleaning_between(&self) -> &'static Routine {
        match self.thoroughness() {
            Thoroughness::Usual => &USUAL_OR_FAIL,
            Thoroughness::Full => &FULL,
        }
    }

    /// What a look finds would be cleaned in a round trip of its own, and so perhaps elsewhere.
    fn thoroughness(&self) -> Thoroughness {
        match self.reach {
            Reach::Direct => self.thoroughness,
            Reach::Unknown | Reach::Pooled => Thoroughness::Full,
        }
    }

    async fn receive_findings(&mut self) -> Result<Findings, Error> {
        let mut found = Findings::default();
        loop {
            match self.connection.next_event().await? {
                Event::Row(row) => match row.text(0) {
                    None => found.something_rare = true,
                    Some("t") => found.statements = true,
                    Some("f") => {}
                    Some(number) => found.process_id = number.parse().ok(),
                },
                Event::Ready(TransactionStatus::Idle) => return Ok(found),
                Event::Ready(_) => {
                    return Err(Error::Protocol("a transaction is still open".to_owned()));
                }
                Event::Columns(_) | Event::Complete(_) => {}
            }
        }
    }
}

/// What a cleaning says of a session.
#[derive(Debug, Default)]
struct Findings {
    /// What [`USUAL`] looks for is there.
    something_rare: bool,
    /// Somebody's prepared statements are there.
    statements: bool,
    /// Who serves the session, if that was asked.
    process_id: Option<i32>,
}
