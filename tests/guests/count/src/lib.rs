//! Responds with the number of requests of this instance, including this one. More than 1 shows that the
//! host reuses instances.

use std::sync::atomic::{AtomicU64, Ordering};

use spin_sdk::http::Request;
use spin_sdk::http_service;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

#[http_service]
async fn count(_request: Request) -> String {
    (REQUESTS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}
