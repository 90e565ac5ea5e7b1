//! One statement's result as JSON, written while its rows arrive.
//!
//! `{"fields":[...],"rows":[...],"command":"SELECT","rowCount":1,"rowAsArray":false}`. Rows are
//! turned into JSON one by one, so that memory is bounded by the limit on the answer and not by the
//! result. Only where a type isn't known yet do rows wait as they came.

use serde::Serialize;
use tirage_postgres::{Column, Row};

use crate::array::write_array;
use crate::failure::Failure;
use crate::request::Options;
use crate::types::{Conversion, Scalar, Types};

/// The JSON of one statement's result, in the making.
#[derive(Debug)]
pub(crate) struct Answer {
    json: Vec<u8>,
    columns: Vec<AnswerColumn>,
    /// Rows whose types must be looked up before they can be written.
    waiting: Vec<Row>,
    waiting_size: usize,
    rows: usize,
    row_as_array: bool,
    tag: String,
}

#[derive(Debug)]
struct AnswerColumn {
    /// The name as a JSON string, with the colon; empty where rows are arrays.
    key: Vec<u8>,
    type_oid: u32,
    conversion: Option<Conversion>,
}

impl Answer {
    /// Begins with the result's columns. `array_mode` is the query's own wish.
    pub(crate) fn begin(
        columns: &[Column],
        options: Options,
        array_mode: Option<bool>,
        types: &Types,
    ) -> Self {
        let row_as_array = array_mode.unwrap_or(options.array_mode);
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(b"{\"fields\":[");
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            write_field(&mut json, column);
        }
        json.extend_from_slice(b"],\"rows\":[");
        Self {
            json,
            columns: columns
                .iter()
                .map(|column| AnswerColumn {
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
            waiting: Vec::new(),
            waiting_size: 0,
            rows: 0,
            row_as_array,
            tag: String::new(),
        }
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// [`Failure::Conversion`] for a value that isn't what its type says.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), Failure> {
        if self
            .columns
            .iter()
            .any(|column| column.conversion.is_none())
        {
            // What a row costs while it waits, besides its bytes.
            self.waiting_size += row.size() + size_of::<Row>();
            self.waiting.push(row);
            return Ok(());
        }
        self.write(&row).map_err(|_malformed| Failure::Conversion)
    }

    /// Takes the command tag.
    pub(crate) fn complete(&mut self, tag: String) {
        self.tag = tag;
    }

    /// The types that must be looked up before [`finish`](Self::finish).
    pub(crate) fn unknown_types(&self) -> impl Iterator<Item = u32> {
        self.columns
            .iter()
            .filter(|column| column.conversion.is_none())
            .map(|column| column.type_oid)
    }

    /// The memory that it takes so far, in bytes; at the end the length of its JSON.
    pub(crate) fn size(&self) -> usize {
        self.json.len() + self.waiting_size
    }

    /// Writes what had to wait, and the end.
    ///
    /// # Errors
    /// As for [`push`](Self::push); [`Failure::ResponseTooLarge`] if it gets longer than `limit`.
    pub(crate) fn finish(mut self, types: &Types, limit: usize) -> Result<Vec<u8>, Failure> {
        for column in &mut self.columns {
            column.conversion = column
                .conversion
                .or_else(|| types.conversion(column.type_oid))
                .or(Some(Conversion::Scalar(Scalar::Text)));
        }
        for row in std::mem::take(&mut self.waiting) {
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

/// A value's text is not what its type promises.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Appends one value that is no array.
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

/// The number at the end of a command tag. `INSERT` has an OID before it.
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
    // Serialization of these types into memory has no way to fail; if it had, the JSON would be
    // cut short, and the client's parser would say so.
    let _written = serde_json::to_writer(json, value);
}

/// Writes a column as the answer describes it.
fn write_field(json: &mut Vec<u8>, column: &Column) {
    json.extend_from_slice(b"{\"name\":");
    write_json(json, column.name.as_str());
    json.extend_from_slice(b",\"dataTypeID\":");
    write_json(json, &column.type_oid);
    json.extend_from_slice(b",\"tableID\":");
    write_json(json, &column.table_oid);
    json.extend_from_slice(b",\"columnID\":");
    write_json(json, &column.column_id);
    json.extend_from_slice(b",\"dataTypeSize\":");
    write_json(json, &column.type_size);
    json.extend_from_slice(b",\"dataTypeModifier\":");
    write_json(json, &column.type_modifier);
    json.extend_from_slice(b",\"format\":\"text\"}");
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
