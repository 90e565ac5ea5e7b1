//! A Python with boto3, for the tests that use the devstack as most people use S3 and SQS, and Pillow, whose
//! colours prints are compared with.
//!
//! In this order: the one that `TIRAGE_PYTHON` names, `python3` if it has both, an environment of our own
//! in the cache folder. Nothing here changes the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// Which Python the tests run.
pub(crate) const VARIABLE: &str = "TIRAGE_PYTHON";
const REQUIREMENTS: &str = "tests/requirements.txt";

/// A Python that has what it has to, already.
///
/// # Errors
/// When nothing says where the cache folder is.
pub(crate) fn find(repository: &Repository) -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(Some(named.into()).filter(|python: &PathBuf| is_enough(python)));
    }
    if let Some(python) = shell::find_in_path("python3").filter(|python| is_enough(python)) {
        return Ok(Some(python));
    }
    let environment = Environment::of(repository)?;
    Ok(environment.is_complete().then(|| environment.python()))
}

/// Whether [`ensure`] can make one.
pub(crate) fn can_be_made() -> bool {
    std::env::var_os(VARIABLE).is_none()
        && shell::find_in_path("python3").is_some_and(|python| has(&python, "ensurepip"))
}

/// A Python that has what it has to; made now if there is none.
///
/// # Errors
/// When the environment can't be made.
pub(crate) fn ensure(repository: &Repository) -> Result<PathBuf> {
    if let Some(python) = find(repository)? {
        return Ok(python);
    }
    let environment = Environment::of(repository)?;
    progress::status("Installing", format!("{REQUIREMENTS}, in the cache folder"));
    environment
        .make()
        .context("cannot install what the tests need of Python")?;
    Ok(environment.python())
}

/// Our own (<https://docs.python.org/3/library/venv.html>).
struct Environment {
    folder: PathBuf,
    requirements: PathBuf,
}

impl Environment {
    fn of(repository: &Repository) -> Result<Self> {
        Ok(Self {
            folder: cache_folder()?.join("python"),
            requirements: repository.root().join(REQUIREMENTS),
        })
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// A copy of what was installed, written last.
    fn stamp(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }

    fn is_complete(&self) -> bool {
        let wanted = fs::read(&self.requirements).ok();
        wanted.is_some() && wanted == fs::read(self.stamp()).ok()
    }

    fn make(&self) -> Result<()> {
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

/// Returns `tirage` in the XDG cache folder, where what is made once per machine is kept.
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

fn is_enough(python: &Path) -> bool {
    has(python, "boto3") && has(python, "PIL.ImageCms")
}

fn has(python: &Path, module: &str) -> bool {
    shell::output(Command::new(python).args(["-c", &format!("import {module}")])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_complete_once_it_has_what_is_asked_for_now() {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment {
            folder: root.path().join("python"),
            requirements: root.path().join("requirements.txt"),
        };
        assert!(!environment.is_complete(), "neither is there");
        fs::create_dir(&environment.folder).unwrap();
        fs::write(&environment.requirements, "boto3==1").unwrap();
        assert!(!environment.is_complete(), "cut off");
        fs::copy(&environment.requirements, environment.stamp()).unwrap();
        assert!(environment.is_complete());
        fs::write(&environment.requirements, "boto3==2").unwrap();
        assert!(!environment.is_complete(), "out of date");
    }
}
