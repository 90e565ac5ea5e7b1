//! Waiting for a Postgres that is away or full: one that restarts, or a place among its connections,
//! is worth a wait.

use std::time::Duration;

use tirage_postgres::Error;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;

const TOO_MANY_CONNECTIONS: &str = "53300";
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Tries to connect, again and again until `deadline`, which is `wait` after the request came.
///
/// # Errors
/// [`Failure::Full`] if Postgres had no place all the time, else [`Failure::Connect`] with what it
/// said last.
pub(crate) async fn patiently<T, Connecting>(
    deadline: Instant,
    wait: Duration,
    connect: impl Fn() -> Connecting,
) -> Result<T, Failure>
where
    Connecting: Future<Output = Result<T, Error>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let is_full = error
            .server()
            .is_some_and(|error| error.code == TOO_MANY_CONNECTIONS);
        // A connection that is lost before the login is over belongs to a server that stops.
        let may_pass = is_full || error.is_unavailable() || matches!(error, Error::Lost(_));
        if may_pass && Instant::now() + pause < deadline {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else if is_full {
            return Err(Failure::Full(wait));
        } else {
            return Err(Failure::Connect {
                error,
                by_caller: false,
            });
        }
    }
}
