//! What calls the application every so often, as Scaleway's cron trigger does: `POST` with a fixed
//! body and fixed headers.
//!
//! Promises:
//! - The body is `{}`. The header `tirage-mac` proves that the caller knows `JOB_SECRET`:
//!   HMAC-SHA256 over `v1\ncron\n<path of the URL>`, in hexadecimal. It is the same each time,
//!   since Scaleway's headers are: who sees it can call that path as often as they like, and
//!   nothing else.
//! - One call at a time. One that takes longer than the period leaves out those that it covers.
//! - A call that fails is logged; the next comes at its time.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use sha2::Sha256;
use tokio::time::{Instant, MissedTickBehavior};

use crate::http_client::HttpClient;

/// The header that proves who calls.
pub const MAC_HEADER: &str = "tirage-mac";

/// What cron is started with.
pub struct Settings {
    /// What is POSTed to.
    pub target: Uri,
    /// From one call to the next; the first comes after one period.
    pub every: Duration,
    /// How long the application may take for one answer.
    pub patience: Duration,
    /// `JOB_SECRET`.
    pub secret: String,
}

/// Calls until `shutdown` is ready. A call under way is then broken off.
pub async fn run(settings: &Settings, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = call_on_time(settings) => {}
        () = pin!(shutdown) => {}
    }
}

/// The proof for calls of `path`, in hexadecimal.
#[must_use]
pub fn mac(secret: &str, path: &str) -> String {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of any length (RFC 2104)"
    )]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(b"v1\ncron\n");
    mac.update(path.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn call_on_time(settings: &Settings) {
    let client = HttpClient::new();
    let mut times = tokio::time::interval_at(Instant::now() + settings.every, settings.every);
    times.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        times.tick().await;
        match client.send(request(settings), settings.patience).await {
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
    if let Ok(mut value) = HeaderValue::from_str(&mac(&settings.secret, settings.target.path())) {
        value.set_sensitive(true);
        headers.insert(MAC_HEADER, value);
    }
    request
}

#[cfg(test)]
mod tests {
    /// Made with `printf 'v1\ncron\n/jobs/sweep' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_proof_is_what_openssl_makes() {
        assert_eq!(
            super::mac("secret", "/jobs/sweep"),
            "f74095939a250db4f78b4cacf4afc2cf3b1f5eee17519840750a5209de46b93c"
        );
    }
}
