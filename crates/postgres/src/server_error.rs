//! What the server says when a statement fails.
//!
//! Every field of an ErrorResponse, by the names of the protocol's documentation
//! (<https://www.postgresql.org/docs/current/protocol-error-fields.html>). Text that isn't UTF-8
//! (a server may complain before the encoding is agreed on) has its odd bytes replaced.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// An error that the server reported. Numbers stay text, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerError {
    /// ERROR, FATAL or PANIC, in the server's language.
    pub severity: String,
    /// The SQLSTATE, five characters.
    pub code: String,
    /// What happened, in one line.
    pub message: String,
    /// More about what happened.
    pub detail: Option<String>,
    /// What might help.
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1.
    pub position: Option<String>,
    /// Where in [`internal_query`](Self::internal_query), in characters from 1.
    pub internal_position: Option<String>,
    /// The statement that a function of the server's generated and that failed.
    pub internal_query: Option<String>,
    /// The stack of calls that led here, newest first.
    pub context: Option<String>,
    /// The schema that the error is about.
    pub schema: Option<String>,
    /// The table that the error is about.
    pub table: Option<String>,
    /// The column that the error is about.
    pub column: Option<String>,
    /// The data type that the error is about.
    pub data_type: Option<String>,
    /// The constraint that was violated.
    pub constraint: Option<String>,
    /// The server's source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<String>,
    /// The function in it.
    pub routine: Option<String>,
    /// The severity again, never translated; servers before 9.6 leave it out.
    untranslated_severity: Option<String>,
}

impl ServerError {
    /// Whether the server ends the session with this error.
    pub fn ends_session(&self) -> bool {
        matches!(
            self.untranslated_severity
                .as_deref()
                .unwrap_or(&self.severity),
            "FATAL" | "PANIC"
        )
    }

    /// Whether the server is going away or not there yet: a shutdown by its administrator or a
    /// crash, a session closed for being idle, or a start that isn't over.
    pub fn is_unavailable(&self) -> bool {
        matches!(&*self.code, "57P01" | "57P02" | "57P03" | "57P05")
    }

    pub(crate) fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        // A malformed rest is dropped: what was read so far says more than a protocol error.
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
                // The protocol asks clients to ignore fields that they don't know.
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
