//! Errors of a connection, by what the caller can do about them.

use std::io;
use std::time::Duration;

use crate::ServerError;

/// Error of connecting or of executing a statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No socket could be opened: nothing listens on the address, or its name doesn't resolve.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// The address, without credentials.
        address: String,
        /// The socket's error.
        source: io::Error,
    },
    /// Connecting took longer than `connect_timeout`.
    #[error("connecting took longer than {0:?}")]
    ConnectTimeout(Duration),
    /// TLS is required and the server offers none.
    #[error("the server does not offer TLS, but sslmode requires it")]
    TlsRefused,
    /// TLS could not be set up: a certificate that isn't trusted, or a bad `sslrootcert`.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server asks for a password and the address has none.
    #[error("the server asks for a password, but the address has none")]
    NoPassword,
    /// The server asks for a kind of authentication that isn't supported, or failed to prove that
    /// it knows the password.
    #[error("authentication: {0}")]
    Authentication(String),
    /// The server reported an error.
    #[error("{0}")]
    Server(#[source] Box<ServerError>),
    /// The server had closed the session before it read the request, so the request can be repeated on
    /// another connection.
    #[error("the server had closed this connection before the request")]
    Stale,
    /// A prepared statement could not be bound, so it had no effect: its table has changed, the server
    /// has deallocated it, or the parameters don't fit. Sent without a name, the same statement works
    /// or fails for another reason.
    #[error("a prepared statement is outdated: {0}")]
    Outdated(#[source] Box<ServerError>),
    /// The connection ended in the middle of an exchange. Whether the request took effect is unknown.
    #[error("the connection to the database was lost: {0}")]
    Lost(#[source] io::Error),
    /// The request cannot be put into a message: a NUL byte in a statement, or more than 65,535
    /// parameters.
    #[error("error encoding message to server: {0}")]
    Encode(#[source] io::Error),
    /// The statement wants a COPY stream, which this crate does not speak.
    #[error("COPY from and to the client is not supported")]
    Copy,
    /// A message of the server is longer than the limit.
    #[error("a message of {length} bytes is longer than {limit}")]
    TooLong {
        /// The message's length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server sent a message that the protocol doesn't allow here.
    #[error("unexpected message from server: {0}")]
    Protocol(String),
    /// An earlier error left the connection unusable.
    #[error("this connection is broken")]
    Broken,
}

impl Error {
    /// Returns the server's report, for [`Error::Server`].
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// `true` if the server can't be reached now and a later attempt may succeed: nothing listens, or
    /// the server is starting up or shutting down.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::ConnectTimeout(_) | Self::Stale => true,
            Self::Server(error) => error.is_unavailable(),
            _ => false,
        }
    }
}
