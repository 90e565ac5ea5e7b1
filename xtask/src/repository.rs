//! Where things lie in this repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The clone that we work on.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    cargo: PathBuf,
    target_dir: PathBuf,
}

impl Repository {
    /// The clone that `cargo xtask` was called in.
    ///
    /// # Errors
    /// When we weren't started through `cargo`, which says where that is.
    pub(crate) fn current() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .context("start this through cargo: cargo xtask …")?;
        let root = package
            .parent()
            .context("xtask isn't in the repository's root")?
            .to_owned();
        // A relative folder is relative to where cargo was called, and so to us.
        let target_dir = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => std::path::absolute(folder)?,
            _ => root.join("target"),
        };
        Ok(Self {
            root,
            cargo: std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            target_dir,
        })
    }

    /// The folder that holds `spin.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The `cargo` that started us.
    pub(crate) fn cargo(&self) -> &Path {
        &self.cargo
    }

    /// Where cargo puts what it builds for this machine.
    pub(crate) fn target_dir(&self) -> &Path {
        &self.target_dir
    }
}
