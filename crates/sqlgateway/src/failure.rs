//! The errors of a request, with the status and the JSON that Neon's clients expect.
//!
//! Neon's driver reads only the body of a 400, so every error of a statement is a 400. A body has every
//! field of a Postgres error; fields that don't apply are null, or empty for the two that Neon leaves
//! empty. The body of a 5xx reveals no internals; these are in the log with the request id.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tirage_postgres::{Error, ServerError};

use crate::caller::ConnectionStringError;

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("query is not supported")]
    NotSupported,
    #[error("{0}")]
    ConnectionString(#[from] ConnectionStringError),
    #[error("password authentication failed for user \"{0}\"")]
    Password(String),
    #[error("request is too large (max is {0} bytes)")]
    RequestTooLarge(usize),
    #[error("could not read the HTTP request body: {0}")]
    Read(String),
    #[error("could not parse the HTTP request body: {0}")]
    Body(String),
    #[error("invalid isolation level")]
    IsolationLevel,
    /// No connection became free in time.
    #[error("no connection to the database became free within {0:?}")]
    Full(Duration),
    /// Connecting failed. `by_caller`: because of the client's credentials or database name.
    #[error("could not connect to the database")]
    Connect { error: Error, by_caller: bool },
    /// The statement failed, or the connection was lost while it was executed.
    #[error("{0}")]
    Statement(Error),
    #[error("could not parse postgres response")]
    Conversion,
    #[error("response is too large (max is {0} bytes)")]
    ResponseTooLarge(usize),
}

impl Failure {
    pub(crate) fn body(error: serde_json::Error) -> Self {
        Self::Body(error.to_string())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotSupported
            | Self::ConnectionString(_)
            | Self::Password(_)
            | Self::Read(_)
            | Self::Body(_)
            | Self::IsolationLevel
            | Self::Connect {
                by_caller: true, ..
            }
            | Self::Statement(_) => StatusCode::BAD_REQUEST,
            Self::RequestTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Connect {
                by_caller: false, ..
            }
            | Self::Conversion => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ResponseTooLarge(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// Returns the response and logs what the operator should know.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        match &self {
            Self::Connect {
                error,
                by_caller: false,
            } => {
                tracing::error!(%error, "could not connect to the database");
            }
            Self::Full(_) | Self::Conversion => tracing::warn!("{self}"),
            _ => tracing::debug!(failure = %self, "request refused"),
        }
        let json = serde_json::to_vec(&self.as_server_error()).unwrap_or_default();
        let mut response = Response::new(Full::new(json.into()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(
            self,
            Self::Full(_)
                | Self::Connect {
                    by_caller: false,
                    ..
                }
        ) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Returns the error as Postgres reports it, for clients that expect its fields.
    pub(crate) fn as_server_error(&self) -> ServerError {
        let (severity, code) = match self {
            Self::Statement(Error::Server(error) | Error::Outdated(error))
            | Self::Connect {
                error: Error::Server(error),
                by_caller: true,
            } => return ServerError::clone(error),
            // The same as Postgres.
            Self::Password(_) => ("FATAL", "28P01"),
            // connection_failure: whether the statement took effect is unknown.
            Self::Statement(Error::Lost(_)) => ("", "08006"),
            // admin_shutdown: the statement had no effect, so the client may repeat it.
            Self::Statement(Error::Stale) => ("", "57P01"),
            Self::Statement(Error::Copy) => ("", "0A000"),
            Self::Full(_) => ("", "53300"),
            _ => ("", ""),
        };
        let mut error = ServerError::default();
        error.severity = severity.to_owned();
        error.code = code.to_owned();
        error.message = self.to_string();
        error
    }
}
