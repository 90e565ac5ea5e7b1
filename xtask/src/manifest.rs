//! What we need to know from `spin.toml`. The router is the one that reads all of it, and is strict.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::repository::Repository;

/// A component that the manifest makes from a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Its file, relative to the repository's root.
    pub(crate) source: PathBuf,
    /// What it may import.
    pub(crate) world: Option<String>,
    /// Whom it is to the database.
    pub(crate) database_role: Option<String>,
}

/// The components of the repository's `spin.toml`.
///
/// # Errors
/// When it can't be read or isn't TOML.
pub(crate) fn components(repository: &Repository) -> Result<Vec<Component>> {
    let path = repository.root().join("spin.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} isn't valid", path.display()))
}

fn parse(manifest: &str) -> Result<Vec<Component>> {
    let manifest: toml::Table = manifest.parse()?;
    let components = manifest.get("component").and_then(toml::Value::as_table);
    Ok(components
        .into_iter()
        .flat_map(toml::Table::values)
        .filter_map(|component| {
            let setting = |name: &str| {
                let value = component.get("tool")?.get("tirage")?.get(name)?;
                Some(value.as_str()?.to_owned())
            };
            Some(Component {
                source: component.get("source")?.as_str()?.into(),
                world: setting("world"),
                database_role: setting("database_role"),
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_from_elsewhere_are_none_of_ours() {
        let components = parse(
            r#"
            spin_manifest_version = 2
            [component.api]
            source = "build/api.wasm"
            [component.api.tool.tirage]
            world = "api"
            database_role = "tirage_api"
            [component.elsewhere]
            source = { url = "https://example.com/x.wasm", digest = "sha256:0" }
            [component.plain]
            source = "build/plain.wasm"
            "#,
        )
        .unwrap();
        let expected = [
            Component {
                source: "build/api.wasm".into(),
                world: Some("api".into()),
                database_role: Some("tirage_api".into()),
            },
            Component {
                source: "build/plain.wasm".into(),
                world: None,
                database_role: None,
            },
        ];
        assert_eq!(components, expected);
    }
}
