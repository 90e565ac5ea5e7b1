//! The rows that a statement returned.

use crate::error::Error;
use crate::from_sql::{FromSql, Value};
use crate::protocol::Field;

/// The rows of one statement, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    fields: Vec<Field>,
    rows: Vec<Vec<Option<String>>>,
    affected: Option<u64>,
}

impl Rows {
    /// Creates rows, each of which must be as long as `fields`.
    pub(crate) fn new(
        fields: Vec<Field>,
        rows: Vec<Vec<Option<String>>>,
        affected: Option<u64>,
    ) -> Self {
        Self {
            fields,
            rows,
            affected,
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// `true` if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns how many rows the statement read or changed; `None` for statements for which Postgres
    /// reports no count (`CREATE`, `SET`).
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }

    /// Iterates over the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row {
            fields: &self.fields,
            values,
        })
    }

    /// Returns the first row, if any.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// Returns the only row.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there isn't exactly one.
    pub fn single(&self) -> Result<Row<'_>, Error> {
        let mut rows = self.iter();
        match (rows.next(), rows.next()) {
            (Some(row), None) => Ok(row),
            _ => Err(Error::RowCount(self.len())),
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    fields: &'a [Field],
    values: &'a [Option<String>],
}

impl Row<'_> {
    /// Returns the value of the first column called `name`.
    ///
    /// # Errors
    /// [`Error::Column`] if there is no such column, or `T` can't hold its type or value.
    pub fn get<T: FromSql>(&self, name: &str) -> Result<T, Error> {
        let (field, text) = self
            .fields
            .iter()
            .zip(self.values)
            .find(|(field, _)| field.name == name)
            .ok_or_else(|| Error::column(name, "no such column"))?;
        T::from_sql(Value {
            data_type: field.data_type,
            text: text.as_deref(),
        })
        .map_err(|error| Error::column(name, error))
    }
}
