//! The programs of this repository that run on this machine: the router and the devstack.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::repository::Repository;
use crate::shell;

/// The programs, built for development: they compile fast and run well enough.
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Builds them, with one call to cargo.
    ///
    /// # Errors
    /// When they don't compile.
    pub(crate) fn build(repository: &Repository) -> Result<Self> {
        shell::run(
            repository
                .cargo_command(["build", "--package", "tirage"])
                .args(["--package", "tirage-devstack"]),
        )?;
        Ok(Self {
            folder: repository.target_dir().join("debug"),
        })
    }

    /// The router.
    pub(crate) fn tirage(&self) -> PathBuf {
        self.folder.join("tirage")
    }

    /// The devstack.
    pub(crate) fn devstack(&self) -> PathBuf {
        self.folder.join("tirage-devstack")
    }

    /// The router with command `name`, one of those that read the repository's `spin.toml`.
    pub(crate) fn router_command(&self, repository: &Repository, name: &str) -> Command {
        let mut command = Command::new(self.tirage());
        command
            .arg(name)
            .arg("--manifest")
            .arg(repository.root().join("spin.toml"))
            .current_dir(repository.root());
        command
    }
}
