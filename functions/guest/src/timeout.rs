//! Time limits.

use std::pin::pin;
use std::time::Duration;

use futures::future::{self, Either};

/// Runs `work` for at most `limit`; `None` if it isn't done by then.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match future::select(pin!(work), pin!(spin_sdk::time::sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
