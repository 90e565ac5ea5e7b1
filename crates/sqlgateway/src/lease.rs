//! A connection that one request has taken from the pool.
//!
//! Dropping a lease returns a clean connection to the pool. Otherwise a tokio task cancels the
//! statement that is still running, cleans the session, returns the connection and releases the
//! permit. The request never waits for that, and the next one never sees an uncleaned session.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tirage_postgres::Connection;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::cleaning;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::types::Types;

/// Time limit for cleaning a session and for cancelling its statement, after which the connection is
/// closed instead.
const CLEANING: Duration = Duration::from_secs(2);

/// A connection that one request has taken from the pool.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    /// `Some` until the lease is dropped.
    loan: Option<(Box<Connection>, OwnedSemaphorePermit)>,
    state: State,
}

/// State of a lease's request and session.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The request may have committed something.
    has_effect: bool,
    /// The server executes nothing for the request any more.
    is_finished: bool,
    is_clean: bool,
    may_have_prepared: bool,
}

impl Lease {
    pub(crate) fn new(
        pool: Arc<Pool>,
        connection: Box<Connection>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            pool,
            loan: Some((connection, permit)),
            state: State::default(),
        }
    }

    /// Notes that the request may have prepared statements of its own.
    pub(crate) fn may_have_prepared(&mut self) {
        self.state.may_have_prepared = true;
    }

    /// Notes that the server executes nothing for the request any more, so there is nothing to cancel.
    pub(crate) fn finish(&mut self) {
        self.state.is_finished = true;
    }

    /// Notes that the request may have committed something, so it must not be repeated.
    pub(crate) fn has_effect(&mut self) {
        self.state.has_effect = true;
    }

    /// `true` if the request can be repeated without being done twice.
    pub(crate) fn may_repeat(&self) -> bool {
        !self.state.has_effect
    }

    /// Queues the end of the request's transaction, and the cleaning of the session.
    ///
    /// # Errors
    /// [`Failure::Statement`].
    pub(crate) fn queue_commit_and_clean(&mut self) -> Result<(), Failure> {
        cleaning::queue_commit_and_clean(self).map_err(Failure::Statement)
    }

    /// Waits for the commit and the cleaning. If the cleaning fails, the session is cleaned again when
    /// the lease is dropped.
    ///
    /// # Errors
    /// [`Failure::Statement`] with the error of the commit.
    pub(crate) async fn receive_commit_and_cleaning(&mut self) -> Result<(), Failure> {
        cleaning::receive_commit(self)
            .await
            .map_err(Failure::Statement)?;
        self.has_effect();
        self.finish();
        match cleaning::receive_cleaning(self).await {
            Ok(()) => self.state.is_clean = !self.state.may_have_prepared,
            Err(error) => tracing::debug!(%error, "the session has to be cleaned again"),
        }
        Ok(())
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
        // Without a runtime nothing can be cleaned. The server cleans up when the socket closes.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.state.is_clean && !connection.is_busy() {
            self.pool.put_back(connection);
        } else {
            runtime.spawn(recycle(self.pool.clone(), connection, self.state, permit));
        }
    }
}

async fn recycle(
    pool: Arc<Pool>,
    mut connection: Box<Connection>,
    state: State,
    permit: OwnedSemaphorePermit,
) {
    if !state.is_finished && (connection.is_busy() || connection.is_broken()) {
        // Waits until the server has handled the request, so that a late one can't cancel the next
        // statement.
        if let Err(error) = connection.cancel_token().cancel(CLEANING).await {
            tracing::debug!(%error, "could not cancel an abandoned statement");
            return;
        }
    }
    let clean = cleaning::clean(&mut connection, state.may_have_prepared);
    match timeout(CLEANING, clean).await {
        Ok(Ok(())) => pool.put_back(connection),
        Ok(Err(error)) => tracing::debug!(%error, "connection closed: cleaning failed"),
        Err(_elapsed) => tracing::debug!("connection closed: cleaning took too long"),
    }
    drop(permit);
}

impl Deref for Lease {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only Drop takes the connection")]
    fn deref(&self) -> &Connection {
        &self.loan.as_ref().expect("the lease is not dropped").0
    }
}

impl DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "only Drop takes the connection")]
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.loan.as_mut().expect("the lease is not dropped").0
    }
}
