//! Connects to a Postgres that may be restarting or at its connection limit, with retries.

use std::time::Duration;

use tirage_postgres::Error;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;

const TOO_MANY_CONNECTIONS: &str = "53300";
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// Calls `connect` until it succeeds, fails for good, or `deadline` is near. `wait` is the time
/// between the request's arrival and the deadline.
///
/// # Errors
/// [`Failure::Full`] if Postgres was at its connection limit to the end, else [`Failure::Connect`]
/// with the last error.
pub(crate) async fn connect_with_retries<T, Connecting>(
    deadline: Instant,
    wait: Duration,
    connect: impl Fn() -> Connecting,
) -> Result<T, Failure>
where
    Connecting: Future<Output = Result<T, Error>>,
{
    let mut backoff = FIRST_BACKOFF;
    loop {
        let error = match connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let is_full = error
            .server()
            .is_some_and(|error| error.code == TOO_MANY_CONNECTIONS);
        // A connection that is lost during the login belongs to a server that is shutting down.
        let is_temporary = is_full || error.is_unavailable() || matches!(error, Error::Lost(_));
        if is_temporary && Instant::now() + backoff < deadline {
            sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
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
