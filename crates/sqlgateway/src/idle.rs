//! The sessions of a pool that nobody uses at the moment.
//!
//! Whoever takes one may send a request: it is clean, or the server cleans it before it looks at what is sent
//! then. Nobody waits for such a cleaning unless no request follows soon. Sessions that are unused for
//! too long are closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tirage_postgres::Standing;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use crate::cleaning::PooledSession;
use crate::lease::CLEANING;
use crate::pool::Pool;

/// A session that was unused for longer than this is asked for a sign of life before it is used,
/// because what is between it and Postgres may have forgotten it without a word.
const QUIET: Duration = Duration::from_secs(30);

/// How long the server may take to give one, or to clean a session that needs more than the usual.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// After this time without a request, somebody waits for the end of a cleaning. Until then the server
/// takes the session for active.
const SOON: Duration = Duration::from_millis(50);

/// Sessions that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Idle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The one used last is at the end.
    sessions: Vec<Unused>,
    has_sweeper: bool,
    has_settler: bool,
}

#[derive(Debug)]
struct Unused {
    session: Box<PooledSession>,
    since: Instant,
}

impl Idle {
    pub(crate) fn is_empty(&self) -> bool {
        self.state().sessions.is_empty()
    }

    /// One that is alive.
    pub(crate) async fn take(&self) -> Option<Box<PooledSession>> {
        loop {
            // The one that was used last: the others may then be unused for long enough to be closed.
            let Unused { mut session, since } = self.state().sessions.pop()?;
            let standing = session.connection.look();
            match standing {
                Standing::Closed => continue,
                Standing::Fine if since.elapsed() < QUIET => return Some(session),
                Standing::Fine | Standing::TrailingFailed => {}
            }
            let recovered = timeout(SIGN_OF_LIFE, async {
                match standing {
                    Standing::TrailingFailed => session.clean(false).await,
                    Standing::Fine | Standing::Closed => session.settle().await,
                }
            });
            // In a box, because few requests need the room that it takes.
            if matches!(Box::pin(recovered).await, Ok(Ok(()))) {
                return Some(session);
            }
        }
    }

    /// Puts back a session of this pool's.
    pub(crate) fn put(&self, pool: &Arc<Pool>, session: Box<PooledSession>) {
        let mut state = self.state();
        let must_be_settled = session.connection.trails();
        state.sessions.push(Unused {
            session,
            since: Instant::now(),
        });
        if must_be_settled && !state.has_settler {
            state.has_settler = true;
            tokio::spawn(settle(Arc::downgrade(pool)));
        }
        if !state.has_sweeper {
            state.has_sweeper = true;
            tokio::spawn(sweep(Arc::downgrade(pool), pool.settings.idle));
        }
    }

    /// One that was unused for a while, and whose cleaning nobody waits for.
    fn take_unsettled(&self) -> Option<Box<PooledSession>> {
        let mut state = self.state();
        let unsettled = state.sessions.iter().position(|unused| {
            unused.session.connection.trails() && unused.since.elapsed() >= SOON
        })?;
        Some(state.sessions.remove(unsettled).session)
    }

    /// Whether the settler may go, because there is nothing to settle.
    fn dismiss_settler(&self) -> bool {
        let mut state = self.state();
        let mut sessions = state.sessions.iter();
        state.has_settler = sessions.any(|unused| unused.session.connection.trails());
        !state.has_settler
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Right after every single change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the cleanings that no request followed soon.
async fn settle(pool: Weak<Pool>) {
    loop {
        sleep(SOON).await;
        let Some(pool) = pool.upgrade() else { return };
        // Where all permits are in use, so is every session soon.
        while let Some(permit) = pool.try_permit()
            && let Some(session) = pool.idle.take_unsettled()
        {
            settle_one(&pool, session, permit).await;
        }
        if pool.idle.dismiss_settler() {
            return;
        }
    }
}

async fn settle_one(
    pool: &Arc<Pool>,
    mut session: Box<PooledSession>,
    permit: OwnedSemaphorePermit,
) {
    match timeout(CLEANING, session.settle()).await {
        Ok(Ok(())) => pool.put_back(session),
        Ok(Err(error)) => tracing::debug!(%error, "connection discarded"),
        Err(_elapsed) => tracing::debug!("connection discarded: cleaning took too long"),
    }
    drop(permit);
}

/// Closes those that were unused for longer than `idle`.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        sleep((idle / 2).max(Duration::from_millis(10))).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut state = pool.idle.state();
        state
            .sessions
            .retain(|unused| unused.since.elapsed() < idle);
    }
}
