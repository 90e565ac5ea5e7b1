//! `cargo xtask build`: everything that `up` needs, made if it isn't there or has changed.

use anyhow::Result;

use crate::components::{self, Workspace};
use crate::doctor::{self, Need};
use crate::frontend;
use crate::native::Binaries;
use crate::repository::Repository;
use crate::toolchain::WasmToolchain;

/// Builds the functions, the web app, the router and the devstack; checks the functions against
/// their worlds and compiles them ahead.
///
/// # Errors
/// When something is missing that can't be made, or doesn't compile.
pub(crate) fn all(repository: &Repository) -> Result<Binaries> {
    let frontend = frontend::find(repository)?;
    let mut needs = vec![Need::NativeLinker];
    if frontend
        .as_ref()
        .is_some_and(|frontend| frontend.has("build"))
    {
        needs.push(Need::Node);
    }
    doctor::require(repository, &needs)?;

    let toolchain = WasmToolchain::ensure(repository)?;
    let functions = Workspace::functions(repository, &toolchain).build(&toolchain)?;
    if let Some(frontend) = &frontend {
        frontend::build(frontend)?;
    }
    let binaries = Binaries::build(repository)?;
    components::precompile(repository, &binaries, &functions)?;
    Ok(binaries)
}

/// Builds the components that only tests run.
///
/// # Errors
/// As [`all`].
pub(crate) fn guests(repository: &Repository, binaries: &Binaries) -> Result<()> {
    let toolchain = WasmToolchain::ensure(repository)?;
    let guests = Workspace::guests(repository, &toolchain).build(&toolchain)?;
    components::precompile(repository, binaries, &guests)
}
