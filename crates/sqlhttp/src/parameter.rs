//! Statements and their parameters, each in Postgres' text format.

use bytes::Bytes;
use serde::Serialize;

use crate::array;

/// A statement and the values of its parameters `$1`, `$2`, ….
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    query: String,
    params: Vec<Parameter>,
}

impl Statement {
    /// Creates a statement without parameters.
    ///
    /// Postgres infers a parameter's type from the statement; where it can't, as in `select $1`, the type
    /// is `text`.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            params: Vec::new(),
        }
    }

    /// Adds the next parameter.
    #[must_use]
    pub fn bind(mut self, parameter: impl Into<Parameter>) -> Self {
        self.params.push(parameter.into());
        self
    }
}

/// A value in Postgres' text form, or NULL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Parameter(Option<String>);

impl Parameter {
    /// NULL.
    pub const NULL: Self = Self(None);

    /// Creates the value of a `json` or `jsonb` parameter.
    ///
    /// # Errors
    /// If serialization to JSON fails.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(Some(text)))
    }
}

impl<T: Into<Self>> From<Option<T>> for Parameter {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NULL, Into::into)
    }
}

/// A one-dimensional array.
impl<T: Into<Self>> From<Vec<T>> for Parameter {
    fn from(values: Vec<T>) -> Self {
        Self(Some(array::write(
            values.into_iter().map(|value| value.into().0),
        )))
    }
}

/// `bytea`, in hexadecimal (<https://www.postgresql.org/docs/current/datatype-binary.html>).
impl From<Bytes> for Parameter {
    fn from(bytes: Bytes) -> Self {
        Self(Some(format!("\\x{}", hex::encode(bytes))))
    }
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self(Some(text))
    }
}

/// Implements the conversion by `Display`, for types that it writes in a form that Postgres reads.
macro_rules! displayed {
    ($($(#[$attribute:meta])* $type:ty),* $(,)?) => {$(
        $(#[$attribute])*
        impl From<$type> for Parameter {
            fn from(value: $type) -> Self {
                Self(Some(value.to_string()))
            }
        }
    )*};
}

displayed! {
    bool, i16, i32, i64, u32,
    /// Postgres also reads `inf` and `NaN` as Rust writes them.
    f32,
    /// Postgres also reads `inf` and `NaN` as Rust writes them.
    f64,
    #[cfg(feature = "jiff")]
    jiff::Timestamp,
    #[cfg(feature = "jiff")]
    jiff::civil::DateTime,
    #[cfg(feature = "jiff")]
    jiff::civil::Date,
    #[cfg(feature = "jiff")]
    jiff::civil::Time,
    #[cfg(feature = "uuid")]
    uuid::Uuid,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parameter: impl Into<Parameter>) -> Option<String> {
        parameter.into().0
    }

    #[test]
    fn values_are_written_as_postgres_reads_them() {
        assert_eq!(text(i64::MIN).as_deref(), Some("-9223372036854775808"));
        assert_eq!(text(0.1).as_deref(), Some("0.1"));
        assert_eq!(text(f64::NEG_INFINITY).as_deref(), Some("-inf"));
        assert_eq!(text(true).as_deref(), Some("true"));
        assert_eq!(
            text(Bytes::from_static(&[0, 0x7f, 0xff])).as_deref(),
            Some("\\x007fff")
        );
        assert_eq!(
            text(vec![Some("a"), None]).as_deref(),
            Some(r#"{"a",NULL}"#)
        );
        assert_eq!(text(None::<i32>), None);
        let json = Parameter::json(&serde_json::json!([1, "two"])).unwrap();
        assert_eq!(text(json).as_deref(), Some(r#"[1,"two"]"#));
    }
}
