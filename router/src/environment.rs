//! Settings: the process environment first, then the `.env` file beside the manifest.
//!
//! The file is read and not loaded into the environment of the process, so that child processes don't
//! inherit it. Values may be secret and are never logged.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;

/// Returns the folder that a manifest's paths are relative to.
pub(crate) fn folder_of(manifest: &Path) -> &Path {
    match manifest.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The settings of this process.
pub(crate) struct Environment {
    process: HashMap<String, String>,
    file: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the environment, and `.env` in `folder` if it exists.
    ///
    /// # Errors
    /// When the file exists and can't be read or parsed.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(".env");
        let file = if path.exists() {
            dotenvy::from_path_iter(&path)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read {}", path.display()))?
        } else {
            BTreeMap::new()
        };
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self { process, file })
    }

    /// Returns a setting's value. A setting with an empty value counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.process
            .get(name)
            .or_else(|| self.file.get(name))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns a setting's value as `T`.
    ///
    /// # Errors
    /// When it is set and can't be parsed. The error names the setting and not its value.
    pub(crate) fn parse<T>(&self, name: &str) -> anyhow::Result<Option<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|error| anyhow::anyhow!("invalid {name}: {error}"))
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_environment_wins_and_an_empty_value_is_not_set() {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment {
            process: [("A", "1"), ("B", "")].map(owned).into(),
            file: [("A", "2"), ("B", "3"), ("C", "4")].map(owned).into(),
        };
        assert_eq!(environment.get("A"), Some("1"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), Some("4"));
        assert_eq!(environment.parse::<u8>("C").unwrap(), Some(4));
        let error = environment.parse::<bool>("A").unwrap_err().to_string();
        assert!(error.starts_with("invalid A: "), "{error}");
    }
}
