//! HTTP client of one component, for requests to the network.
//!
//! Components don't share connections. A guest may set timeouts up to the component's limits. The
//! client follows no redirects, uses no proxy, and sends each request once: it retries on another
//! connection only if a pooled connection was closed before any byte of the request was written.

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
use super::response_body::{BodyLimits, ResponseBody};
use crate::{Request, Response};

/// Time for which an idle connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of idle connections to one destination.
const MAX_IDLE_PER_HOST: usize = 16;
/// Minimum size of hyper's read buffer in bytes.
const MIN_READ_BUFFER: usize = 8192;

pub(super) struct HttpClient {
    client: Client<Connector, WasiBody>,
    permits: Arc<Semaphore>,
    limits: OutgoingLimits,
}

impl HttpClient {
    pub(super) fn new(allowed: AllowedHosts, limits: OutgoingLimits) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_headers(limits.max_response_headers.get())
            .http1_max_buf_size(
                MIN_READ_BUFFER.max(limits.max_response_header_bytes.get() as usize),
            )
            .build(Connector::new(allowed, limits.max_concurrency.get()));
        Self {
            client,
            permits: Arc::new(Semaphore::new(limits.max_concurrency.get())),
            limits,
        }
    }

    /// Sends a request and returns its response, whose body still streams.
    pub(super) async fn send(
        &self,
        request: Request,
        options: RequestOptions,
    ) -> Result<Response, Error> {
        let at_most = |requested: Option<Duration>, limit| requested.unwrap_or(limit).min(limit);
        let connect = at_most(options.connect_timeout, self.limits.connect_timeout);
        let first_byte = at_most(options.first_byte_timeout, self.limits.timeout);
        let between_bytes = at_most(options.between_bytes_timeout, self.limits.timeout);
        let deadline = Instant::now() + self.limits.total_timeout;

        let permit = self.acquire_permit(connect).await?;
        let exchange = CONNECT_TIMEOUT.scope(connect, self.client.request(request));
        let response = timeout_at(deadline.min(Instant::now() + first_byte), exchange)
            .await
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(|error| self.convert_error(&error))?;
        self.check_head(&response)?;

        let (head, body) = response.into_parts();
        let limits = BodyLimits {
            max_pause: between_bytes,
            deadline,
            max_bytes: self.limits.max_response_body_bytes.get(),
        };
        let body = ResponseBody::new(body, limits, permit)?;
        Ok(Response::from_parts(head, body.boxed_unsync()))
    }

    async fn acquire_permit(&self, wait: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match timeout(wait, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Error::ConnectionLimitReached),
        }
    }

    /// Checks the size of the headers. hyper limits them to its buffer, which may be larger.
    fn check_head<B>(&self, response: &http::Response<B>) -> Result<(), Error> {
        // `name: value\r\n` (RFC 9112).
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

    fn convert_error(&self, error: &ClientError) -> Error {
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
