//! The accept loop: HTTP/1.1 and HTTP/2 with prior knowledge (h2c) on one port, told apart by their
//! first bytes.
//!
//! It guarantees:
//! - At most [`Options::max_connections`] are open; further clients wait in the kernel's backlog. A
//!   connection that was upgraded (a WebSocket) counts until its socket is closed.
//! - A connection is closed unless its first complete request head arrives within
//!   [`Options::head_timeout`] of being accepted. One timer covers hyper-util's protocol detection as
//!   well, which reads up to 24 bytes before any timer of hyper's runs
//!   (<https://github.com/hyperium/hyper/issues/3756>).
//! - A connection without a request in flight is closed [`Options::keep_alive_timeout`] after its last
//!   response, whether it is silent or sends a head slowly. A request in flight is never cut off.
//! - An error of `accept` is logged and followed by a pause, never by the end of the loop.
//! - [`serve`] returns when the last connection has ended or the drain timeout is over. Dropping its
//!   future closes all connections.
//!
//! It leaves TLS to a proxy in front, and limits on request bodies and handlers to the handler.

mod activity;
mod connection;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// First pause after an error of `accept`, doubled with each further error.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause after errors of `accept`.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Interval of HTTP/2 pings, and how long a peer may take to answer one.
const PING: Duration = Duration::from_secs(30);

/// An error that a handler or a response body may end with; the connection is then closed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Limits and timeouts of one server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Upper bound on open connections.
    pub max_connections: usize,
    /// Longest time from accepting a connection until its first complete request head.
    pub head_timeout: Duration,
    /// Longest time from the end of a response until the next complete request head.
    pub keep_alive_timeout: Duration,
    /// Longest time that requests in flight get to finish during a graceful shutdown.
    pub drain_timeout: Duration,
    /// Upper bound on requests in flight on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            head_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            max_streams: 128,
        }
    }
}

/// Accepts connections and answers their requests with `handler` until `stop` resolves, then closes
/// the listener, lets requests in flight finish and returns.
///
/// `handler` gets the peer's address and the request. Requests may be upgraded
/// ([`hyper::upgrade::on`]); [`serve`] does not wait for what becomes of an upgraded connection.
pub async fn serve<H, F, B, E>(
    listener: TcpListener,
    options: Options,
    handler: H,
    stop: impl Future<Output = ()>,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let permits = options.max_connections.min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(permits));
    let http = protocols(options);
    let draining = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer, permit) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection::run(
            http.clone(),
            connection::Counted::new(stream, permit),
            options,
            peer,
            handler.clone(),
            draining.subscribe(),
        ));
    }
    // From here on the system refuses new connections.
    drop(listener);
    draining.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.drain_timeout, drained)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            timeout = ?options.drain_timeout,
            "closing connections whose requests did not finish within the drain timeout"
        );
    }
}

/// Waits for a permit, then for a connection.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
    let permit = Arc::clone(permits).acquire_owned().await.expect("open");
    let mut pause = MIN_PAUSE;
    loop {
        let error = match listener.accept().await {
            // Without TCP_NODELAY a small piece of a response waits for the acknowledgement of the last.
            Ok((stream, peer)) => match stream.set_nodelay(true) {
                Ok(()) => return (stream, peer, permit),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if is_of_one_connection(&error) {
            tracing::debug!(%error, "a connection ended before it was accepted");
            continue;
        }
        tracing::warn!(%error, ?pause, "cannot accept a connection");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// `true` if the next connection may well be accepted, `false` if the process or the system lacks
/// something, such as file descriptors.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}

fn protocols(options: Options) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // The connection's own timer covers heads.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}
