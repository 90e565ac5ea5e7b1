//! Connections to one database as one role, shared by its requests.
//!
//! A semaphore bounds how many there are; whoever gets a permit takes the connection that was used
//! last, or makes one. When a [`Lease`] ends whose request has sent its own cleaning along, the
//! connection goes back at once: the server cleans it meanwhile, and who takes it next reads first
//! that this is done. Otherwise a task cleans the connection and puts it back, and only then frees
//! the permit; a lease that ends in the middle of a statement has it cancelled first. Either way the
//! caller doesn't wait for the cleaning, and the next one never sees an uncleaned connection.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tirage_postgres::{Config, Connection, Error, Event, ServerError, TransactionStatus};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::failure::Failure;
use crate::patience::patiently;
use crate::settings::Settings;
use crate::types::Types;

/// Everything that a request may have left in its session, except plans, which are worth keeping.
/// It is DISCARD ALL without DISCARD PLANS
/// (<https://www.postgresql.org/docs/current/sql-discard.html>), one statement after the other, and
/// without DEALLOCATE ALL, which would forget our own statements.
const RESET: [&str; 7] = [
    "CLOSE ALL",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "SELECT pg_catalog.pg_advisory_unlock_all()",
];

/// Whether DEALLOCATE ALL is needed. The answer takes as long as a small statement, so it is asked
/// only where a request has done more than read and write rows.
const HAS_STATEMENTS: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)";

/// How long cleaning may take before the connection is thrown away instead.
const CLEANING: Duration = Duration::from_secs(2);

/// How long the server takes for it as a rule, by a wide margin.
const CLEANING_TAKES: Duration = Duration::from_micros(300);

/// A connection that was idle for longer than this is asked for a sign of life before it is used,
/// because what is between it and Postgres may have forgotten it without a word.
const QUIET: Duration = Duration::from_secs(30);

/// Connections to one database as one role.
#[derive(Debug)]
pub(crate) struct Pool {
    config: Config,
    settings: Settings,
    permits: Arc<Semaphore>,
    /// The one used last is at the end.
    idle: Mutex<Vec<Idle>>,
    has_sweeper: AtomicBool,
    /// How often a name of ours turned out to be unknown or taken.
    names_lost: AtomicUsize,
    /// The database's types, as far as they were met.
    pub(crate) types: Types,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    /// Its cleaning was sent along, and its end has not been read yet.
    is_cleaning: bool,
}

impl Idle {
    /// Whether it needs no waiting for, as far as can be told without asking.
    fn is_at_rest(&self) -> bool {
        !self.is_cleaning || self.since.elapsed() > CLEANING_TAKES
    }
}

