//! One component's client for the world outside: a pool of connections that no other component
//! shares, deadlines from the guest within ours, no redirects, no proxies.
//!
//! A request goes out once. Only where the connection turns out to have ended before anything of the
//! request was given to it, is another connection tried.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tirage_manifest::{AllowedHosts, OutgoingLimits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::connector::{CONNECT_TIMEOUT, ConnectError, Connector};
use super::response_body::{Allowance, ResponseBody};
use crate::{Request, Response};

/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Unused connections kept to one destination.
const IDLE_PER_HOST: usize = 16;
/// What hyper needs for reading, in bytes.
const LEAST_BUFFER: usize = 8192;

pub(super) struct Internet {
    client: Client<Connector, WasiBody>,
    turns: Arc<Semaphore>,
    limits: OutgoingLimits,
}

impl Internet {
    pub(super) fn new(allowed: AllowedHosts, limits: OutgoingLimits) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_headers(limits.max_response_headers.get())
            .http1_max_buf_size(LEAST_BUFFER.max(limits.max_response_header_bytes.get() as usize))
            .build(Connector::new(allowed, limits.max_concurrency.get()));
        Self {
            client,
            turns: Arc::new(Semaphore::new(limits.max_concurrency.get())),
            limits,
        }
    }

    /// Sends a request and returns its response, whose body still streams.
    pub(super) async fn send(
        &self,
        request: Request,
        options: RequestOptions,
    ) -> Result<Response, Error> {
        let within = |asked: Option<Duration>, limit| asked.map_or(limit, |asked| asked.min(limit));
        let connect = within(options.connect_timeout, self.limits.connect_timeout);
        let first_byte = within(options.first_byte_timeout, self.limits.timeout);
        let between_bytes = within(options.between_bytes_timeout, self.limits.timeout);
        let deadline = Instant::now() + self.limits.total_timeout;

        let turn = self.turn(connect).await?;
        let exchange = CONNECT_TIMEOUT.scope(connect, self.client.request(request));
        let response = timeout_at(deadline.min(Instant::now() + first_byte), exchange)
            .await
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(|error| self.explain(&error))?;
        self.check_head(&response)?;

        let (head, body) = response.into_parts();
        let allowance = Allowance {
            pause: between_bytes,
            deadline,
            bytes: self.limits.max_response_body_bytes.get(),
        };
        let body = ResponseBody::new(body, allowance, turn)?;
        Ok(Response::from_parts(head, body.boxed_unsync()))
    }

    async fn turn(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        match timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Error::ConnectionLimitReached),
        }
    }

    /// hyper's own limit is that of its buffer, which has a least size.
    fn check_head<B>(&self, response: &http::Response<B>) -> Result<(), Error> {
        // As in RFC 9112: `name: value\r\n`.
        let size: usize = response
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        match size > self.limits.max_response_header_bytes.get() as usize {
            true => Err(self.header_section_size()),
            false => Ok(()),
        }
    }

    fn header_section_size(&self) -> Error {
        Error::HttpResponseHeaderSectionSize(Some(self.limits.max_response_header_bytes.get()))
    }

    fn explain(&self, error: &ClientError) -> Error {
        let source = error.source();
        if let Some(error) = source.and_then(|source| source.downcast_ref::<ConnectError>()) {
            return error.into();
        }
        match source.and_then(|source| source.downcast_ref::<hyper::Error>()) {
            Some(error) if error.is_parse_too_large() => self.header_section_size(),
            Some(error) if error.is_parse() => Error::HttpProtocolError,
            _ if error.is_connect() => Error::DestinationUnavailable,
            _ => Error::ConnectionTerminated,
        }
    }
}
