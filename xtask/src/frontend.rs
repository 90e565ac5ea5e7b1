//! Builds the web app: `frontend/` becomes `frontend/dist`, which the function `site` serves.

use anyhow::Result;

use crate::freshness::{self, Inputs};
use crate::node_package::{INSTALLED, NodePackage};
use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// The folder of the web app.
pub(crate) const FOLDER: &str = "frontend";

/// The output folder of its build.
const PRODUCT: &str = "dist";

/// Returns the web app's package, if there is one.
///
/// # Errors
/// When its package.json is invalid.
pub(crate) fn find(repository: &Repository) -> Result<Option<NodePackage>> {
    NodePackage::find(repository, FOLDER)
}

/// Builds the web app if its sources changed.
///
/// # Errors
/// When npm fails.
pub(crate) fn build(frontend: &NodePackage) -> Result<()> {
    if !frontend.has("build") {
        return Ok(());
    }
    frontend.install()?;
    // The lock file, which is one of the sources, stands for the installed packages.
    let sources = Inputs::default().folder(frontend.folder(), &[INSTALLED, PRODUCT])?;
    let product = frontend.folder().join(PRODUCT);
    freshness::unless_fresh(&frontend.stamp(PRODUCT), &product, sources, || {
        progress::status("Building", FOLDER);
        shell::run(&mut frontend.script("build"))
    })?;
    Ok(())
}
