//! `spin:variables@3.0.0`: the variables of a component.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use crate::state::InstanceState;

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wasmtime::component::bindgen!({
        inline: "
            package spin:variables@3.0.0;

            interface variables {
                get: async func(name: string) -> result<string, error>;

                variant error {
                    invalid-name(string),
                    undefined(string),
                    provider(string),
                    other(string),
                }
            }

            world host {
                import variables;
            }
        ",
    });
}

use bindings::spin::variables::variables::{Error, Host, HostWithStore};

/// Variables of a component by name, resolved once at start.
#[derive(Clone, Default)]
pub struct Variables(Arc<BTreeMap<String, String>>);

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().collect()))
    }
}

/// Shows only the names, because values may be secret.
impl std::fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    bindings::spin::variables::variables::add_to_linker::<_, HasSelf<InstanceState>>(
        linker,
        |state| state,
    )
}

impl Host for InstanceState {}

impl<T> HostWithStore<T> for HasSelf<InstanceState> {
    async fn get(
        accessor: &wasmtime::component::Accessor<T, Self>,
        name: String,
    ) -> Result<String, Error> {
        if !is_valid_name(&name) {
            return Err(Error::InvalidName(name));
        }
        accessor
            .with(|mut access| access.get().variables.0.get(&name).cloned())
            .ok_or(Error::Undefined(name))
    }
}

/// `true` if the name has lower-case letters, digits and single underscores between them, and begins
/// with a letter (as `Key` in Spin's crate `spin-expressions`).
fn is_valid_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_snake_case() {
        for valid in ["a", "database_http_url", "a1_b2"] {
            assert!(is_valid_name(valid), "{valid}");
        }
        for invalid in ["", "A", "1a", "_a", "a_", "a__b", "a-b", "a.b", "ä"] {
            assert!(!is_valid_name(invalid), "{invalid}");
        }
    }

    #[test]
    fn debug_output_hides_values() {
        let variables: Variables = [("password".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(format!("{variables:?}"), r#"{"password"}"#);
    }
}
