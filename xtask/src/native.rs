//! The native programs of this repository: the router and the devstack.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::repository::Repository;
use crate::shell;

/// The programs, built with the development profile, which compiles fast.
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Builds both with one call to cargo.
    ///
    /// # Errors
    /// When one doesn't compile.
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

    /// Returns the path of the router.
    pub(crate) fn tirage(&self) -> PathBuf {
        self.folder.join("tirage")
    }

    /// Returns the path of the devstack.
    pub(crate) fn devstack(&self) -> PathBuf {
        self.folder.join("tirage-devstack")
    }

    /// Returns a command that runs the router's command `name` with the repository's `spin.toml`.
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
