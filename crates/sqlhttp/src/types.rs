//! The column types that this client knows, by their object identifiers.

use std::fmt;

/// A Postgres type: its object identifier, `dataTypeID` in the protocol.
///
/// Identifiers of built-in types never change. They are listed in
/// <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(transparent)]
pub struct Type(pub u32);

macro_rules! types {
    ($($constant:ident $number:literal $array:literal $name:literal)*) => {
        impl Type {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self($number);
            )*

            /// Returns the type of this array's elements, if this is an array of a known type.
            pub fn element(self) -> Option<Self> {
                match self.0 {
                    $($array => Some(Self::$constant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => formatter.write_str($name),)*
                    $($array => formatter.write_str(concat!($name, "[]")),)*
                    number => write!(formatter, "type {number}"),
                }
            }
        }
    };
}

types! {
    BOOL 16 1000 "boolean"
    BYTEA 17 1001 "bytea"
    NAME 19 1003 "name"
    INT8 20 1016 "bigint"
    INT2 21 1005 "smallint"
    INT4 23 1007 "integer"
    TEXT 25 1009 "text"
    OID 26 1028 "oid"
    JSON 114 199 "json"
    FLOAT4 700 1021 "real"
    FLOAT8 701 1022 "double precision"
    BPCHAR 1042 1014 "character"
    VARCHAR 1043 1015 "character varying"
    DATE 1082 1182 "date"
    TIME 1083 1183 "time"
    TIMESTAMP 1114 1115 "timestamp"
    TIMESTAMPTZ 1184 1185 "timestamp with time zone"
    NUMERIC 1700 1231 "numeric"
    UUID 2950 2951 "uuid"
    JSONB 3802 3807 "jsonb"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_types_of_arrays() {
        assert_eq!(Type(1009).element(), Some(Type::TEXT));
        assert_eq!(Type::TEXT.element(), None);
        assert_eq!(Type(1016).to_string(), "bigint[]");
        assert_eq!(Type(600).to_string(), "type 600");
    }
}
