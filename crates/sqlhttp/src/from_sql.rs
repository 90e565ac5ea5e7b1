//! Conversion of a column's text to a Rust value, by the column's type.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::array;
use crate::types::Type;

/// A Rust type that columns of certain Postgres types convert to.
pub trait FromSql: Sized {
    /// Converts a value.
    ///
    /// # Errors
    /// [`ConversionError`] if this type isn't for the column's type, or can't hold the value.
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError>;
}

/// The value of a column in one row.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The column's type.
    pub data_type: Type,
    /// The value as Postgres writes it, or `None` for NULL.
    pub text: Option<&'a str>,
}

/// A column can't be converted to the requested type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// This Rust type isn't for columns of this type.
    #[error("{data_type} can't be read as {target}")]
    Type {
        /// The column's type.
        data_type: Type,
        /// The Rust type.
        target: &'static str,
    },
    /// The value is NULL; use an `Option`.
    #[error("unexpected NULL")]
    Null,
    /// This Rust type can't hold the value.
    #[error("{data_type} value can't be read as {target}")]
    Invalid {
        /// The column's type.
        data_type: Type,
        /// The Rust type.
        target: &'static str,
    },
}

impl<'a> Value<'a> {
    /// Returns the text if the column is of one of `types` and not NULL.
    fn expect<T>(self, types: &[Type]) -> Result<&'a str, ConversionError> {
        if !types.contains(&self.data_type) {
            return Err(ConversionError::Type {
                data_type: self.data_type,
                target: std::any::type_name::<T>(),
            });
        }
        self.text.ok_or(ConversionError::Null)
    }

    fn invalid<T>(self) -> ConversionError {
        ConversionError::Invalid {
            data_type: self.data_type,
            target: std::any::type_name::<T>(),
        }
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        match value.text {
            None => Ok(None),
            Some(_) => T::from_sql(value).map(Some),
        }
    }
}

/// The text of any type, as Postgres writes it.
impl FromSql for String {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        value.text.map(str::to_owned).ok_or(ConversionError::Null)
    }
}

impl FromSql for bool {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        match value.expect::<Self>(&[Type::BOOL])? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(value.invalid::<Self>()),
        }
    }
}

/// Implements [`FromSql`] by `FromStr`, for types that parse Postgres' text format.
macro_rules! parsed {
    ($($(#[$attribute:meta])* $rust:ty: $($postgres:ident)*;)*) => {$(
        $(#[$attribute])*
        impl FromSql for $rust {
            fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
                value
                    .expect::<Self>(&[$(Type::$postgres),*])?
                    .parse()
                    .map_err(|_| value.invalid::<Self>())
            }
        }
    )*};
}

parsed! {
    i16: INT2;
    i32: INT2 INT4;
    i64: INT2 INT4 INT8;
    u32: OID;
    f32: FLOAT4;
    f64: FLOAT4 FLOAT8;
    #[cfg(feature = "uuid")]
    uuid::Uuid: UUID;
    /// Requires the session's `DateStyle` to be ISO, which is the default. `infinity` is refused.
    #[cfg(feature = "jiff")]
    jiff::Timestamp: TIMESTAMPTZ;
    #[cfg(feature = "jiff")]
    jiff::civil::DateTime: TIMESTAMP;
    #[cfg(feature = "jiff")]
    jiff::civil::Date: DATE;
    #[cfg(feature = "jiff")]
    jiff::civil::Time: TIME;
}

/// Requires the session's `bytea_output` to be `hex`, which is the default.
impl FromSql for Bytes {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        value
            .expect::<Self>(&[Type::BYTEA])?
            .strip_prefix("\\x")
            .and_then(|digits| hex::decode(digits).ok())
            .map(Self::from)
            .ok_or_else(|| value.invalid::<Self>())
    }
}

/// A `json` or `jsonb` column, read as the type within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        serde_json::from_str(value.expect::<Self>(&[Type::JSON, Type::JSONB])?)
            .map(Self)
            .map_err(|_| value.invalid::<Self>())
    }
}

