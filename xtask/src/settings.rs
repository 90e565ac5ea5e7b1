//! Settings as the router reads them: the environment first, then `.env` beside `spin.toml`.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::repository::Repository;

/// Settings from the environment and `.env`.
pub(crate) struct Settings {
    file: HashMap<String, String>,
}

impl Settings {
    /// Reads `.env`, if there is one.
    ///
    /// # Errors
    /// When it is there and isn't valid.
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

    /// The value of `name`; one that is set to nothing isn't set.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        std::env::var(name)
            .ok()
            .or_else(|| self.file.get(name).cloned())
            .filter(|value| !value.is_empty())
    }
}
