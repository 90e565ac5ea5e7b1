//! The gateway on a socket of its own: HTTP/1.1 and HTTP/2 without TLS, and WebSockets at `/v2`.
//!
//! Meant for loopback or a private network; the router never opens it to the outside by itself. A
//! client that goes away ends its request's future, and so its statement.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use crate::accounts::Accounts;
use crate::gateway::{Gateway, Identity};
use crate::relay::{self, Relay};

/// How long a client may take to send a request's headers.
const HEADERS: Duration = Duration::from_secs(10);

/// How long requests and sessions in flight get to end after `shutdown`.
const DRAIN: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves until `shutdown` is ready, then lets requests and sessions in flight end (for at most 10 s).
///
/// # Errors
/// When the listener fails for good; that one connection fails is logged.
pub async fn serve_on(
    listener: TcpListener,
    gateway: Gateway,
    accounts: Accounts,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let accounts = Arc::new(accounts);
    let relay = Relay::new(gateway.settings.clone(), accounts.clone());
    let graceful = GracefulShutdown::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "the SQL gateway could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            },
            () = &mut shutdown => break,
        };
        let _delay = stream.set_nodelay(true);
        let (gateway, accounts, relay) = (gateway.clone(), accounts.clone(), relay.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (gateway, accounts, relay) = (gateway.clone(), accounts.clone(), relay.clone());
            async move {
                if request.method() == Method::GET && request.uri().path() == relay::PATH {
                    return Ok(relay.answer(request));
                }
                let identity = Identity::ConnectionString(&accounts);
                Ok::<_, Infallible>(gateway.serve(identity, request).await)
            }
        });
        let connection = graceful.watch(
            builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .into_owned(),
        );
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "connection to the SQL gateway ended");
            }
        });
    }
    drop(listener);
    let drained = async { tokio::join!(graceful.shutdown(), relay.drain()) };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("the SQL gateway stops although not all was done");
        relay.end().await;
    }
    Ok(())
}

/// Whether accepting failed because of the one who wanted in, or because files ran out for now.
fn is_passing(error: &io::Error) -> bool {
    const OUT_OF_FILES: [Option<i32>; 2] = [Some(23), Some(24)];
    OUT_OF_FILES.contains(&error.raw_os_error())
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        )
}
