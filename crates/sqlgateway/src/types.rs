//! Maps Postgres types to JSON types.
//!
//! In raw mode every value is text, so the types don't matter. Otherwise the built-in types are known
//! from `postgres-types`. For other types the gateway needs only the element type of an array; it asks
//! the server once and caches the result. An OID keeps its meaning while the database exists, except
//! after four thousand million new types.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use postgres_types::{Kind, Type};
use tirage_postgres::Row;

/// Conversion of a value from text to JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// One value.
    Scalar(Scalar),
    /// An array, of any number of dimensions.
    Array {
        /// Delimiter of elements: a comma, except for `box`.
        delimiter: u8,
        /// Conversion of each element.
        element: Scalar,
    },
}

/// JSON type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// A JSON string with the text as it is.
    Text,
    /// `t` and `f`.
    Bool,
    /// A number that every JSON reader represents exactly.
    Integer,
    /// A number, or a string for NaN and the infinities, which JSON doesn't have.
    Float,
    /// The text is JSON itself.
    Json,
}

impl Scalar {
    fn of(type_oid: u32) -> Self {
        match Type::from_oid(type_oid) {
            Some(Type::BOOL) => Self::Bool,
            Some(Type::INT2 | Type::INT4) => Self::Integer,
            Some(Type::FLOAT4 | Type::FLOAT8) => Self::Float,
            Some(Type::JSON | Type::JSONB) => Self::Json,
            _ => Self::Text,
        }
    }
}

/// The types of one database that the gateway has seen.
#[derive(Debug, Default)]
pub(crate) struct Types(Mutex<HashMap<u32, Conversion>>);

impl Types {
    /// Query for the arrays among the types in `$1`: OID, element's OID, delimiter.
    pub(crate) const LOOKUP: &'static str = "select oid, typelem, typdelim from pg_catalog.pg_type \
         where oid = any($1::pg_catalog.oid[]) and typlen = -1 and typelem <> 0 and typtype = 'b'";

    /// Returns the conversion for a type, if the type is known.
    pub(crate) fn conversion(&self, type_oid: u32) -> Option<Conversion> {
        let Some(built_in) = Type::from_oid(type_oid) else {
            return self.lock().get(&type_oid).copied();
        };
        Some(match built_in.kind() {
            // Postgres defines both as arrays, but their text is numbers between spaces.
            _ if matches!(built_in, Type::INT2_VECTOR | Type::OID_VECTOR) => {
                Conversion::Scalar(Scalar::Text)
            }
            Kind::Array(element) => Conversion::Array {
                delimiter: if *element == Type::BOX { b';' } else { b',' },
                element: Scalar::of(element.oid()),
            },
            _ => Conversion::Scalar(Scalar::of(type_oid)),
        })
    }

    /// Returns the parameter of [`LOOKUP`](Self::LOOKUP).
    pub(crate) fn lookup_parameter(asked: &[u32]) -> String {
        let oids: Vec<_> = asked.iter().map(u32::to_string).collect();
        format!("{{{}}}", oids.join(","))
    }

    /// Caches the result of [`LOOKUP`](Self::LOOKUP). Types that are not in the result are no arrays.
    pub(crate) fn learn(&self, asked: &[u32], rows: &[Row]) {
        let mut types = self.lock();
        for type_oid in asked {
            types.insert(*type_oid, Conversion::Scalar(Scalar::Text));
        }
        for row in rows {
            let number = |column| row.text(column).and_then(|text| text.parse().ok());
            if let (Some(type_oid), Some(element), Some(delimiter)) = (
                number(0),
                number(1),
                row.text(2).and_then(|text| text.bytes().next()),
            ) {
                let element = Scalar::of(element);
                types.insert(type_oid, Conversion::Array { delimiter, element });
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Conversion>> {
        // Every single insertion leaves it valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_types_are_known() {
        let types = Types::default();
        let scalar = |scalar| Some(Conversion::Scalar(scalar));
        let array = |delimiter, element| Some(Conversion::Array { delimiter, element });
        for (built_in, expected) in [
            (Type::INT4, scalar(Scalar::Integer)),
            (Type::INT8, scalar(Scalar::Text)),
            (Type::NUMERIC, scalar(Scalar::Text)),
            (Type::FLOAT4, scalar(Scalar::Float)),
            (Type::JSONB, scalar(Scalar::Json)),
            (Type::INT2_VECTOR, scalar(Scalar::Text)),
            (Type::INT4_ARRAY, array(b',', Scalar::Integer)),
            (Type::BOX_ARRAY, array(b';', Scalar::Text)),
            (Type::JSONB_ARRAY, array(b',', Scalar::Json)),
        ] {
            assert_eq!(types.conversion(built_in.oid()), expected, "{built_in}");
        }
    }

    #[test]
    fn a_type_that_the_lookup_does_not_return_is_no_array() {
        let types = Types::default();
        assert_eq!(types.conversion(16_400), None);
        types.learn(&[16_400], &[]);
        assert_eq!(
            types.conversion(16_400),
            Some(Conversion::Scalar(Scalar::Text))
        );
    }
}
