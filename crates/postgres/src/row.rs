//! Columns and rows in text format.

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use crate::Error;

/// What the server says of one column of a result (RowDescription).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name, as in the statement.
    pub name: String,
    /// The table it comes from, 0 if none.
    pub table_oid: u32,
    /// Its number in that table, 0 if none.
    pub column_id: i16,
    /// Its type; for a domain, the type beneath.
    pub type_oid: u32,
    /// The type's size in bytes; negative for variable widths.
    pub type_size: i16,
    /// The type's modifier, such as the length of a varchar; -1 if none.
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

/// One row: for each column its text, or nothing for NULL. A view of the received bytes.
#[derive(Debug, Clone)]
pub struct Row(Bytes);

impl Row {
    pub(crate) fn read(body: &DataRowBody) -> Result<Self, Error> {
        // Checked once here, so that the iterator below cannot come to a malformed end.
        body.ranges()
            .count()
            .map_err(|error| Error::Protocol(error.to_string()))?;
        Ok(Self(body.buffer_bytes().clone()))
    }

    /// The values in the order of the columns. They are UTF-8 unless the session changed its
    /// `client_encoding` or the database has none (`SQL_ASCII`).
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

    /// The text of one value; nothing for NULL, for a column that isn't there, and for text that
    /// isn't UTF-8.
    pub fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.values().nth(column)??).ok()
    }

    /// The length of all values together, in bytes, with four for each.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}
