//! Where things lie in this repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

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

    /// A clone in folder `root`.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            cargo: "cargo".into(),
            target_dir: root.join("target"),
        }
    }

    /// The folder that holds `spin.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where components go; nothing in it is kept in git.
    pub(crate) fn build_dir(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Where the services of a development machine keep their data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join(".tirage")
    }

    /// The file that remembers what `product`, a file in the build folder, was made of.
    ///
    /// # Errors
    /// When `product` isn't in the build folder.
    pub(crate) fn stamp(&self, product: &Path) -> Result<PathBuf> {
        let name = product
            .strip_prefix(self.build_dir())
            .with_context(|| format!("{} isn't in the build folder", product.display()))?;
        Ok(self.build_dir().join(".stamps").join(name))
    }

    /// The `cargo` that started us, in the repository's root.
    pub(crate) fn cargo_command(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = shell::cargo(&self.cargo);
        command
            .args(arguments)
            .current_dir(&self.root)
            // Whatever a configuration file says: we have to find what is built.
            .env("CARGO_TARGET_DIR", &self.target_dir);
        command
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
