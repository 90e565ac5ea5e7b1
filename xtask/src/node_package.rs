//! The packages of this repository that npm knows: what they need is installed, their scripts are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::freshness::{self, Ingredients};
use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// Where npm puts the packages that a package needs.
pub(crate) const INSTALLED: &str = "node_modules";

/// A folder with a `package.json`.
pub(crate) struct NodePackage {
    name: String,
    folder: PathBuf,
    scripts: Vec<String>,
    stamps: PathBuf,
}

impl NodePackage {
    /// The package in the folder `name` of the repository, if there is one.
    ///
    /// # Errors
    /// When its package.json can't be read.
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

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether package.json has the script `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scripts.iter().any(|script| script == name)
    }

    /// Whether the packages that it needs were installed, perhaps before they changed.
    pub(crate) fn is_installed(&self) -> bool {
        self.folder.join(INSTALLED).is_dir()
    }

    /// The file that remembers what the package's `product` was made of.
    pub(crate) fn stamp(&self, product: &str) -> PathBuf {
        self.stamps
            .join(format!("{}-{product}", self.name.replace('/', "-")))
    }

    /// Installs the packages that it needs, in exactly the versions of its package-lock.json, if that
    /// changed.
    ///
    /// # Errors
    /// When npm fails.
    pub(crate) fn install(&self) -> Result<()> {
        let wanted = Ingredients::default().file(&self.folder.join("package-lock.json"))?;
        let installed = self.folder.join(INSTALLED);
        freshness::unless_fresh(&self.stamp("packages"), &installed, wanted, || {
            progress::status("Installing", format!("packages of {}", self.name));
            shell::run(self.npm().args(["ci", "--no-audit", "--no-fund"]))
        })?;
        Ok(())
    }

    /// The command that runs the script `name` of package.json.
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
    fn a_package_is_a_folder_with_a_description() {
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
