//! A connection on loan from the pool, for one request.
//!
//! A lease whose request has had its session cleaned gives the connection back at once. Otherwise a
//! task cleans the connection and gives it back, and only then frees the permit; a lease that ends in
//! the middle of a statement has it cancelled first. Either way whoever drops it doesn't wait, and the
//! next request never sees an uncleaned connection.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tirage_postgres::{Connection, Error};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::cleaning::PooledSession;
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

/// How a request leaves its session.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// The server has nothing left to do for it.
    finished: bool,
    /// The server has cleaned it.
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

    /// Puts the cleaning in line behind a request that certainly leaves no transaction open, and the
    /// sync that ends both.
    ///
    /// # Errors
    /// [`Failure::Statement`].
    pub(crate) fn queue_cleaning(&mut self) -> Result<(), Failure> {
        let may_have_prepared = self.left.may_have_prepared;
        self.session_mut()
            .queue_cleaning(may_have_prepared)
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

    /// Waits for the end of the cleaning that was queued. It isn't the request's fault if that fails,
    /// and its answer is no other for it: then the connection is cleaned once more, or thrown away.
    pub(crate) async fn receive_cleaning(&mut self) {
        self.finish();
        match self.session_mut().receive_cleaning().await {
            Ok(()) => self.left.is_clean = true,
            Err(error) => tracing::debug!(%error, "the session has to be cleaned once more"),
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
}

impl Deref for Lease {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "only what ends the lease takes the session away"
    )]
    fn deref(&self) -> &Connection {
        &self
            .loan
            .as_ref()
            .expect("there until the lease ends")
            .0
            .connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.session_mut().connection
    }
}
