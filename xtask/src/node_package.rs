//! The npm packages of this repository: installs their dependencies and runs their scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::freshness::{self, Inputs};
use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// The folder where npm installs dependencies.
pub(crate) const INSTALLED: &str = "node_modules";

/// A folder with a `package.json`.
pub(crate) struct NodePackage {
    name: String,
    folder: PathBuf,
    scripts: Vec<String>,
    stamps: PathBuf,
}

impl NodePackage {
    /// Returns the package in the folder `name` of the repository, if there is one.
    ///
    /// # Errors
    /// When its package.json is invalid.
    pub(crate) fn find(repository: &Repository, name: &str) -> Result<Option<Self>> {
        let folder = repository.root().join(name);
        let description = folder.join("package.json");
        if !description.is_file() {
            return Ok(None);
        }
        let package: Value = serde_json::from_slice(&fs::read(&description)?)
            .with_context(|| format!("{} isn't valid", description.display()))?;
        let scripts = package.get("scripts").and_then(Value::as_object);
        Ok(Some(Self {
            name: name.to_owned(),
            scripts: scripts.map_or_else(Vec::new, |scripts| scripts.keys().cloned().collect()),
            stamps: repository.build_dir().join(".stamps"),
            folder,
        }))
    }

    /// Returns the package's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `true` if package.json has the script `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scripts.iter().any(|script| script == name)
    }

    /// `true` if dependencies were installed, even if they are outdated.
    pub(crate) fn is_installed(&self) -> bool {
        self.folder.join(INSTALLED).is_dir()
    }

    /// Returns the path of the stamp of the package's `product`.
    pub(crate) fn stamp(&self, product: &str) -> PathBuf {
        self.stamps
            .join(format!("{}-{product}", self.name.replace('/', "-")))
    }

    /// Installs the dependencies, in the versions of package-lock.json, if that changed.
    ///
    /// # Errors
    /// When npm fails.
    pub(crate) fn install(&self) -> Result<()> {
        let wanted = Inputs::default().file(&self.folder.join("package-lock.json"))?;
        let installed = self.folder.join(INSTALLED);
        freshness::unless_fresh(&self.stamp("packages"), &installed, wanted, || {
            progress::status("Installing", format!("packages of {}", self.name));
            shell::run(self.npm().args(["ci", "--no-audit", "--no-fund"]))
        })?;
        Ok(())
    }

    /// Returns a command that runs the script `name` of package.json.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = self.npm();
        command.args(["run", "--silent", name]);
        command
    }

    fn npm(&self) -> Command {
        let mut command = Command::new("npm");
        command.current_dir(&self.folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_folders_with_a_package_json() {
        let root = tempfile::tempdir().unwrap();
        let repository = Repository::at(root.path());
        let folder = root.path().join("tests/some");
        fs::create_dir_all(&folder).unwrap();
        assert!(
            NodePackage::find(&repository, "tests/some")
                .unwrap()
                .is_none()
        );

        let description = folder.join("package.json");
        fs::write(&description, r#"{"scripts": {"test": "true"}}"#).unwrap();
        let package = NodePackage::find(&repository, "tests/some")
            .unwrap()
            .unwrap();
        assert!(package.has("test") && !package.has("build"));
        assert!(!package.is_installed());
        assert_eq!(
            package.stamp("packages"),
            root.path().join("build/.stamps/tests-some-packages")
        );

        fs::write(&description, "{").unwrap();
        assert!(NodePackage::find(&repository, "tests/some").is_err());
    }
}
