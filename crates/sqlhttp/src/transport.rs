//! The I/O that the client needs: to send a request, and to sleep.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// Sends requests to a gateway. `Wasi` implements it for components; other runtimes implement their own.
pub trait Transport {
    /// Sends a request with an absolute URI and collects the whole response, whatever its status.
    ///
    /// Dropping the future must abandon the request, so that the gateway cancels the query.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>>;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// A request that got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The host's outgoing policy denies the call. Nothing was sent.
    #[error("outgoing policy refused the call: {0}")]
    Denied(String),
    /// The connection couldn't be established. Nothing was sent.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The transport's own timeout expired. It is unknown whether the request took effect.
    #[error("no response in time")]
    Timeout,
    /// The response is larger than the transport's limit. The request took effect.
    #[error("the response exceeds {limit} bytes")]
    ResponseTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection broke. It is unknown whether the request took effect.
    #[error("connection broken: {0}")]
    Broken(String),
}
