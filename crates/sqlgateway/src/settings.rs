//! The gateway's limits and timeouts. The defaults are Neon's where Neon has them.

use std::time::Duration;

/// Limits, each with the response when it is exceeded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum length of a request body in bytes; a longer one is answered 413. Default: 10 MiB.
    pub max_request_bytes: usize,
    /// Maximum length of a response in bytes; a longer one is answered 507, and a batch that writes is
    /// rolled back. Default: 10 MiB.
    pub max_response_bytes: usize,
    /// Maximum number of connections to Postgres per database and role. Default: 20.
    pub max_connections: usize,
    /// Time that a request waits for a connection, or for Postgres to come back, before it is answered
    /// 503 or 500. Default: 10 s.
    pub wait: Duration,
    /// Time after which an idle connection is closed. Default: 5 min.
    pub idle: Duration,
    /// Number of prepared statements that each connection caches; 0 disables the cache. Default: 100.
    pub statements: usize,
    /// Timeout for receiving a request body; then the request is answered 400. Default: 30 s.
    pub read: Duration,
    /// Maximum number of concurrent interactive sessions. Each has a connection of its own, in addition
    /// to `max_connections`. One more is refused with SQLSTATE 53300. Default: 50.
    pub max_sessions: usize,
    /// Time that an interactive session waits for its client before it ends with 57P05. Default: 5 min.
    pub session_idle: Duration,
    /// Time without a sign of life from an interactive session's client, which is pinged three times in
    /// it, before the session ends. Default: 60 s.
    pub session_silence: Duration,
    /// Timeout for the login of an interactive session, including Postgres' part; then it is refused
    /// with 57014. Default: 15 s.
    pub session_startup: Duration,
    /// Maximum length of a WebSocket message in bytes, which is also what a session may buffer. A longer
    /// one closes the WebSocket with 1009. Default: 10 MiB.
    pub max_frame_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_request_bytes: 10 * 1024 * 1024,
            max_response_bytes: 10 * 1024 * 1024,
            max_connections: 20,
            wait: Duration::from_secs(10),
            idle: Duration::from_secs(5 * 60),
            statements: 100,
            read: Duration::from_secs(30),
            max_sessions: 50,
            session_idle: Duration::from_secs(5 * 60),
            session_silence: Duration::from_secs(60),
            session_startup: Duration::from_secs(15),
            max_frame_bytes: 10 * 1024 * 1024,
        }
    }
}
