//! The gateway's limits and waits. The defaults are Neon's where Neon has them.

use std::time::Duration;

/// Limits, each with what happens when it is hit.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest request body in bytes; a longer one is answered 413. 10 MiB.
    pub max_request_bytes: usize,
    /// The longest answer in bytes; a longer one is answered 507 and its batch rolled back. 10 MiB.
    pub max_response_bytes: usize,
    /// Connections to Postgres for each database and role. 20.
    pub max_connections: usize,
    /// How long a request waits for a connection, or for Postgres to come back, before it is
    /// answered 503 or 500. 10 s.
    pub wait: Duration,
    /// How long a connection may be idle before it is closed. 5 min.
    pub idle: Duration,
    /// Statements that each connection keeps parsed, once they came again; 0 for none. 100.
    pub statements: usize,
    /// A read that was answered within this time by itself is taken for quick, and goes together with others
    /// that come at the same time; zero for never. 500 µs.
    pub quick: Duration,
    /// How long a request's body may take to arrive before it is answered 400. 30 s.
    pub read: Duration,
    /// Interactive sessions at once, each with a connection of its own beside `max_connections`; one
    /// more is told SQLSTATE 53300. 50.
    pub max_sessions: usize,
    /// How long an interactive session may wait for its client before it is ended with 57P05. 5 min.
    pub session_idle: Duration,
    /// How long an interactive session's client may give no sign of life, although it is asked for one
    /// three times, before its session ends. 60 s.
    pub session_silence: Duration,
    /// How long a client may take to log in to an interactive session, Postgres' part of it included,
    /// before it is told 57014. 15 s.
    pub session_startup: Duration,
    /// The longest message of an interactive session's client in bytes, which is what a session may
    /// hold in memory; a longer one closes the WebSocket with 1009. 10 MiB.
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
            quick: Duration::from_micros(500),
            read: Duration::from_secs(30),
            max_sessions: 50,
            session_idle: Duration::from_secs(5 * 60),
            session_silence: Duration::from_secs(60),
            session_startup: Duration::from_secs(15),
            max_frame_bytes: 10 * 1024 * 1024,
        }
    }
}
