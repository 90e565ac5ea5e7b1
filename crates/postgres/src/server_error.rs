//! The error that the server reports when a statement fails.
//!
//! It has every field of an ErrorResponse, named as in the protocol's documentation
//! (<https://www.postgresql.org/docs/current/protocol-error-fields.html>). Bytes that aren't UTF-8 are
//! replaced; a server may report an error before the encoding is negotiated.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;
use serde::Serialize;

/// An error that the server reported. Numbers stay text. In JSON, the names of the fields are those of
/// Neon's protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerError {
    /// ERROR, FATAL or PANIC, in the server's language.
    pub severity: String,
    /// SQLSTATE, five characters.
    pub code: String,
    /// Message in one line.
    pub message: String,
    /// Details.
    pub detail: Option<String>,
    /// Suggestion how to solve the problem.
    pub hint: Option<String>,
    /// Position in the statement, in characters from 1.
    pub position: Option<String>,
    /// Position in [`internal_query`](Self::internal_query), in characters from 1.
    pub internal_position: Option<String>,
    /// Text of a failed statement that a function has generated.
    pub internal_query: Option<String>,
    /// Call stack, newest first.
    #[serde(rename = "where")]
    pub context: Option<String>,
    /// Schema that the error refers to.
    pub schema: Option<String>,
    /// Table that the error refers to.
    pub table: Option<String>,
    /// Column that the error refers to.
    pub column: Option<String>,
    /// Data type that the error refers to.
    pub data_type: Option<String>,
    /// Violated constraint.
    pub constraint: Option<String>,
    /// Source file of the server.
    pub file: Option<String>,
    /// Line in that file.
    pub line: Option<String>,
    /// Function in that file.
    pub routine: Option<String>,
    /// Severity in English; servers before 9.6 don't send it.
    #[serde(skip)]
    untranslated_severity: Option<String>,
}

impl ServerError {
    /// `true` if the server ends the session with this error.
    pub fn ends_session(&self) -> bool {
        matches!(
            self.untranslated_severity
                .as_deref()
                .unwrap_or(&self.severity),
            "FATAL" | "PANIC"
        )
    }

    /// `true` if the server is shutting down, restarting after a crash or starting up, or has closed an
    /// idle session.
    pub fn is_unavailable(&self) -> bool {
        matches!(&*self.code, "57P01" | "57P02" | "57P03" | "57P05")
    }

    pub(crate) fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        // Ignores a malformed rest: the fields before it say more than a protocol error.
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'S' => error.severity = value,
                b'V' => error.untranslated_severity = Some(value),
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b'P' => error.position = Some(value),
                b'p' => error.internal_position = Some(value),
                b'q' => error.internal_query = Some(value),
                b'W' => error.context = Some(value),
                b's' => error.schema = Some(value),
                b't' => error.table = Some(value),
                b'c' => error.column = Some(value),
                b'd' => error.data_type = Some(value),
                b'n' => error.constraint = Some(value),
                b'F' => error.file = Some(value),
                b'L' => error.line = Some(value),
                b'R' => error.routine = Some(value),
                // The protocol requires clients to ignore unknown fields.
                _ => {}
            }
        }
        error
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}