/// A one-dimensional array.
impl<T: FromSql> FromSql for Vec<T> {
    fn from_sql(value: Value<'_>) -> Result<Self, ConversionError> {
        let Some(data_type) = value.data_type.element() else {
            return Err(ConversionError::Type {
                data_type: value.data_type,
                target: std::any::type_name::<Self>(),
            });
        };
        array::read(value.text.ok_or(ConversionError::Null)?)
            .ok_or_else(|| value.invalid::<Self>())?
            .iter()
            .map(|element| {
                T::from_sql(Value {
                    data_type,
                    text: element.as_deref(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromSql>(data_type: Type, text: &str) -> Result<T, ConversionError> {
        T::from_sql(Value {
            data_type,
            text: Some(text),
        })
    }

    fn read_null<T: FromSql>(data_type: Type) -> Result<T, ConversionError> {
        T::from_sql(Value {
            data_type,
            text: None,
        })
    }

    #[test]
    fn reads_values_as_postgres_writes_them() {
        assert_eq!(read(Type::INT8, "-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(read(Type::INT2, "7"), Ok(7_i64));
        assert_eq!(read(Type::BOOL, "t"), Ok(true));
        assert_eq!(read(Type::FLOAT8, "-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(read::<f64>(Type::FLOAT8, "NaN").unwrap().is_nan());
        assert_eq!(read(Type::NUMERIC, "1e400"), Ok("1e400".to_owned()));
        assert_eq!(
            read(Type::BYTEA, "\\x00ff"),
            Ok(Bytes::from_static(&[0, 255]))
        );
        assert_eq!(
            read(Type::JSONB, r#"{"a": [1]}"#),
            Ok(Json(serde_json::json!({"a": [1]})))
        );
        assert_eq!(read(Type(1016), "{1,NULL}"), Ok(vec![Some(1_i64), None]));
        assert_eq!(
            read(Type(1001), r#"{"\\x01","\\x"}"#),
            Ok(vec![Bytes::from_static(&[1]), Bytes::new()])
        );
    }

    #[test]
    fn only_options_hold_null() {
        assert_eq!(read_null(Type::INT4), Ok(None::<i32>));
        assert_eq!(read_null::<i32>(Type::INT4), Err(ConversionError::Null));
        assert_eq!(read_null::<String>(Type::TEXT), Err(ConversionError::Null));
        assert_eq!(read_null(Type(1009)), Ok(None::<Vec<String>>));
        assert_eq!(
            read::<Vec<String>>(Type(1009), "{NULL}"),
            Err(ConversionError::Null)
        );
    }

    #[test]
    fn a_type_that_does_not_fit_is_refused_and_never_rounded() {
        assert!(matches!(
            read::<i32>(Type::INT8, "1"),
            Err(ConversionError::Type { .. })
        ));
        assert!(matches!(
            read::<f64>(Type::NUMERIC, "0.1"),
            Err(ConversionError::Type { .. })
        ));
        assert!(matches!(
            read::<Vec<i64>>(Type::TEXT, "{1}"),
            Err(ConversionError::Type { .. })
        ));
        assert!(matches!(
            read::<i16>(Type::INT2, "40000"),
            Err(ConversionError::Invalid { .. })
        ));
        assert!(matches!(
            read::<Bytes>(Type::BYTEA, "\\x0"),
            Err(ConversionError::Invalid { .. })
        ));
        assert_eq!(
            read::<i32>(Type::TEXT, "1").unwrap_err().to_string(),
            "text can't be read as i32"
        );
    }

    #[cfg(feature = "jiff")]
    #[test]
    fn reads_times_as_postgres_writes_them() {
        let time: jiff::Timestamp =
            read(Type::TIMESTAMPTZ, "2026-11-20 10:00:00.000001+00").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T10:00:00.000001Z");
        let time: jiff::Timestamp = read(Type::TIMESTAMPTZ, "2026-11-20 10:00:00-03:30").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T13:30:00Z");
        assert!(read::<jiff::Timestamp>(Type::TIMESTAMPTZ, "infinity").is_err());
        assert!(read::<jiff::Timestamp>(Type::TIMESTAMP, "2026-11-20 10:00:00").is_err());
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn reads_uuids_as_postgres_writes_them() {
        let text = "018f9c3e-5b7a-7c1d-8e2f-0123456789ab";
        assert_eq!(
            read::<uuid::Uuid>(Type::UUID, text).unwrap().to_string(),
            text
        );
    }
}
