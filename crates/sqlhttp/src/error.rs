//! What can go wrong, by what a caller can do about it.

use std::fmt;

use serde::Deserialize;

use crate::transport::TransportError;

/// A call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row with this key exists (SQLSTATE 23505). [`DatabaseError::constraint`] says which key.
    #[error("unique violation: {0}")]
    UniqueViolation(Box<DatabaseError>),
    /// What the row points at doesn't exist, or what points at the row still does (23503).
    #[error("foreign key violation: {0}")]
    ForeignKeyViolation(Box<DatabaseError>),
    /// It lost to other transactions, every time it was sent: a serialization failure (40001) or a
    /// deadlock (40P01). Nothing was committed.
    #[error("conflict with other transactions: {0}")]
    Conflict(Box<DatabaseError>),
    /// Postgres refused it for any other reason. Nothing was committed.
    #[error("{0}")]
    Database(Box<DatabaseError>),
    /// The host doesn't let this component make the call. Nothing was sent.
    #[error("outgoing policy refused the call: {0}")]
    Policy(String),
    /// The gateway or the database is down, starting, or has no connection to spare. Worth another
    /// try later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// There was no answer in time. Whether it took effect is unknown, unless Postgres itself
    /// cancelled the statement.
    #[error("no answer in time")]
    Timeout,
    /// The request or the answer exceeds the gateway's or the transport's limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The connection broke before there was an answer. Whether it took effect is unknown.
    #[error("connection broken: {0}")]
    Broken(String),
    /// What answered doesn't speak the protocol.
    #[error("not an answer in the protocol: {0}")]
    Protocol(String),
    /// The rows are not what the caller asked of them.
    #[error("column {name:?}: {reason}")]
    Column {
        /// The column that was asked for.
        name: String,
        /// Why it can't be had.
        reason: String,
    },
    /// There is not exactly one row, but this many.
    #[error("{0} rows where there should be one")]
    RowCount(usize),
}

impl Error {
    /// The error that an answer with another status than 200 means.
    ///
    /// 400 is what Neon answers for everything that Postgres itself said; the fields of its error are
    /// the body.
    pub(crate) fn from_answer(status: u16, body: &[u8]) -> Self {
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

    /// Sorts by SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
    fn from_database(error: DatabaseError) -> Self {
        match error.code.as_deref().unwrap_or_default() {
            "23505" => Self::UniqueViolation(Box::new(error)),
            "23503" => Self::ForeignKeyViolation(Box::new(error)),
            "40001" | "40P01" => Self::Conflict(Box::new(error)),
            // query_canceled: statement_timeout, or the gateway's.
            "57014" => Self::Timeout,
            // admin_shutdown, crash_shutdown, cannot_connect_now.
            "57P01" | "57P02" | "57P03" => Self::Unavailable(error.to_string()),
            // connection_failure, transaction_resolution_unknown: it may have been done.
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
            TransportError::AnswerTooLarge { .. } => Self::TooLarge(error.to_string()),
            TransportError::Broken(reason) => Self::Broken(reason),
        }
    }
}

/// What Postgres says of an error
/// (<https://www.postgresql.org/docs/current/protocol-error-fields.html>), as far as callers use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DatabaseError {
    /// One line for people.
    pub message: String,
    /// SQLSTATE: five characters. Missing if the gateway refused the request itself.
    #[serde(default)]
    pub code: Option<String>,
    /// More about the problem.
    #[serde(default)]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The schema of the table.
    #[serde(default)]
    pub schema: Option<String>,
    /// The table it is about.
    #[serde(default)]
    pub table: Option<String>,
    /// The column it is about.
    #[serde(default)]
    pub column: Option<String>,
    /// The constraint that it violates.
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

/// The start of a body, for a message.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error body as Neon's proxy writes it, with this SQLSTATE.
    fn refused(code: &str) -> Error {
        let body = serde_json::json!({
            "message": "no", "code": code, "detail": null, "hint": null, "position": "7", "severity": "ERROR",
            "constraint": "description_pkey", "table": "description", "line": "1", "routine": "exec",
        });
        Error::from_answer(400, body.to_string().as_bytes())
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
    fn other_statuses_say_what_can_be_done() {
        assert!(matches!(
            Error::from_answer(503, b"full"),
            Error::Unavailable(_)
        ));
        assert!(matches!(
            Error::from_answer(413, b"max is 1 bytes"),
            Error::TooLarge(_)
        ));
        assert!(matches!(
            Error::from_answer(507, b"max is 1 bytes"),
            Error::TooLarge(_)
        ));
        assert!(matches!(
            Error::from_answer(403, b"no role"),
            Error::Policy(_)
        ));
        assert!(matches!(
            Error::from_answer(404, b"<html>"),
            Error::Protocol(_)
        ));
        assert!(matches!(
            Error::from_answer(400, b"<html>"),
            Error::Protocol(_)
        ));
    }

    #[test]
    fn a_refusal_without_sqlstate_is_the_gateways() {
        let error = Error::from_answer(
            400,
            br#"{"message":"password authentication failed","code":null}"#,
        );
        assert!(matches!(error, Error::Database(error) if error.code.is_none()));
    }
}
