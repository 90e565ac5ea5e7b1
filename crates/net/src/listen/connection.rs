//! One connection from its first byte to its last, with the one timer that ends it.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::activity::{Activity, State, TrackedBody};
use super::{BoxError, Options};

/// Shortest time between two checks of a connection, however short its timeouts are.
const MIN_CHECK: Duration = Duration::from_millis(10);

/// Serves one connection until it ends, times out, or has finished its requests in flight after
/// `draining` became `true`.
pub(super) async fn run<H, F, B, E>(
    http: auto::Builder<TokioExecutor>,
    stream: Counted,
    options: Options,
    peer: SocketAddr,
    handler: H,
    mut draining: watch::Receiver<bool>,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let activity = Activity::new();
    let service = service_fn(|request| {
        let in_flight = activity.begin();
        let response = handler(peer, request);
        async move {
            response
                .await
                .map(|response| response.map(|body| TrackedBody::new(body, in_flight)))
        }
    });
    let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let first_check = options.head_timeout.min(options.keep_alive_timeout);
    let mut timer = pin!(tokio::time::sleep_until(activity.accepted() + first_check));
    let mut is_timed = true;
    let mut is_finishing = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error, "connection ended early");
                }
                return;
            }
            () = &mut timer, if is_timed => match next_check(&activity, options) {
                Check::Close => {
                    let timeout = options.head_timeout;
                    tracing::debug!(%peer, ?timeout, "closing: no complete request head in time");
                    return;
                }
                // Not cut off: the end of the last response may still be on its way to a slow client.
                Check::Finish => {
                    (is_timed, is_finishing) = (false, true);
                    connection.as_mut().graceful_shutdown();
                }
                Check::At(moment) => timer.as_mut().reset(moment),
            },
            _ = draining.wait_for(|draining| *draining), if !is_finishing => {
                is_finishing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Next action for a connection whose timer has fired.
enum Check {
    /// Close it now.
    Close,
    /// Take no further request, and close it when everything has been sent.
    Finish,
    /// Check again at this moment.
    At(Instant),
}

/// Since no timer is set for a request, the next check is at the earliest moment at which a timeout can
/// be over.
fn next_check(activity: &Activity, options: Options) -> Check {
    let now = Instant::now();
    let next = now + options.keep_alive_timeout.max(MIN_CHECK);
    let head_deadline = activity.accepted() + options.head_timeout;
    match activity.state() {
        State::New if head_deadline <= now => Check::Close,
        State::New => Check::At(head_deadline.min(next)),
        State::Busy => Check::At(next),
        State::IdleSince(since) if since + options.keep_alive_timeout <= now => Check::Finish,
        State::IdleSince(since) => Check::At(since + options.keep_alive_timeout),
    }
}

/// A stream that holds its permit until it is closed, also after an upgrade.
pub(super) struct Counted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            _permit: permit,
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