impl Pool {
    pub(crate) fn new(config: Config, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.max_connections.max(1))),
            config,
            settings,
            idle: Mutex::default(),
            has_sweeper: AtomicBool::new(false),
            names_lost: AtomicUsize::new(0),
            types: Types::default(),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether anybody uses it, or has lately.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || !self.idle().is_empty()
    }

    /// A clean connection, for as long as the lease lives.
    ///
    /// # Errors
    /// [`Failure::Full`] when none became free until `deadline`; [`Failure::Connect`] when none
    /// could be made.
    pub(crate) async fn lease(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Failure> {
        let permit = timeout_at(deadline, self.permits.clone().acquire_owned()).await;
        // The semaphore is never closed, so there is one reason to be without a permit.
        let Ok(Ok(permit)) = permit else {
            return Err(Failure::Full(self.settings.wait));
        };
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.connect(deadline).await?,
        };
        Ok(Lease {
            pool: self.clone(),
            loan: Some((connection, permit)),
            has_begun: false,
            left: Left::default(),
        })
    }

    /// Puts a fresh connection into the pool, if there is room for it.
    pub(crate) fn adopt(self: &Arc<Self>, connection: Connection) {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            self.put_back(self.prepare(connection), false);
            drop(permit);
        }
    }

    fn prepare(&self, mut connection: Connection) -> Connection {
        connection.limit_messages(self.longest_message());
        connection.keep_statements(self.statements_kept());
        connection
    }

    /// Learns that a statement could not be run by its name. Once in a while that is to be expected;
    /// where it happens again and again, something between us and the server mixes up sessions.
    pub(crate) fn statement_was_outdated(&self, error: &ServerError) {
        if error.code == INVALID_STATEMENT_NAME || error.code == DUPLICATE_PREPARED_STATEMENT {
            let before = self.names_lost.fetch_add(1, Ordering::Relaxed);
            if before + 1 == NAMES_LOST {
                tracing::info!(
                    "the server forgets parsed statements (is there a pooler?), so none are kept"
                );
            }
        }
    }

    /// How many statements a session keeps parsed.
    fn statements_kept(&self) -> usize {
        match self.names_lost.load(Ordering::Relaxed) {
            NAMES_LOST.. => 0,
            _ => self.settings.statements,
        }
    }

    /// An idle connection, clean and alive. Rather than wait for one that is being cleaned it makes
    /// another, while there is room: the next request finds more of them at rest.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let at_rest = self.pop_at_rest();
            if at_rest.is_none()
                && self.has_room()
                // Where the server has no more for us, what we have must do.
                && let Ok(Ok(another)) = timeout(CLEANING, Connection::connect(&self.config)).await
            {
                return Some(self.prepare(another));
            }
            let idle = at_rest.or_else(|| self.pop_oldest())?;
            if let Some(connection) = self.revive(idle).await {
                return Some(connection);
            }
        }
    }

    /// The one that was used last: the others may then be idle for long enough to be closed.
    fn pop_at_rest(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let last = idle.iter().rposition(Idle::is_at_rest)?;
        Some(idle.remove(last))
    }

    /// The one whose cleaning began first.
    fn pop_oldest(&self) -> Option<Idle> {
        let mut idle = self.idle();
        (!idle.is_empty()).then(|| idle.remove(0))
    }

    /// Whether one more connection may be made although some are idle, for somebody with a permit.
    fn has_room(&self) -> bool {
        let idle = self.idle().len();
        idle > 0 && idle <= self.permits.available_permits()
    }

    /// The connection, if it is clean and the server still there.
    async fn revive(&self, idle: Idle) -> Option<Connection> {
        let Idle {
            mut connection,
            since,
            is_cleaning,
        } = idle;
        if is_cleaning && !self.is_clean(&mut connection, finish_cleaning).await {
            return None;
        }
        if connection.has_been_closed() {
            return None;
        }
        if since.elapsed() < QUIET {
            return Some(connection);
        }
        match timeout(CLEANING, connection.ping()).await {
            Ok(Ok(())) => Some(connection),
            _ => None,
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Failure> {
        patiently(deadline, self.settings.wait, || {
            Connection::connect(&self.config)
        })
        .await
        .map(|connection| self.prepare(connection))
    }

    /// A row takes at most a few bytes for each value more than its JSON does; one that is over
    /// twice the limit need not be read to know that the answer is too large.
    fn longest_message(&self) -> usize {
        self.settings
            .max_response_bytes
            .saturating_mul(2)
            .saturating_add(64 * 1024)
    }

    /// Lets `cleaning` come to its end; whether it did.
    async fn is_clean(
        &self,
        connection: &mut Connection,
        cleaning: impl AsyncFnOnce(&mut Connection) -> Result<(), Error>,
    ) -> bool {
        let cleaned = timeout(CLEANING, async {
            match cleaning(connection).await {
                // The request has deallocated everything.
                Err(Error::Outdated(_)) => {
                    connection.statements_are_gone();
                    clean(connection, true).await
                }
                cleaned => cleaned,
            }
        });
        match cleaned.await {
            Ok(Ok(())) => {
                connection.keep_statements(self.statements_kept());
                return true;
            }
            Ok(Err(error)) => tracing::debug!(%error, "connection discarded"),
            Err(_elapsed) => tracing::debug!("connection discarded: cleaning took too long"),
        }
        false
    }

    fn put_back(self: &Arc<Self>, connection: Connection, is_cleaning: bool) {
        self.idle().push(Idle {
            connection,
            since: Instant::now(),
            is_cleaning,
        });
        if !self.has_sweeper.swap(true, Ordering::Relaxed) {
            let pool = Arc::downgrade(self);
            let interval = (self.settings.idle / 2).max(Duration::from_millis(10));
            tokio::spawn(async move {
                loop {
                    sleep(interval).await;
                    let Some(pool) = pool.upgrade() else { return };
                    pool.idle()
                        .retain(|idle| idle.since.elapsed() < pool.settings.idle);
                }
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // A list of connections is right after every single change.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const INVALID_STATEMENT_NAME: &str = "26000";
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

/// How many of our names may get lost until no more are given.
const NAMES_LOST: usize = 5;

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    /// There until the lease is dropped.
    loan: Option<(Connection, OwnedSemaphorePermit)>,
    has_begun: bool,
    left: Left,
}

impl Lease {
    /// Says that the request may have made prepared statements of its own.
    pub(crate) fn may_have_prepared(&mut self) {
        self.left.may_have_prepared = true;
    }

    /// Puts the cleaning in line behind a request that certainly leaves no transaction open: the
    /// server goes over to it without being asked again. After a sync, and nothing else may follow.
    ///
    /// # Errors
    /// [`Failure::Statement`].
    pub(crate) fn queue_cleaning(&mut self) -> Result<(), Failure> {
        let may_have_prepared = self.left.may_have_prepared;
        queue_reset(self, may_have_prepared).map_err(Failure::Statement)?;
        self.left.is_cleaning = true;
        Ok(())
    }

    /// Says that the server has nothing left to do for this request, so there is nothing to cancel.
    pub(crate) fn finish(&mut self) {
        self.left.finished = true;
    }

    /// Says that the request has had an effect, so it must not be made again.
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Whether the request may have had an effect.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(crate) fn types(&self) -> &Types {
        &self.pool.types
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.loan.take() else {
            return;
        };
        // Outside a runtime nothing can be cleaned; the server cleans up after a closed socket.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.left.finished && self.left.is_cleaning && !connection.is_broken() {
            self.pool.put_back(connection, true);
        } else {
            runtime.spawn(recycle(self.pool.clone(), connection, self.left, permit));
        }
    }
}

/// How a request leaves its session.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// The server has nothing left to do for it.
    finished: bool,
    /// The cleaning is in line already.
    is_cleaning: bool,
    /// There may be prepared statements of its own.
    may_have_prepared: bool,
}

async fn recycle(
    pool: Arc<Pool>,
    mut connection: Connection,
    left: Left,
    permit: OwnedSemaphorePermit,
) {
    if !left.finished && (connection.is_busy() || connection.is_broken()) {
        // Once the server has acted on this, a late signal cannot hit the next statement.
        if let Err(error) = connection.cancel_token().cancel(CLEANING).await {
            tracing::debug!(%error, "could not cancel an abandoned statement");
            return;
        }
    }
    // A cleaning that was sent along may have been what was cancelled: it is done again.
    let cleaning =
        async |connection: &mut Connection| clean(connection, left.may_have_prepared).await;
    if pool.is_clean(&mut connection, cleaning).await {
        pool.put_back(connection, false);
    }
    drop(permit);
}

async fn clean(connection: &mut Connection, may_have_prepared: bool) -> Result<(), Error> {
    if connection.ready().await? != TransactionStatus::Idle {
        connection.batch_execute("ROLLBACK").await?;
    }
    queue_reset(connection, may_have_prepared)?;
    finish_cleaning(connection).await
}

/// Puts [`RESET`] in line, and its sync.
fn queue_reset(connection: &mut Connection, may_have_prepared: bool) -> Result<(), Error> {
    for statement in RESET {
        connection.queue_repeated(statement, [])?;
    }
    if may_have_prepared {
        connection.queue_repeated(HAS_STATEMENTS, [])?;
    }
    connection.queue_sync();
    Ok(())
}

/// Waits for the end of [`RESET`], which is the last thing in line, and sees to what it found.
async fn finish_cleaning(connection: &mut Connection) -> Result<(), Error> {
    if connection.only_last_sync().await? != TransactionStatus::Idle {
        return Err(Error::Protocol("a transaction is still open".to_owned()));
    }
    let mut has_statements = false;
    loop {
        match connection.next_event().await? {
            Event::Row(row) => has_statements = row.text(0) == Some("t"),
            Event::Ready(_) => break,
            Event::Columns(_) | Event::Complete(_) => {}
        }
    }
    if has_statements {
        connection.statements_are_gone();
        connection.batch_execute("DEALLOCATE ALL").await?;
    }
    Ok(())
}

impl Deref for Lease {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "only dropping takes the connection away"
    )]
    fn deref(&self) -> &Connection {
        &self.loan.as_ref().expect("there until dropped").0
    }
}

impl DerefMut for Lease {
    #[expect(
        clippy::expect_used,
        reason = "only dropping takes the connection away"
    )]
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.loan.as_mut().expect("there until dropped").0
    }
}
