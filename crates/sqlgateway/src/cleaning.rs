//! Cleans a session between two requests, so that the second sees nothing of the first.
//!
//! Functions and triggers can change a session in ways that the text of a statement doesn't show, so
//! every request is followed by the same complete cleaning. It travels with the end of the request's
//! transaction in one message, so it costs no round trip, and a transaction pooler can't switch to
//! another session in between.

use tirage_postgres::{Connection, Error, Event, TransactionStatus};

/// Appends the cleaning to `$before`.
///
/// It resets everything that a request may leave in its session except prepared statements: cursors,
/// role, settings, LISTEN, temporary tables, sequence values and advisory locks. That is DISCARD ALL
/// (<https://www.postgresql.org/docs/current/sql-discard.html>) without DISCARD PLANS and DEALLOCATE
/// ALL, which would empty the statement cache. DISCARD ALL also refuses to run together with other
/// statements.
///
/// The isolation level is explicit because a request may have made serializable, read only, deferrable
/// transactions the session's default, and these wait for other transactions.
macro_rules! cleaning {
    ($before:literal) => {
        concat!(
            $before,
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             CLOSE ALL; \
             SET SESSION AUTHORIZATION DEFAULT; \
             RESET ALL; \
             UNLISTEN *; \
             DISCARD TEMP; \
             DISCARD SEQUENCES; \
             SELECT pg_catalog.pg_advisory_unlock_all(); \
             COMMIT"
        )
    };
}

const CLEAN: &str = cleaning!("");

/// Ends the request's transaction first. COMMIT rolls back a transaction that has failed.
const COMMIT_AND_CLEAN: &str = cleaning!("COMMIT; ");

/// Queues the end of the request's transaction, and the cleaning.
///
/// # Errors
/// [`Error::Encode`].
pub(crate) fn queue_commit_and_clean(connection: &mut Connection) -> Result<(), Error> {
    connection.queue_simple(COMMIT_AND_CLEAN)
}

/// Waits for the commit that [`queue_commit_and_clean`] queued.
///
/// # Errors
/// Those of the commit, such as a violated deferred constraint.
pub(crate) async fn receive_commit(connection: &mut Connection) -> Result<(), Error> {
    match connection.next_event().await? {
        Event::Complete(_) => Ok(()),
        _ => Err(Error::Protocol("COMMIT has no result".to_owned())),
    }
}

/// Waits until the session is clean.
///
/// # Errors
/// Any error of a statement or of the connection; the session is not clean then.
pub(crate) async fn receive_cleaning(connection: &mut Connection) -> Result<(), Error> {
    loop {
        match connection.next_event().await? {
            Event::Ready(TransactionStatus::Idle) => return Ok(()),
            Event::Ready(_) => {
                return Err(Error::Protocol("a transaction is still open".to_owned()));
            }
            Event::Columns(_) | Event::Row(_) | Event::Complete(_) => {}
        }
    }
}

/// Waits for pending replies, rolls back an open transaction and cleans the session. With
/// `may_have_prepared` it also deallocates all prepared statements.
///
/// # Errors
/// As for [`receive_cleaning`].
pub(crate) async fn clean(
    connection: &mut Connection,
    may_have_prepared: bool,
) -> Result<(), Error> {
    if connection.ready().await? != TransactionStatus::Idle {
        connection.batch_execute("ROLLBACK").await?;
    }
    connection.queue_simple(CLEAN)?;
    receive_cleaning(connection).await?;
    if may_have_prepared {
        connection.clear_statement_cache();
        connection.batch_execute("DEALLOCATE ALL").await?;
    }
    Ok(())
}
