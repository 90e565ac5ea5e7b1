//! Columns and rows in text format.

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use crate::Error;

/// The description of a column (RowDescription).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in the statement.
    pub name: String,
    /// OID of its table, or 0.
    pub table_oid: u32,
    /// Number in that table, or 0.
    pub column_id: i16,
    /// OID of its type; for a domain, of the underlying type.
    pub type_oid: u32,
    /// Size of the type in bytes; negative for a variable size.
    pub type_size: i16,
    /// Modifier of the type, such as the length of a varchar, or -1.
    pub type_modifier: i32,
}

impl Column {
    pub(crate) fn read_all(body: &RowDescriptionBody) -> Result<Vec<Self>, Error> {
        body.fields()
            .map(|field| {
                Ok(Self {
                    name: field.name().to_owned(),
                    table_oid: field.table_oid(),
                    column_id: field.column_id(),
                    type_oid: field.type_oid(),
                    type_size: field.type_size(),
                    type_modifier: field.type_modifier(),
                })
            })
            .collect()
            .map_err(|error| Error::Protocol(error.to_string()))
    }
}

/// One row: a text or NULL for each column. A view of the received bytes.
#[derive(Debug, Clone)]
pub struct Row(Bytes);

impl Row {
    pub(crate) fn read(body: &DataRowBody) -> Result<Self, Error> {
        // Validates the whole row once, so that the iterator below can't fail.
        body.ranges()
            .count()
            .map_err(|error| Error::Protocol(error.to_string()))?;
        Ok(Self(body.buffer_bytes().clone()))
    }

    /// Returns the values in the order of the columns. They are UTF-8 unless the session has changed its
    /// `client_encoding` or the database has no encoding (`SQL_ASCII`).
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        // Each value is a length, -1 for NULL, and that many bytes.
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            rest = after;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                return Some(None);
            };
            let (value, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(Some(value))
        })
    }

    /// Returns the text of one value; `None` for NULL, for a missing column and for text that isn't UTF-8.
    pub fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.values().nth(column)??).ok()
    }

    /// Length of all values in bytes, plus four for each.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}
