//! The parts of `spin.toml` that the commands need. The router validates the whole file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::repository::Repository;

/// A component whose source is a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// The component's file, relative to the repository's root.
    pub(crate) source: PathBuf,
    /// The world, which limits its imports.
    pub(crate) world: Option<String>,
}

/// Returns the components of the repository's `spin.toml`.
///
/// # Errors
/// When the file can't be read or isn't TOML.
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
            let world = || component.get("tool")?.get("tirage")?.get("world")?.as_str();
            Some(Component {
                source: component.get("source")?.as_str()?.into(),
                world: world().map(str::to_owned),
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_with_a_url_as_source_are_skipped() {
        let components = parse(
            r#"
            spin_manifest_version = 2
            [component.api]
            source = "build/api.wasm"
            [component.api.tool.tirage]
            world = "api"
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
            },
            Component {
                source: "build/plain.wasm".into(),
                world: None,
            },
        ];
        assert_eq!(components, expected);
    }
}
