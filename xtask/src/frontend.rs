//! Builds the web app: `frontend/` becomes `frontend/dist`, which the function `site` serves.

use anyhow::Result;

use crate::freshness::{self, Ingredients};
use crate::node_package::{INSTALLED, NodePackage};
use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// The folder of the web app.
pub(crate) const FOLDER: &str = "frontend";

/// Where its build goes.
const PRODUCT: &str = "dist";

/// The web app's package, if there is one.
///
/// # Errors
/// When its package.json can't be read.
pub(crate) fn find(repository: &Repository) -> Result<Option<NodePackage>> {
    NodePackage::find(repository, FOLDER)
}

/// Builds it if something changed.
///
/// # Errors
/// When npm fails.
pub(crate) fn build(frontend: &NodePackage) -> Result<()> {
    if !frontend.has("build") {
        return Ok(());
    }
    frontend.install()?;
    // Not part of what it is made of are the packages, which the lock file stands for, and the product.
    let sources = Ingredients::default().folder(frontend.folder(), &[INSTALLED, PRODUCT])?;
    let product = frontend.folder().join(PRODUCT);
    freshness::unless_fresh(&frontend.stamp(PRODUCT), &product, sources, || {
        progress::status("Building", FOLDER);
        shell::run(&mut frontend.script("build"))
    })?;
    Ok(())
}
