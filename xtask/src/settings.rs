//! Settings, in the router's order: the environment, then `.env` beside `spin.toml`.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::repository::Repository;

/// Settings from the environment and `.env`.
pub(crate) struct Settings {
    file: HashMap<String, String>,
}

impl Settings {
    /// Reads `.env`, if it exists.
    ///
    /// # Errors
    /// When the file is invalid.
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let path = repository.root().join(".env");
        let file = if path.exists() {
            dotenvy::from_path_iter(&path)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read {}", path.display()))?
        } else {
            HashMap::new()
        };
        Ok(Self { file })
    }

    /// Returns the value of `name`. An empty value counts as not set.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        std::env::var(name)
            .ok()
            .or_else(|| self.file.get(name).cloned())
            .filter(|value| !value.is_empty())
    }
}
