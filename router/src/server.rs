//! Accepts connections and drains them at the end: HTTP/1.1 and HTTP/2 with prior knowledge (h2c),
//! told apart by their first bytes.
//!
//! A connection costs a file descriptor and little else until it sends a request, but it may not
//! take for ever to do so: heads have a time limit, and the number of connections has a limit
//! beyond which new ones wait in the kernel's queue.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tirage_host::Response;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Longest time that a request's head may take, and a silent connection's next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system had no descriptor or memory for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Requests that one HTTP/2 connection may have in flight.
const STREAMS_PER_CONNECTION: u32 = 128;

/// How many, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// Connections open at once.
    pub(crate) max_connections: usize,
    /// How long requests in flight may take to finish once the end has come.
    pub(crate) drain_timeout: Duration,
}

/// Answers requests; never fails, since what goes wrong is an answer too.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request of `client`'s.
    fn respond(
        &self,
        client: SocketAddr,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// Serves until `stop` resolves, then lets what is in flight finish.
pub(crate) async fn serve(
    listener: TcpListener,
    service: Arc<impl Service>,
    limits: ServerLimits,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let http = protocols();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small pieces of a stream must not wait for the client's acknowledgement of the last.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection is gone already");
            continue;
        }
        let service = Arc::clone(&service);
        let answer = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(service.respond(client, request).await) }
        });
        let connection = http
            .serve_connection(TokioIo::new(stream), answer)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%client, error, "connection ended early");
            }
            drop(place);
        });
    }
    // From here on the system refuses new connections.
    drop(listener);
    drain(graceful, limits.drain_timeout).await;
}

async fn drain(graceful: GracefulShutdown, timeout: Duration) {
    let connections = graceful.count();
    tracing::info!(connections, "draining");
    if tokio::time::timeout(timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight when the time to drain was over");
    }
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    http
}
