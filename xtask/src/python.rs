//! Finds a Python with boto3, the client that tests use with the devstack's S3 and SQS, and Pillow, whose
//! colours are compared with those of variants.
//!
//! In this order: the one that `TIRAGE_PYTHON` names, `python3` if it has both packages, a virtual
//! environment in the cache folder. Nothing here changes the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// The environment variable that names the Python to use.
pub(crate) const VARIABLE: &str = "TIRAGE_PYTHON";
const REQUIREMENTS: &str = "tests/requirements.txt";

/// Returns a Python that has both packages, if there is one.
///
/// # Errors
/// When the cache folder is unknown.
pub(crate) fn find(repository: &Repository) -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(Some(named.into()).filter(|python: &PathBuf| has_packages(python)));
    }
    if let Some(python) = shell::find_in_path("python3").filter(|python| has_packages(python)) {
        return Ok(Some(python));
    }
    let environment = Environment::new(repository)?;
    Ok(environment.is_complete().then(|| environment.python()))
}

/// `true` if [`ensure`] can create a virtual environment.
pub(crate) fn can_be_created() -> bool {
    std::env::var_os(VARIABLE).is_none()
        && shell::find_in_path("python3").is_some_and(|python| has(&python, "ensurepip"))
}

/// Returns a Python that has both packages. Creates a virtual environment if necessary.
///
/// # Errors
/// When the environment can't be created.
pub(crate) fn ensure(repository: &Repository) -> Result<PathBuf> {
    if let Some(python) = find(repository)? {
        return Ok(python);
    }
    let environment = Environment::new(repository)?;
    progress::status("Installing", format!("{REQUIREMENTS}, in the cache folder"));
    environment
        .create()
        .context("cannot install the Python packages of the tests")?;
    Ok(environment.python())
}

/// A virtual environment (<https://docs.python.org/3/library/venv.html>) in the cache folder.
struct Environment {
    folder: PathBuf,
    requirements: PathBuf,
}

impl Environment {
    fn new(repository: &Repository) -> Result<Self> {
        Ok(Self {
            folder: cache_folder()?.join("python"),
            requirements: repository.root().join(REQUIREMENTS),
        })
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Returns the path of a copy of the installed requirements, which is written last.
    fn stamp(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }

    fn is_complete(&self) -> bool {
        let wanted = fs::read(&self.requirements).ok();
        wanted.is_some() && wanted == fs::read(self.stamp()).ok()
    }

    fn create(&self) -> Result<()> {
        shell::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&self.folder),
        )?;
        shell::run(
            Command::new(self.python())
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .arg("--requirement")
                .arg(&self.requirements),
        )?;
        fs::copy(&self.requirements, self.stamp())?;
        Ok(())
    }
}

/// Returns the folder `tirage` in the XDG cache folder.
fn cache_folder() -> Result<PathBuf> {
    // https://specifications.freedesktop.org/basedir-spec/latest/: relative paths are ignored.
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("tirage"))
        .context("cannot find the cache folder: set XDG_CACHE_HOME or HOME to an absolute path")
}

fn has_packages(python: &Path) -> bool {
    has(python, "boto3") && has(python, "PIL.ImageCms")
}

fn has(python: &Path, module: &str) -> bool {
    shell::output(Command::new(python).args(["-c", &format!("import {module}")])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_complete_when_it_has_the_current_requirements() {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment {
            folder: root.path().join("python"),
            requirements: root.path().join("requirements.txt"),
        };
        assert!(!environment.is_complete(), "there are no files");
        fs::create_dir(&environment.folder).unwrap();
        fs::write(&environment.requirements, "boto3==1").unwrap();
        assert!(
            !environment.is_complete(),
            "the installation was interrupted"
        );
        fs::copy(&environment.requirements, environment.stamp()).unwrap();
        assert!(environment.is_complete());
        fs::write(&environment.requirements, "boto3==2").unwrap();
        assert!(!environment.is_complete(), "the requirements changed");
    }
}
