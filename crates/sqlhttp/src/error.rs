//! Errors, sorted by what the caller can do about them.

use std::fmt;

use serde::Deserialize;

use crate::transport::TransportError;

/// The error of a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row with this key exists (SQLSTATE 23505). [`DatabaseError::constraint`] names the key.
    #[error("unique violation: {0}")]
    UniqueViolation(Box<DatabaseError>),
    /// The row references one that doesn't exist, or is still referenced itself (23503).
    #[error("foreign key violation: {0}")]
    ForeignKeyViolation(Box<DatabaseError>),
    /// All attempts lost to other transactions, by a serialization failure (40001) or a deadlock
    /// (40P01). Nothing was committed.
    #[error("conflict with other transactions: {0}")]
    Conflict(Box<DatabaseError>),
    /// Any other error that Postgres reports. Nothing was committed.
    #[error("{0}")]
    Database(Box<DatabaseError>),
    /// The host's outgoing policy denies the call. Nothing was sent.
    #[error("outgoing policy refused the call: {0}")]
    Policy(String),
    /// The gateway or the database is down, starting, or has no free connection. Retry later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// No response arrived in time. It is unknown whether the call took effect, unless Postgres itself
    /// cancelled the statement.
    #[error("no response in time")]
    Timeout,
    /// The request or the response exceeds a limit of the gateway or the transport.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The connection broke before the response was complete. It is unknown whether the call took
    /// effect.
    #[error("connection broken: {0}")]
    Broken(String),
    /// The response doesn't follow the protocol.
    #[error("invalid response: {0}")]
    Protocol(String),
    /// A value can't be read from a row.
    #[error("column {name:?}: {reason}")]
    Column {
        /// The column's name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The number of rows, where exactly one was expected.
    #[error("expected one row, got {0}")]
    RowCount(usize),
}

impl Error {
    /// Converts a response with another status than 200.
    ///
    /// Neon answers 400 for each error that Postgres reports, with the error's fields as body.
    pub(crate) fn from_response(status: u16, body: &[u8]) -> Self {
        match (status, serde_json::from_slice::<DatabaseError>(body)) {
            (400, Ok(error)) => Self::from_database(error),
            (403, _) => Self::Policy(excerpt(body)),
            (408 | 504, _) => Self::Timeout,
            (413 | 507, _) => Self::TooLarge(excerpt(body)),
            (429 | 500..=599, _) => {
                Self::Unavailable(format!("HTTP status {status}: {}", excerpt(body)))
            }
            _ => Self::Protocol(format!("HTTP status {status}: {}", excerpt(body))),
        }
    }

    /// Sorts an error by its SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn from_database(error: DatabaseError) -> Self {
        match error.code.as_deref().unwrap_or_default() {
            "23505" => Self::UniqueViolation(Box::new(error)),
            "23503" => Self::ForeignKeyViolation(Box::new(error)),
            "40001" | "40P01" => Self::Conflict(Box::new(error)),
            // query_canceled: statement_timeout, or the gateway's.
            "57014" => Self::Timeout,
            // admin_shutdown, crash_shutdown, cannot_connect_now.
            "57P01" | "57P02" | "57P03" => Self::Unavailable(error.to_string()),
            // connection_failure, transaction_resolution_unknown: the call may have taken effect.
            "08006" | "08007" => Self::Broken(error.to_string()),
            // protocol_violation: in practice, more or fewer parameters than the statement has.
            "08P01" => Self::Database(Box::new(error)),
            // The rest of connection_exception, and insufficient_resources.
            code if code.starts_with("08") || code.starts_with("53") => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Database(Box::new(error)),
        }
    }

    pub(crate) fn column(name: &str, reason: impl fmt::Display) -> Self {
        Self::Column {
            name: name.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Denied(reason) => Self::Policy(reason),
            TransportError::Unreachable(reason) => Self::Unavailable(reason),
            TransportError::Timeout => Self::Timeout,
            TransportError::ResponseTooLarge { .. } => Self::TooLarge(error.to_string()),
            TransportError::Broken(reason) => Self::Broken(reason),
        }
    }
}

/// The fields of a Postgres error that callers use
/// (<https://www.postgresql.org/docs/current/protocol-error-fields.html>).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DatabaseError {
    /// One line for humans.
    pub message: String,
    /// SQLSTATE: five characters. Absent if the gateway itself refused the request.
    #[serde(default)]
    pub code: Option<String>,
    /// Details of the problem.
    #[serde(default)]
    pub detail: Option<String>,
    /// A suggestion how to solve it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The schema of the table.
    #[serde(default)]
    pub schema: Option<String>,
    /// The table in question.
    #[serde(default)]
    pub table: Option<String>,
    /// The column in question.
    #[serde(default)]
    pub column: Option<String>,
    /// The violated constraint.
    #[serde(default)]
    pub constraint: Option<String>,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(formatter, " (SQLSTATE {code})"),
            None => Ok(()),
        }
    }
}

/// Returns the start of a body, for a message.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses an error body as Neon's proxy writes it, with this SQLSTATE.
    fn refused(code: &str) -> Error {
        let body = serde_json::json!({
            "message": "no", "code": code, "detail": null, "hint": null, "position": "7", "severity": "ERROR",
            "constraint": "description_pkey", "table": "description", "line": "1", "routine": "exec",
        });
        Error::from_response(400, body.to_string().as_bytes())
    }

    #[test]
    fn postgres_errors_are_sorted_by_sqlstate() {
        assert!(
            matches!(refused("23505"), Error::UniqueViolation(error) if error.constraint.as_deref() == Some("description_pkey"))
        );
        assert!(matches!(refused("23503"), Error::ForeignKeyViolation(_)));
        assert!(matches!(refused("40001"), Error::Conflict(_)));
        assert!(matches!(refused("40P01"), Error::Conflict(_)));
        assert!(matches!(refused("57014"), Error::Timeout));
        assert!(matches!(refused("57P03"), Error::Unavailable(_)));
        assert!(matches!(refused("53300"), Error::Unavailable(_)));
        assert!(matches!(refused("08006"), Error::Broken(_)));
        assert!(matches!(refused("42601"), Error::Database(_)));
        assert!(matches!(refused("08P01"), Error::Database(_)));
        assert_eq!(refused("42601").to_string(), "no (SQLSTATE 42601)");
    }

    #[test]
    fn other_statuses_map_to_kinds_of_errors() {
        assert!(matches!(
            Error::from_response(503, b"full"),
            Error::Unavailable(_)
        ));
        assert!(matches!(
            Error::from_response(413, b"max is 1 bytes"),
            Error::TooLarge(_)
        ));
        assert!(matches!(
            Error::from_response(507, b"max is 1 bytes"),
            Error::TooLarge(_)
        ));
        assert!(matches!(
            Error::from_response(403, b"no role"),
            Error::Policy(_)
        ));
        assert!(matches!(
            Error::from_response(404, b"<html>"),
            Error::Protocol(_)
        ));
        assert!(matches!(
            Error::from_response(400, b"<html>"),
            Error::Protocol(_)
        ));
    }

    #[test]
    fn an_error_without_sqlstate_comes_from_the_gateway() {
        let error = Error::from_response(
            400,
            br#"{"message":"password authentication failed","code":null}"#,
        );
        assert!(matches!(error, Error::Database(error) if error.code.is_none()));
    }
}
