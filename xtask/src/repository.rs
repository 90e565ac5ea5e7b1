//! Paths of this repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// A clone of this repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    cargo: PathBuf,
    target_dir: PathBuf,
}

impl Repository {
    /// Returns the clone that `cargo xtask` was called in.
    ///
    /// # Errors
    /// When this process wasn't started by `cargo`, which sets the path.
    pub(crate) fn current() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .context("start this through cargo: cargo xtask …")?;
        let root = package
            .parent()
            .context("xtask isn't in the repository's root")?
            .to_owned();
        // A relative folder is relative to the current directory, for cargo as for this process.
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

    /// Returns the clone in folder `root`.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            cargo: "cargo".into(),
            target_dir: root.join("target"),
        }
    }

    /// Returns the folder that holds `spin.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of built components, which git ignores.
    pub(crate) fn build_dir(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Returns the folder for the data of the development services.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join(".tirage")
    }

    /// Returns the path of the stamp of `product`, a file in the build folder.
    ///
    /// # Errors
    /// When `product` isn't in the build folder.
    pub(crate) fn stamp(&self, product: &Path) -> Result<PathBuf> {
        let name = product
            .strip_prefix(self.build_dir())
            .with_context(|| format!("{} isn't in the build folder", product.display()))?;
        Ok(self.build_dir().join(".stamps").join(name))
    }

    /// Returns a command that runs the `cargo` that started this process, in the repository's root.
    pub(crate) fn cargo_command(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = shell::cargo(&self.cargo);
        command
            .args(arguments)
            .current_dir(&self.root)
            // Overrides configuration files, since the products must be found here.
            .env("CARGO_TARGET_DIR", &self.target_dir);
        command
    }

    /// Returns cargo's target folder for native builds.
    pub(crate) fn target_dir(&self) -> &Path {
        &self.target_dir
    }
}
