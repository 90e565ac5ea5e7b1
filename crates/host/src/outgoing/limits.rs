//! How much of the world outside one component may use, and for how long.

use std::time::Duration;

/// Limits of one component's calls to the network. Calls between components have the limits of the
/// component that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingLimits {
    /// Calls at once, each until the end of its response's body. Who can't begin within
    /// `connect_timeout` gets `connection-limit-reached`.
    pub max_concurrency: usize,
    /// Time for name resolution, the TCP and the TLS handshake together. Beyond: `connection-timeout`.
    /// A guest may ask for less.
    pub connect_timeout: Duration,
    /// Time until the response's head (beyond: `HTTP-response-timeout`), and then the longest pause
    /// between two pieces of its body (`connection-read-timeout`). A guest may ask for less.
    pub timeout: Duration,
    /// Time for a whole call, body and all. Beyond: `HTTP-response-timeout`.
    pub total_timeout: Duration,
    /// Bytes of a response's status line and headers. Beyond: `HTTP-response-header-section-size`.
    pub max_response_header_bytes: u32,
    /// Headers of a response. Beyond: `HTTP-response-header-section-size`.
    pub max_response_headers: usize,
    /// Bytes of a response's body. Beyond: `HTTP-response-body-size`.
    pub max_response_body_bytes: u64,
}
