//! A pool of connections to one database as one role.
//!
//! A semaphore limits the number of connections. A request with a permit takes the connection that was
//! used most recently, or opens one. Connections that are idle for too long are closed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tirage_postgres::{Config, Connection, ServerError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::connect::connect_with_retries;
use crate::failure::Failure;
use crate::lease::Lease;
use crate::settings::Settings;
use crate::types::Types;

/// Idle time after which a connection is tested before it is used, because a firewall on the way may
/// have dropped it silently.
const TEST_AFTER: Duration = Duration::from_secs(30);

/// Time limit for that test.
const TEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of prepared statements that may be missing or duplicate until the pool stops caching: a
/// transaction pooler in front of Postgres mixes up sessions then.
const MAX_LOST_STATEMENTS: usize = 5;

const INVALID_STATEMENT_NAME: &str = "26000";
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

/// A pool of connections to one database as one role.
#[derive(Debug)]
pub(crate) struct Pool {
    config: Config,
    pub(crate) settings: Settings,
    permits: Arc<Semaphore>,
    idle: Mutex<Idle>,
    lost_statements: AtomicUsize,
    pub(crate) types: Types,
}

#[derive(Debug, Default)]
struct Idle {
    /// The most recently used connection is the last.
    connections: Vec<(Box<Connection>, Instant)>,
    has_sweeper: bool,
}

impl Pool {
    pub(crate) fn new(config: Config, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.max_connections.max(1))),
            config,
            settings,
            idle: Mutex::default(),
            lost_statements: AtomicUsize::new(0),
            types: Types::default(),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// `true` if a request uses the pool or an idle connection is left.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || !self.idle().connections.is_empty()
    }

    /// Takes a connection whose session is clean.
    ///
    /// # Errors
    /// [`Failure::Full`] if no permit is free until `deadline`; [`Failure::Connect`] if connecting
    /// fails.
    pub(crate) async fn lease(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Failure> {
        let permit = timeout_at(deadline, self.permits.clone().acquire_owned()).await;
        // The semaphore is never closed, so the only error is the timeout.
        let Ok(Ok(permit)) = permit else {
            return Err(Failure::Full(self.settings.wait));
        };
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => {
                let connect = || Connection::connect(&self.config);
                let connecting = connect_with_retries(deadline, self.settings.wait, connect);
                // Boxed, because its future is large and few requests need it.
                self.prepare(Box::pin(connecting).await?)
            }
        };
        Ok(Lease::new(self.clone(), connection, permit))
    }

    /// Adds a new connection to the pool if a permit is free.
    pub(crate) fn adopt(self: &Arc<Self>, connection: Connection) {
        if let Ok(_permit) = self.permits.try_acquire() {
            self.put_back(self.prepare(connection));
        }
    }

    /// Returns a connection whose session is clean.
    pub(crate) fn put_back(self: &Arc<Self>, mut connection: Box<Connection>) {
        connection.set_statement_cache(self.cached_statements());
        let mut idle = self.idle();
        idle.connections.push((connection, Instant::now()));
        if !idle.has_sweeper {
            idle.has_sweeper = true;
            tokio::spawn(close_idle(Arc::downgrade(self), self.settings.idle));
        }
    }

    /// Counts a prepared statement that was missing or duplicate.
    pub(crate) fn statement_was_outdated(&self, error: &ServerError) {
        if error.code == INVALID_STATEMENT_NAME || error.code == DUPLICATE_PREPARED_STATEMENT {
            let before = self.lost_statements.fetch_add(1, Ordering::Relaxed);
            if before + 1 == MAX_LOST_STATEMENTS {
                tracing::info!(
                    "prepared statements get lost, as behind a transaction pooler; they are no longer used"
                );
            }
        }
    }

    /// Takes the most recently used idle connection that is still open.
    async fn take_idle(&self) -> Option<Box<Connection>> {
        loop {
            let (mut connection, since) = self.idle().connections.pop()?;
            if connection.is_closed() {
                continue;
            }
            if since.elapsed() < TEST_AFTER {
                return Some(connection);
            }
            let test = timeout(TEST_TIMEOUT, connection.batch_execute(""));
            if matches!(Box::pin(test).await, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    fn prepare(&self, mut connection: Connection) -> Box<Connection> {
        connection.limit_messages(self.max_message());
        connection.set_statement_cache(self.cached_statements());
        Box::new(connection)
    }

    fn cached_statements(&self) -> usize {
        match self.lost_statements.load(Ordering::Relaxed) {
            MAX_LOST_STATEMENTS.. => 0,
            _ => self.settings.statements,
        }
    }

    /// Maximum length of a message in bytes. A row takes at most a few bytes per value more than its
    /// JSON, so a message of more than twice the response limit always exceeds that limit.
    fn max_message(&self) -> usize {
        self.settings
            .max_response_bytes
            .saturating_mul(2)
            .saturating_add(64 * 1024)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // Every single change leaves it valid.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that are idle for longer than `limit`, until the pool is dropped.
async fn close_idle(pool: Weak<Pool>, limit: Duration) {
    loop {
        sleep((limit / 2).max(Duration::from_millis(10))).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle()
            .connections
            .retain(|(_, since)| since.elapsed() < limit);
    }
}
