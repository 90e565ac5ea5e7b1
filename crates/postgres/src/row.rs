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

/// One row: for each column its text, or nothing for NULL.
#[derive(Debug, Clone)]
pub struct Row {
    bytes: Bytes,
    values: Vec<Option<std::ops::Range<usize>>>,
}

impl Row {
    pub(crate) fn read(body: &DataRowBody) -> Result<Self, Error> {
        Ok(Self {
            values: body
                .ranges()
                .collect()
                .map_err(|error| Error::Protocol(error.to_string()))?,
            bytes: body.buffer_bytes().clone(),
        })
    }

    /// The values in the order of the columns. They are UTF-8 unless the session changed its
    /// `client_encoding` or the database has none (`SQL_ASCII`).
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.values.iter().map(|range| {
            // The ranges were checked against the buffer when the row was read.
            range
                .clone()
                .map(|range| self.bytes.get(range).unwrap_or_default())
        })
    }

    /// The text of one value; nothing for NULL, for a column that isn't there, and for text that
    /// isn't UTF-8.
    pub fn text(&self, column: usize) -> Option<&str> {
        let range = self.values.get(column)?.clone()?;
        std::str::from_utf8(self.bytes.get(range)?).ok()
    }
}
