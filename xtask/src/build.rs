//! `cargo xtask build`: builds everything that `up` needs, where it is missing or outdated.

use anyhow::Result;

use crate::components::{self, Workspace};
use crate::doctor::{self, Need};
use crate::frontend;
use crate::native::Binaries;
use crate::repository::Repository;
use crate::toolchain::WasmToolchain;

/// Builds the functions, the web app, the router and the devstack; checks the functions against
/// their worlds and precompiles them.
///
/// # Errors
/// When a tool is missing, or something doesn't compile.
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
/// The same as [`all`].
pub(crate) fn guests(repository: &Repository, binaries: &Binaries) -> Result<()> {
    let toolchain = WasmToolchain::ensure(repository)?;
    let guests = Workspace::guests(repository, &toolchain).build(&toolchain)?;
    components::precompile(repository, binaries, &guests)
}
