//! Calls the application at a fixed interval, as Scaleway's cron trigger does: `POST` with a fixed body
//! and fixed headers.
//!
//! Guarantees:
//! - The body is `{}`. The header `tirage-mac` is [`Secret::schedule_mac`] of the path. It is the same
//!   each time, since Scaleway's headers are: who sees it can call that path as often as they like, and
//!   no other path.
//! - One call runs at a time. A call that takes longer than the interval replaces those that it overlaps.
//! - A failed call is logged. The next one comes at its time.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use tirage_jobs::{SCHEDULE_HEADER, Secret};
use tokio::time::{Instant, MissedTickBehavior};

use crate::http_client::HttpClient;

/// Configuration of cron.
pub struct Settings {
    /// Address for the POSTs.
    pub target: Uri,
    /// Interval between two calls; the first comes after one interval.
    pub interval: Duration,
    /// Timeout of a call.
    pub timeout: Duration,
    /// `JOB_SECRET`.
    pub secret: Secret,
}

/// Calls the application until `stop` resolves. A call in flight is then cancelled.
pub async fn run(settings: &Settings, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = call_at_interval(settings) => {}
        () = pin!(stop) => {}
    }
}

async fn call_at_interval(settings: &Settings) {
    let client = HttpClient::new();
    let first = Instant::now() + settings.interval;
    let mut interval = tokio::time::interval_at(first, settings.interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        match client.send(request(settings), settings.timeout).await {
            Ok(response) if response.status().is_success() => {
                tracing::debug!("called {}: {}", settings.target, response.status());
            }
            Ok(response) => tracing::warn!("{} answered {}", settings.target, response.status()),
            Err(error) => tracing::warn!("cannot call {}: {error}", settings.target),
        }
    }
}

fn request(settings: &Settings) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(b"{}"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = settings.target.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mac = settings.secret.schedule_mac(settings.target.path());
    if let Ok(mut mac) = HeaderValue::from_str(&mac) {
        mac.set_sensitive(true);
        headers.insert(SCHEDULE_HEADER, mac);
    }
    request
}
