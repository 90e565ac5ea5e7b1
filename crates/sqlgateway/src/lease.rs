//! A connection on loan from the pool, for one request.
//!
//! A lease whose request has had its session cleaned, or the cleaning sent behind it, gives the
//! connection back at once. Otherwise a task cleans the connection and gives it back, and only then
//! frees the permit; a lease that ends in the middle of a statement has it cancelled first. Either way
//! whoever drops it doesn't wait, and the next request never sees an uncleaned connection.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tirage_postgres::{Connection, Error};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::cleaning::PooledSession;
use crate::execute;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::types::Types;

/// How long cleaning may take before the connection is thrown away instead.
pub(crate) const CLEANING: Duration = Duration::from_secs(2);

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    /// There until the lease ends.
    loan: Option<(Box<PooledSession>, OwnedSemaphorePermit)>,
    has_begun: bool,
    left: Left,
}

/// Where the sync is that ends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// The session is cleaned behind it, and nobody waits for that.
    BeforeCleaning,
    /// The session is cleaned before it: behind it, it might be another one.
    AfterCleaning,
}

/// How a request leaves its session.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// The server has nothing left to do for it.
    finished: bool,
    /// The server has cleaned it, or is about to.
    is_clean: bool,
    /// There may be prepared statements of its own.
    may_have_prepared: bool,
}

impl Lease {
    pub(crate) fn new(
        pool: Arc<Pool>,
        session: Box<PooledSession>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            pool,
            loan: Some((session, permit)),
            has_begun: false,
            left: Left::default(),
        }
    }

    /// Says that the request may have made prepared statements of its own.
    pub(crate) fn may_have_prepared(&mut self) {
        self.left.may_have_prepared = true;
    }

    /// Where the sync of a request belongs that certainly leaves no transaction open.
    pub(crate) fn sync(&self) -> Sync {
        match self.session().is_direct() && !self.left.may_have_prepared {
            true => Sync::BeforeCleaning,
            false => Sync::AfterCleaning,
        }
    }

    /// Puts the sync of a request in line, and the cleaning.
    ///
    /// # Errors
    /// [`Failure::Statement`].
    pub(crate) fn queue_end(&mut self, sync: Sync) -> Result<(), Failure> {
        let may_have_prepared = self.left.may_have_prepared;
        let session = self.session_mut();
        match sync {
            Sync::BeforeCleaning => {
                session.connection.queue_sync();
                session.queue_cleaning_behind()
            }
            Sync::AfterCleaning => session.queue_cleaning(may_have_prepared),
        }
        .map_err(Failure::Statement)
    }

    /// Puts in line what cleans the session for the next request in line.
    ///
    /// # Errors
    /// [`Failure::Statement`].
    pub(crate) fn queue_cleaning_between(&mut self) -> Result<(), Failure> {
        self.session_mut()
            .queue_cleaning_between()
            .map_err(Failure::Statement)
    }

    /// Throws the connection away, with what is in line on it.
    pub(crate) fn discard(mut self) {
        self.loan = None;
    }

    /// Waits for the sync that was queued so. If it fails, the connection is cleaned once more when the
    /// lease ends, or thrown away.
    ///
    /// # Errors
    /// [`Failure::Statement`]: of the commit, where the sync is what commits the request, or of a cleaning.
    pub(crate) async fn receive_end(&mut self, sync: Sync) -> Result<(), Failure> {
        match sync {
            Sync::BeforeCleaning => {
                execute::ready(self).await?;
                self.finish();
            }
            Sync::AfterCleaning => {
                self.finish();
                let cleaned = self.session_mut().receive_cleaning().await;
                cleaned.map_err(Failure::Statement)?;
            }
        }
        self.left.is_clean = true;
        Ok(())
    }

    /// Waits for it behind a commit that was answered: the request's answer is no other if it fails.
    pub(crate) async fn receive_end_of_committed(&mut self, sync: Sync) {
        if let Err(error) = self.receive_end(sync).await {
            tracing::debug!(%error, "the session has to be cleaned once more");
        }
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

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn types(&self) -> &Types {
        &self.pool.types
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((session, permit)) = self.loan.take() else {
            return;
        };
        // Outside a runtime nothing can be cleaned; the server cleans up after a closed socket.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.left.is_clean {
            self.pool.put_back(session);
        } else {
            runtime.spawn(recycle(self.pool.clone(), session, self.left, permit));
        }
    }
}

async fn recycle(
    pool: Arc<Pool>,
    mut session: Box<PooledSession>,
    left: Left,
    permit: OwnedSemaphorePermit,
) {
    let connection = &session.connection;
    if !left.finished && (connection.is_busy() || connection.is_broken()) {
        // Once the server has acted on this, a late signal cannot hit the next statement.
        if let Err(error) = connection.cancel_token().cancel(CLEANING).await {
            tracing::debug!(%error, "could not cancel an abandoned statement");
            return;
        }
    }
    let cleaned = timeout(CLEANING, async {
        // A cleaning that was sent along may have been what was cancelled: it is done again.
        match session.clean(left.may_have_prepared).await {
            // The request has deallocated everything.
            Err(Error::Outdated(_)) => {
                session.connection.statements_are_gone();
                session.clean(true).await
            }
            cleaned => cleaned,
        }
    });
    match cleaned.await {
        Ok(Ok(())) => pool.put_back(session),
        Ok(Err(error)) => tracing::debug!(%error, "connection discarded"),
        Err(_elapsed) => tracing::debug!("connection discarded: cleaning took too long"),
    }
    drop(permit);
}

impl Lease {
    #[expect(
        clippy::expect_used,
        reason = "only what ends the lease takes the session away"
    )]
    fn session_mut(&mut self) -> &mut PooledSession {
        &mut self.loan.as_mut().expect("there until the lease ends").0
    }

    #[expect(
        clippy::expect_used,
        reason = "only what ends the lease takes the session away"
    )]
    fn session(&self) -> &PooledSession {
        &self.loan.as_ref().expect("there until the lease ends").0
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.session().connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.session_mut().connection
    }
}
