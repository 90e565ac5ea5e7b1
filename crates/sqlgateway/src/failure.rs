//! Every way a request can fail, with the status and the JSON that the clients know.
//!
//! Neon's driver reads the body only of a 400, so all that Postgres says of a statement is a 400. A
//! body has every field of a Postgres error; those that don't apply are null, or empty for the two
//! that Neon leaves empty. A 5xx says nothing about the inside: that is in the log, beside the
//! request's id.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tirage_postgres::{Error, ServerError};

use crate::caller::ConnectionStringError;

/// Why a request has no result.
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
    /// Every connection was in use for the whole wait.
    #[error("no connection to the database became free within {0:?}")]
    Full(Duration),
    /// No connection could be made. `by_caller`: the caller's own credentials are at fault.
    #[error("could not connect to the database")]
    Connect { error: Error, by_caller: bool },
    /// The statement failed, or the connection did while it ran.
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

    /// The answer, and a line in the log for what the operator should know.
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
        let mut body = Body {
            message: self.to_string(),
            ..Body::default()
        };
        match &self {
            Self::Statement(Error::Server(error) | Error::Outdated(error))
            | Self::Connect {
                error: Error::Server(error),
                by_caller: true,
            } => body.fill(error),
            // As Postgres says it.
            Self::Password(_) => (body.severity, body.code) = ("FATAL", "28P01"),
            // connection_failure: whether the statement was done is unknown.
            Self::Statement(Error::Lost(_)) => body.code = "08006",
            // It was not done, and may be asked again.
            Self::Statement(Error::Stale | Error::Skipped(_)) => body.code = "57P01",
            Self::Statement(Error::Copy) => body.code = "0A000",
            Self::Full(_) => body.code = "53300",
            _ => {}
        }
        let json = serde_json::to_vec(&body).unwrap_or_default();
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
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    message: String,
    code: &'a str,
    detail: Option<&'a str>,
    hint: Option<&'a str>,
    position: Option<&'a str>,
    internal_position: Option<&'a str>,
    internal_query: Option<&'a str>,
    severity: &'a str,
    #[serde(rename = "where")]
    context: Option<&'a str>,
    table: Option<&'a str>,
    column: Option<&'a str>,
    schema: Option<&'a str>,
    data_type: Option<&'a str>,
    constraint: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<&'a str>,
    routine: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn fill(&mut self, error: &'a ServerError) {
        *self = Self {
            message: error.message.clone(),
            code: &error.code,
            detail: error.detail.as_deref(),
            hint: error.hint.as_deref(),
            position: error.position.as_deref(),
            internal_position: error.internal_position.as_deref(),
            internal_query: error.internal_query.as_deref(),
            severity: &error.severity,
            context: error.context.as_deref(),
            table: error.table.as_deref(),
            column: error.column.as_deref(),
            schema: error.schema.as_deref(),
            data_type: error.data_type.as_deref(),
            constraint: error.constraint.as_deref(),
            file: error.file.as_deref(),
            line: error.line.as_deref(),
            routine: error.routine.as_deref(),
        };
    }
}
