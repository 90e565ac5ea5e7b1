//! One component's client for the world outside: a pool of connections that no other component
//! shares, deadlines from the guest within ours, no redirects, no proxies.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tirage_manifest::AllowedHosts;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::connector::{ConnectError, Connector};
use crate::{Request, Response};

/// Longest wait for a response's head; a guest may ask for less.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest pause between two pieces of a response's body; a guest may ask for less.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Unused connections kept to one destination.
const IDLE_PER_HOST: usize = 16;

pub(super) struct Internet {
    client: Client<Connector, WasiBody>,
}

impl Internet {
    pub(super) fn new(allowed: AllowedHosts) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(Connector::new(allowed));
        Self { client }
    }

    pub(super) async fn send(
        &self,
        request: Request,
        options: RequestOptions,
    ) -> Result<Response, Error> {
        let within = |asked: Option<Duration>, limit| asked.map_or(limit, |asked| asked.min(limit));
        let first_byte = within(options.first_byte_timeout, FIRST_BYTE_TIMEOUT);
        let between_bytes = within(options.between_bytes_timeout, BETWEEN_BYTES_TIMEOUT);
        let response = tokio::time::timeout(first_byte, self.client.request(request))
            .await
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(explain)?;
        Ok(response.map(|body| {
            PatientBody {
                body,
                patience: between_bytes,
                sleep: Box::pin(tokio::time::sleep(between_bytes)),
            }
            .boxed_unsync()
        }))
    }
}

fn explain(error: ClientError) -> Error {
    let connecting = error
        .source()
        .and_then(|source| source.downcast_ref::<ConnectError>());
    match connecting {
        Some(ConnectError::Prohibited) => Error::DestinationIpProhibited,
        Some(ConnectError::Timeout) => Error::ConnectionTimeout,
        Some(ConnectError::Connect(_)) => Error::ConnectionRefused,
        Some(ConnectError::Tls(_)) => Error::TlsProtocolError,
        Some(ConnectError::Resolve(_)) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        None if error.is_connect() => Error::DestinationUnavailable,
        None => Error::ConnectionTerminated,
    }
}

/// A response's body that fails when it pauses for too long.
struct PatientBody {
    body: Incoming,
    patience: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Body for PatientBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let deadline = tokio::time::Instant::now() + self.patience;
                self.sleep.as_mut().reset(deadline);
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => {
                ready!(self.sleep.as_mut().poll(context));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
