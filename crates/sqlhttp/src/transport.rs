//! What the client needs of the world outside: to send a request, and to wait.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// Carries requests to a gateway. Implement it for another runtime than the one whose feature is on.
pub trait Transport {
    /// Sends a request with an absolute URI and collects the whole answer, whatever its status.
    ///
    /// Dropping the future must abandon the request, so that the gateway cancels the query.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>>;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// A request brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The host doesn't allow this call. Nothing was sent.
    #[error("outgoing policy refused the call: {0}")]
    Denied(String),
    /// No connection came about. Nothing was sent.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The transport's own time limit ran out. Whether the request had effect is unknown.
    #[error("no answer in time")]
    Timeout,
    /// The answer is longer than the transport takes. Whatever was asked for was done.
    #[error("the answer exceeds {limit} bytes")]
    AnswerTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection broke. Whether the request had effect is unknown.
    #[error("connection broken: {0}")]
    Broken(String),
}
