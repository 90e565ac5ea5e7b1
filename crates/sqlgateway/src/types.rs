//! Which Postgres types become which JSON.
//!
//! In raw mode everything is text and nobody asks. Otherwise a column's type must be known: the
//! built-in ones are (from `postgres-types`), and of all others only one thing matters, whether they
//! are arrays and of what. That is asked of the server once and remembered; an OID doesn't change
//! its meaning while a database lives, except by wrapping around after four thousand million types.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use postgres_types::{Kind, Type};
use tirage_postgres::Row;

/// How a value's text becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// One value.
    Scalar(Scalar),
    /// An array, of any number of dimensions.
    Array {
        /// What is between elements: a comma, except for `box`.
        delimiter: u8,
        /// What each element is.
        element: Scalar,
    },
}

/// What one value becomes.
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

/// The types of one database, as far as they have been met.
#[derive(Debug, Default)]
pub(crate) struct Types(Mutex<HashMap<u32, Conversion>>);

impl Types {
    /// Asks for the arrays among the types in `$1`: OID, element's OID, delimiter.
    pub(crate) const LOOKUP: &'static str = "select oid, typelem, typdelim from pg_catalog.pg_type \
         where oid = any($1::pg_catalog.oid[]) and typlen = -1 and typelem <> 0 and typtype = 'b'";

    /// How values of this type are converted, if that is known.
    pub(crate) fn conversion(&self, type_oid: u32) -> Option<Conversion> {
        let Some(built_in) = Type::from_oid(type_oid) else {
            return self.lock().get(&type_oid).copied();
        };
        Some(match built_in.kind() {
            // These two are arrays to Postgres, but their text is numbers between spaces.
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

    /// The parameter of [`LOOKUP`](Self::LOOKUP).
    pub(crate) fn lookup_parameter(asked: &[u32]) -> String {
        let oids: Vec<_> = asked.iter().map(u32::to_string).collect();
        format!("{{{}}}", oids.join(","))
    }

    /// Remembers the answer of [`LOOKUP`](Self::LOOKUP); what was asked and isn't in the answer is
    /// no array.
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
        // What is inside is right after every single insertion.
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
    fn what_was_asked_and_not_answered_is_no_array() {
        let types = Types::default();
        assert_eq!(types.conversion(16_400), None);
        types.learn(&[16_400], &[]);
        assert_eq!(
            types.conversion(16_400),
            Some(Conversion::Scalar(Scalar::Text))
        );
    }
}
