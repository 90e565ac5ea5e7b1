//! Builds the web app: `frontend/` becomes `frontend/dist`, which the function `site` serves.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::freshness::{self, Ingredients};
use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// Not part of what the web app is made of.
const PRODUCTS: [&str; 2] = ["node_modules", "dist"];

/// The web app's package.
pub(crate) struct Frontend {
    folder: PathBuf,
    scripts: Vec<String>,
    stamps: PathBuf,
}

impl Frontend {
    /// The package, if there is one.
    ///
    /// # Errors
    /// When its package.json can't be read.
    pub(crate) fn find(repository: &Repository) -> Result<Option<Self>> {
        let folder = repository.root().join("frontend");
        let description = folder.join("package.json");
        if !description.is_file() {
            return Ok(None);
        }
        let package: Value = serde_json::from_slice(&fs::read(&description)?)
            .with_context(|| format!("{} isn't valid", description.display()))?;
        let scripts = package.get("scripts").and_then(Value::as_object);
        Ok(Some(Self {
            scripts: scripts.map_or_else(Vec::new, |scripts| scripts.keys().cloned().collect()),
            stamps: repository.build_dir().join(".stamps"),
            folder,
        }))
    }

    /// Whether package.json has the script `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scripts.iter().any(|script| script == name)
    }

    /// Where npm puts the packages that it is built with.
    pub(crate) fn packages(&self) -> PathBuf {
        self.folder.join("node_modules")
    }

    /// Builds it if something changed.
    ///
    /// # Errors
    /// When npm fails.
    pub(crate) fn build(&self) -> Result<()> {
        if !self.has("build") {
            return Ok(());
        }
        self.install_packages()?;
        let sources = Ingredients::default().folder(&self.folder, &PRODUCTS)?;
        let stamp = self.stamps.join("frontend");
        freshness::unless_fresh(&stamp, &self.folder.join("dist"), sources, || {
            progress::status("Building", "frontend");
            shell::run(&mut self.script("build"))
        })?;
        Ok(())
    }

    /// The command that runs the script `name` of package.json.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = self.npm();
        command.args(["run", "--silent", name]);
        command
    }

    fn install_packages(&self) -> Result<()> {
        let wanted = Ingredients::default().file(&self.folder.join("package-lock.json"))?;
        let stamp = self.stamps.join("node-packages");
        freshness::unless_fresh(&stamp, &self.packages(), wanted, || {
            progress::status("Installing", "packages of frontend");
            shell::run(self.npm().args(["ci", "--no-audit", "--no-fund"]))
        })?;
        Ok(())
    }

    fn npm(&self) -> Command {
        let mut command = Command::new("npm");
        command.current_dir(&self.folder);
        command
    }
}
