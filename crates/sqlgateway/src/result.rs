//! One statement's result as JSON, written while its rows arrive.
//!
//! `{"fields":[...],"rows":[...],"command":"SELECT","rowCount":1,"rowAsArray":false}`. Rows are
//! converted one by one, so memory is bounded by the limit on the response and not by the result. Rows
//! with a type that isn't known yet are buffered as received.

use serde::Serialize;
use tirage_postgres::{Column, Row};

use crate::array::write_array;
use crate::failure::Failure;
use crate::request::Options;
use crate::types::{Conversion, Scalar, Types};

/// The JSON of one statement's result while its rows arrive.
#[derive(Debug)]
pub(crate) struct QueryResult {
    json: Vec<u8>,
    columns: Vec<ResultColumn>,
    /// Rows with a type that must be looked up before they can be converted.
    buffered: Vec<Row>,
    buffered_size: usize,
    rows: usize,
    row_as_array: bool,
    tag: String,
}

#[derive(Debug)]
struct ResultColumn {
    /// The name as a JSON string, followed by a colon; empty if rows are arrays.
    key: Vec<u8>,
    type_oid: u32,
    conversion: Option<Conversion>,
}

impl QueryResult {
    /// Begins a result. `array_mode` is the query's own setting.
    pub(crate) fn new(
        columns: &[Column],
        options: Options,
        array_mode: Option<bool>,
        types: &Types,
    ) -> Self {
        let row_as_array = array_mode.unwrap_or(options.array_mode);
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(b"{\"fields\":");
        let fields: Vec<_> = columns.iter().map(Field::new).collect();
        write_json(&mut json, &fields);
        json.extend_from_slice(b",\"rows\":[");
        Self {
            json,
            columns: columns
                .iter()
                .map(|column| ResultColumn {
                    key: match row_as_array {
                        true => Vec::new(),
                        false => key(&column.name),
                    },
                    type_oid: column.type_oid,
                    conversion: if options.raw_text {
                        Some(Conversion::Scalar(Scalar::Text))
                    } else {
                        types.conversion(column.type_oid)
                    },
                })
                .collect(),
            buffered: Vec::new(),
            buffered_size: 0,
            rows: 0,
            row_as_array,
            tag: String::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Failure::Conversion`] for a value that doesn't match its type.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), Failure> {
        if self
            .columns
            .iter()
            .any(|column| column.conversion.is_none())
        {
            // A buffered row takes memory besides its bytes.
            self.buffered_size += row.size() + size_of::<Row>();
            self.buffered.push(row);
            return Ok(());
        }
        self.write(&row).map_err(|_malformed| Failure::Conversion)
    }

    /// Sets the command tag.
    pub(crate) fn complete(&mut self, tag: String) {
        self.tag = tag;
    }

    /// Returns the types that must be looked up before [`finish`](Self::finish).
    pub(crate) fn unknown_types(&self) -> impl Iterator<Item = u32> {
        self.columns
            .iter()
            .filter(|column| column.conversion.is_none())
            .map(|column| column.type_oid)
    }

    /// Memory in use in bytes; at the end the length of the JSON.
    pub(crate) fn size(&self) -> usize {
        self.json.len() + self.buffered_size
    }

    /// Converts buffered rows and returns the complete JSON.
    ///
    /// # Errors
    /// As for [`push`](Self::push), and [`Failure::ResponseTooLarge`] if the JSON is longer than `limit`.
    pub(crate) fn finish(mut self, types: &Types, limit: usize) -> Result<Vec<u8>, Failure> {
        for column in &mut self.columns {
            column.conversion = column
                .conversion
                .or_else(|| types.conversion(column.type_oid))
                .or(Some(Conversion::Scalar(Scalar::Text)));
        }
        for row in std::mem::take(&mut self.buffered) {
            self.push(row)?;
            if self.json.len() > limit {
                return Err(Failure::ResponseTooLarge(limit));
            }
        }
        self.json.extend_from_slice(b"],\"command\":");
        let command = self.tag.split(' ').next().unwrap_or_default();
        write_json(&mut self.json, &command);
        self.json.extend_from_slice(b",\"rowCount\":");
        write_json(&mut self.json, &row_count(&self.tag));
        self.json.extend_from_slice(b",\"rowAsArray\":");
        write_json(&mut self.json, &self.row_as_array);
        self.json.push(b'}');
        Ok(self.json)
    }

    fn write(&mut self, row: &Row) -> Result<(), Malformed> {
        if self.rows > 0 {
            self.json.push(b',');
        }
        self.rows += 1;
        self.json.push(if self.row_as_array { b'[' } else { b'{' });
        for (index, (column, value)) in self.columns.iter().zip(row.values()).enumerate() {
            if index > 0 {
                self.json.push(b',');
            }
            if !self.row_as_array {
                self.json.extend_from_slice(&column.key);
            }
            let Some(value) = value else {
                self.json.extend_from_slice(b"null");
                continue;
            };
            let text = std::str::from_utf8(value).map_err(|_error| Malformed)?;
            match column.conversion {
                None => write_scalar(&mut self.json, text, Scalar::Text)?,
                Some(Conversion::Scalar(scalar)) => write_scalar(&mut self.json, text, scalar)?,
                Some(Conversion::Array { delimiter, element }) => {
                    write_array(&mut self.json, text, delimiter, element)?;
                }
            }
        }
        self.json.push(if self.row_as_array { b']' } else { b'}' });
        Ok(())
    }
}

/// Error: a value's text doesn't match its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Appends one value that isn't an array.
pub(crate) fn write_scalar(
    json: &mut Vec<u8>,
    text: &str,
    scalar: Scalar,
) -> Result<(), Malformed> {
    match scalar {
        Scalar::Text => write_json(json, text),
        Scalar::Bool => write_json(json, &(text == "t")),
        Scalar::Integer => write_json(json, &text.parse::<i32>().map_err(|_error| Malformed)?),
        Scalar::Float => match text.parse::<f64>().map_err(|_error| Malformed)? {
            number if number.is_finite() => write_json(json, &number),
            _ => write_json(json, text),
        },
        Scalar::Json => json.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

/// Returns the row count of a command tag. `INSERT` has an OID before it.
fn row_count(tag: &str) -> Option<i64> {
    let mut words = tag.split(' ');
    let count = if words.next() == Some("INSERT") {
        words.nth(1)
    } else {
        words.next()
    };
    count?.parse().ok()
}

fn key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 3);
    write_json(&mut key, name);
    key.push(b':');
    key
}

fn write_json(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Serializing these types into memory can't fail.
    let _written = serde_json::to_writer(json, value);
}

/// The description of a column.
#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    #[serde(rename = "dataTypeID")]
    data_type_id: u32,
    #[serde(rename = "tableID")]
    table_id: u32,
    #[serde(rename = "columnID")]
    column_id: i16,
    #[serde(rename = "dataTypeSize")]
    data_type_size: i16,
    #[serde(rename = "dataTypeModifier")]
    data_type_modifier: i32,
    format: &'static str,
}

impl<'a> Field<'a> {
    fn new(column: &'a Column) -> Self {
        Self {
            name: &column.name,
            data_type_id: column.type_oid,
            table_id: column.table_oid,
            column_id: column.column_id,
            data_type_size: column.type_size,
            data_type_modifier: column.type_modifier,
            format: "text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_counts_are_read_from_tags() {
        for (tag, expected) in [
            ("SELECT 3", Some(3)),
            ("INSERT 0 2", Some(2)),
            ("UPDATE 0", Some(0)),
            ("CREATE TABLE", None),
            ("BEGIN", None),
            ("", None),
        ] {
            assert_eq!(row_count(tag), expected, "{tag}");
        }
    }

    #[test]
    fn scalars_as_json() {
        for (text, scalar, expected) in [
            ("a\"\n\u{1}ü", Scalar::Text, r#""a\"\n\u0001ü""#),
            ("t", Scalar::Bool, "true"),
            ("-32768", Scalar::Integer, "-32768"),
            ("1e+20", Scalar::Float, "1e+20"),
            ("42.42", Scalar::Float, "42.42"),
            ("NaN", Scalar::Float, "\"NaN\""),
            ("Infinity", Scalar::Float, "\"Infinity\""),
            ("{\"a\": [1]}", Scalar::Json, "{\"a\": [1]}"),
        ] {
            let mut json = Vec::new();
            write_scalar(&mut json, text, scalar).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), expected);
        }
        assert_eq!(
            write_scalar(&mut Vec::new(), "x", Scalar::Integer),
            Err(Malformed)
        );
    }
}
