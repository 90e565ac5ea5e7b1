//! The gateway on a socket of its own: HTTP/1.1 and HTTP/2 without TLS, and WebSockets at `/v2`.
//!
//! It is meant for loopback or a private network; the router never opens it to the outside by itself. A
//! client that disconnects drops its request's future, which cancels its statement.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use tirage_net::listen::{self, Options};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};

use crate::accounts::Accounts;
use crate::gateway::{Gateway, Identity};
use crate::relay::{self, Relay};

/// Timeout for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Time that requests and sessions in flight get to end after `shutdown`.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `shutdown` resolves, then lets requests and sessions in flight end, for at most 10 s.
pub async fn serve_on(
    listener: TcpListener,
    gateway: Gateway,
    accounts: Accounts,
    shutdown: impl Future<Output = ()>,
) {
    let accounts = Arc::new(accounts);
    let relay = Relay::new(gateway.settings.clone(), accounts.clone());
    let sessions = relay.clone();
    let handler = move |_peer, request: Request<Incoming>| {
        let (gateway, accounts, relay) = (gateway.clone(), accounts.clone(), sessions.clone());
        async move {
            if request.method() == Method::GET && request.uri().path() == relay::PATH {
                return Ok(relay.answer(request));
            }
            let identity = Identity::ConnectionString(&accounts);
            Ok::<_, Infallible>(gateway.serve(identity, request).await)
        }
    };
    let options = Options {
        head_timeout: HEAD,
        drain_timeout: DRAIN,
        ..Options::default()
    };
    let stopped_at = OnceLock::new();
    let stop = async {
        shutdown.await;
        relay.begin_draining();
        stopped_at.get_or_init(Instant::now);
    };
    listen::serve(listener, options, handler, stop).await;
    let deadline = *stopped_at.get_or_init(Instant::now) + DRAIN;
    if timeout_at(deadline, relay.all_ended()).await.is_err() {
        tracing::warn!("ending sessions that did not finish within the drain timeout");
        relay.end().await;
    }
}
