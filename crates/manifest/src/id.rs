//! Types of the names in a manifest. Parsing validates a name once; distinct types keep a component
//! id from being passed as a variable name.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::Serialize;

/// Id of a component: words of ASCII letters and digits, joined by `-` (kebab-case). Each word begins
/// with a letter and is all lower or all upper case. These are the rules of Spin's `KebabId` and of
/// names in the component model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ComponentId(String);

/// Name of a variable: lower-case words of ASCII letters and digits, joined by `_` (snake_case). Each
/// word begins with a letter. These are the rules of Spin's `LowerSnakeId`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct VariableName(String);

/// Name of a database role: lower-case ASCII letters, digits and `_`, not beginning with a digit, at
/// most 63 bytes. Such a name is the same with and without quotes in SQL (PostgreSQL manual,
/// "Identifiers and Key Words").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DatabaseRole(String);

/// Name of a mode, a set of components that run together: lower-case kebab-case, except `all`, which
/// stands for every component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Mode(String);

/// An invalid name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} {name:?}: {reason}")]
pub struct IdError {
    kind: &'static str,
    name: String,
    reason: String,
}

/// The mode that runs every component.
pub(crate) const ALL: &str = "all";

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        match check_words(name, '-', '_', false) {
            Ok(()) => Ok(Self(name.to_owned())),
            Err(reason) => Err(IdError::new("component id", name, reason)),
        }
    }
}

impl VariableName {
    /// Returns the names of the environment variables that can hold its value, in order of
    /// precedence: `SPIN_VARIABLE_<NAME>`, as in Spin, then `<NAME>`.
    pub fn environment_names(&self) -> [String; 2] {
        let name = self.0.to_ascii_uppercase();
        [format!("SPIN_VARIABLE_{name}"), name]
    }
}

impl FromStr for VariableName {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        match check_words(name, '_', '-', true) {
            Ok(()) => Ok(Self(name.to_owned())),
            Err(reason) => Err(IdError::new("variable name", name, reason)),
        }
    }
}

impl FromStr for DatabaseRole {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let reason = if name.is_empty() {
            "must not be empty"
        } else if name.len() > 63 {
            "longer than 63 bytes"
        } else if !name.chars().all(allowed) || name.starts_with(|c: char| c.is_ascii_digit()) {
            "expected lower-case ASCII letters, `_`, and digits after the first character"
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(IdError::new("database role", name, reason.to_owned()))
    }
}

impl FromStr for Mode {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        let reason = match check_words(name, '-', '_', true) {
            Err(reason) => reason,
            Ok(()) if name == ALL => "reserved for every component".to_owned(),
            Ok(()) => return Ok(Self(name.to_owned())),
        };
        Err(IdError::new("mode", name, reason))
    }
}

impl IdError {
    fn new(kind: &'static str, name: &str, reason: String) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            reason,
        }
    }
}

/// Checks the words of a name by Spin's rules (`crates/serde/src/id.rs`).
fn check_words(
    name: &str,
    separator: char,
    wrong_separator: char,
    lower: bool,
) -> Result<(), String> {
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.contains(wrong_separator) {
        return Err(format!(
            "words must be joined by `{separator}`, not `{wrong_separator}`"
        ));
    }
    name.split(separator).try_for_each(|word| {
        let Some(first) = word.chars().next() else {
            return Err(format!("a word is missing before or after `{separator}`"));
        };
        if !first.is_ascii_alphabetic() {
            Err(format!(
                "words must begin with an ASCII letter, not `{first}`"
            ))
        } else if let Some(other) = word.chars().find(|c| !c.is_ascii_alphanumeric()) {
            Err(format!(
                "words must have ASCII letters and digits only, not `{other}`"
            ))
        } else if lower && word.contains(|c: char| c.is_ascii_uppercase()) {
            Err("must be lower case".to_owned())
        } else if word.contains(|c: char| c.is_ascii_uppercase())
            && word.contains(|c: char| c.is_ascii_lowercase())
        {
            Err(format!("`{word}` must be all lower or all upper case"))
        } else {
            Ok(())
        }
    })
}

macro_rules! impl_str_traits {
    ($($name:ty),+) => {$(
        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}

impl_str_traits!(ComponentId, VariableName, DatabaseRole, Mode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_ids_are_kebab_case() {
        for good in ["a", "api", "image-worker", "v2", "UPPER-lower", "a1-b2"] {
            assert!(good.parse::<ComponentId>().is_ok(), "{good}");
        }
        for bad in [
            "", "-", "a-", "-a", "a--b", "a_b", "1a", "a-1", "Mixed", "a.b", "é",
        ] {
            assert!(bad.parse::<ComponentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn variable_names_are_lower_snake_case() {
        for good in ["a", "database_url", "a1", "s3_bucket"] {
            assert!(good.parse::<VariableName>().is_ok(), "{good}");
        }
        for bad in [
            "", "_a", "a_", "a__b", "a-b", "1a", "a_1", "A", "aB", "x.y", "bad+name",
        ] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_environment_name_of_spin_takes_precedence() {
        let name: VariableName = "database_url".parse().unwrap();
        assert_eq!(
            name.environment_names(),
            ["SPIN_VARIABLE_DATABASE_URL", "DATABASE_URL"]
        );
    }

    #[test]
    fn database_roles_are_valid_without_quotes() {
        for good in ["tirage_api", "_x", "a1"] {
            assert!(good.parse::<DatabaseRole>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "a-b", "A", "a;b", "a\"b", &"a".repeat(64)] {
            assert!(bad.parse::<DatabaseRole>().is_err(), "{bad}");
        }
    }

    #[test]
    fn all_is_reserved() {
        assert!("serverless-worker".parse::<Mode>().is_ok());
        assert!("all".parse::<Mode>().is_err());
    }
}
