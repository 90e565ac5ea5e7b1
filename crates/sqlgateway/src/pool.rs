//! Connections to one database as one role, shared by its requests.
//!
//! A semaphore bounds how many there are; whoever gets a permit takes the connection that was used
//! last, or makes one. A [`Lease`] sees to it that whoever is next finds nothing of its request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tirage_postgres::{Config, Connection, ServerError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::cleaning::PooledSession;
use crate::failure::Failure;
use crate::idle::Idle;
use crate::lanes::Lanes;
use crate::lease::Lease;
use crate::patience::patiently;
use crate::settings::Settings;
use crate::types::Types;

/// Connections to one database as one role.
#[derive(Debug)]
pub(crate) struct Pool {
    config: Config,
    pub(crate) settings: Settings,
    permits: Arc<Semaphore>,
    pub(crate) idle: Idle,
    /// How often a name of ours turned out to be unknown or taken.
    names_lost: AtomicUsize,
    /// The database's types, as far as they were met.
    pub(crate) types: Types,
    pub(crate) lanes: Lanes,
}

impl Pool {
    pub(crate) fn new(config: Config, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.max_connections.max(1))),
            lanes: Lanes::new(&settings),
            config,
            settings,
            idle: Idle::default(),
            names_lost: AtomicUsize::new(0),
            types: Types::default(),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether anybody uses it, or has lately.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || !self.idle.is_empty()
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
        let session = match self.idle.take().await {
            Some(session) => session,
            // In a box, because few requests need the room that it takes.
            None => Box::pin(self.connect(deadline)).await?,
        };
        Ok(Lease::new(self.clone(), session, permit))
    }

    /// Puts a fresh connection into the pool, if there is room for it.
    pub(crate) fn adopt(self: &Arc<Self>, connection: Connection) {
        if let Some(permit) = self.try_permit() {
            self.put_back(self.prepare(connection));
            drop(permit);
        }
    }

    /// Takes a session back, which must be clean or about to be.
    pub(crate) fn put_back(self: &Arc<Self>, mut session: Box<PooledSession>) {
        session.connection.keep_statements(self.statements_kept());
        self.idle.put(self, session);
    }

    /// The right to use a connection, if there is one at the moment.
    pub(crate) fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    fn prepare(&self, mut connection: Connection) -> Box<PooledSession> {
        connection.limit_messages(self.longest_message());
        connection.keep_statements(self.statements_kept());
        PooledSession::new(connection)
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

    async fn connect(&self, deadline: Instant) -> Result<Box<PooledSession>, Failure> {
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
}

const INVALID_STATEMENT_NAME: &str = "26000";
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

/// How many of our names may get lost until no more are given.
const NAMES_LOST: usize = 5;
