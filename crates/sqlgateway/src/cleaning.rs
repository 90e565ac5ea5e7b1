//! Cleans a session after a request, so that the next one sees nothing of it.
//!
//! What may have to be cleaned can't be told from a request: functions and triggers do what they
//! like. So it is always everything, but it costs little: the statements have names, and they are
//! sent along with the end of the request, in the same round trip.

use tirage_postgres::{Connection, Error, Event, Routine, TransactionStatus};

/// Everything that a request may have left in its session, except plans, which are worth keeping.
/// It is DISCARD ALL without DISCARD PLANS
/// (<https://www.postgresql.org/docs/current/sql-discard.html>), one statement after the other, and
/// without DEALLOCATE ALL, which would forget our own statements.
static RESET: Routine = Routine {
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

static ROLLBACK: Routine = Routine {
    name: "rollback",
    statements: &["ROLLBACK"],
};

/// Whether DEALLOCATE ALL is needed. The answer takes as long as a small statement, so it is asked
/// only where a request has done more than read and write rows.
const HAS_STATEMENTS: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)";

/// Puts the cleaning in line, and its sync. What comes before it must be committed or rolled back by
/// then: triggers that are deferred to the commit may still leave something.
///
/// # Errors
/// [`Error::Encode`].
pub(crate) fn queue(connection: &mut Connection, may_have_prepared: bool) -> Result<(), Error> {
    connection.queue_routine(&RESET)?;
    if may_have_prepared {
        connection.queue_repeated(HAS_STATEMENTS, [])?;
    }
    connection.queue_sync();
    Ok(())
}

/// Waits for the end of the cleaning, which is the next and last thing in line, and sees to what it
/// found.
///
/// # Errors
/// Whatever kept it from being done: then the session is not clean.
pub(crate) async fn receive(connection: &mut Connection) -> Result<(), Error> {
    let mut has_statements = false;
    loop {
        match connection.next_event().await? {
            Event::Row(row) => has_statements = row.text(0) == Some("t"),
            Event::Ready(TransactionStatus::Idle) => break,
            Event::Ready(_) => {
                return Err(Error::Protocol("a transaction is still open".to_owned()));
            }
            Event::Columns(_) | Event::Complete(_) => {}
        }
    }
    if has_statements {
        connection.statements_are_gone();
        connection.batch_execute("DEALLOCATE ALL").await?;
    }
    Ok(())
}

/// Cleans a session, whatever state it is in.
///
/// # Errors
/// As for [`receive`].
pub(crate) async fn clean(
    connection: &mut Connection,
    may_have_prepared: bool,
) -> Result<(), Error> {
    if connection.ready().await? != TransactionStatus::Idle {
        connection.queue_routine(&ROLLBACK)?;
    }
    queue(connection, may_have_prepared)?;
    receive(connection).await
}
