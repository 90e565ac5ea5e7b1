//! What can go wrong with a connection, sorted by what the caller can do about it.

use std::io;
use std::time::Duration;

use crate::ServerError;

/// Why a connection could not be made or a statement not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No socket could be opened: nothing listens there, or the name doesn't resolve.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where, without credentials.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Connecting took longer than `connect_timeout`.
    #[error("connecting took longer than {0:?}")]
    ConnectTimeout(Duration),
    /// TLS is required and the server offers none.
    #[error("the server does not offer TLS, and sslmode asks for it")]
    TlsRefused,
    /// TLS could not be set up: a certificate that isn't trusted, or a bad `sslrootcert`.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server asks for a password and the address has none.
    #[error("the server asks for a password, and the address has none")]
    NoPassword,
    /// The server asks for a kind of authentication that isn't supported, or failed to prove that
    /// it knows the password.
    #[error("authentication: {0}")]
    Authentication(String),
    /// The server reported an error.
    #[error("{0}")]
    Server(#[source] Box<ServerError>),
    /// The server had ended this session before it looked at the request, so the request can be
    /// made again on another connection without being done twice.
    #[error("the server had closed this connection before the request")]
    Stale,
    /// What trailed before this exchange failed, so the server skipped all of it: it has had no effect, and
    /// can be made again.
    #[error("skipped after an error: {0}")]
    Skipped(#[source] Box<ServerError>),
    /// A statement could not be bound by the name that it had with the server, so it had no effect:
    /// what it is about was changed meanwhile, or its parameters don't fit. Without a name the same
    /// statement works, or fails for a reason of its own.
    #[error("a parsed statement is outdated: {0}")]
    Outdated(#[source] Box<ServerError>),
    /// The connection ended in the middle of an exchange; whether the request was done is unknown.
    #[error("the connection to the database was lost: {0}")]
    Lost(#[source] io::Error),
    /// The request cannot be put into a message: a NUL byte in a statement, or more than 65,535
    /// parameters.
    #[error("error encoding message to server: {0}")]
    Encode(#[source] io::Error),
    /// The statement wants a COPY stream, which this crate does not speak.
    #[error("COPY from and to the client is not supported")]
    Copy,
    /// One message of the server's is longer than allowed.
    #[error("a message of {length} bytes is longer than {limit}")]
    TooLong {
        /// The message's length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server said something that the protocol doesn't allow here.
    #[error("unexpected message from server: {0}")]
    Protocol(String),
    /// An earlier error left the connection unusable.
    #[error("this connection is broken")]
    Broken,
}

impl Error {
    /// What the server reported, if that is what happened.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// Whether nobody is there to answer at the moment, so that trying again later may help:
    /// nothing listens, or the server is starting up or shutting down.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::ConnectTimeout(_) | Self::Stale => true,
            Self::Server(error) => error.is_unavailable(),
            _ => false,
        }
    }
}
