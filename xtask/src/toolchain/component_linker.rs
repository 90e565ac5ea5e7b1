//! `wasm-component-ld`: the linker that turns a core module into a component.
//!
//! The compiler calls it for `wasm32-wasip2`. It comes with most compilers; where it doesn't, one
//! in `PATH` will do, and else it is built from crates.io into the cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::progress;
use crate::shell;

const NAME: &str = "wasm-component-ld";

/// The linker.
pub(super) struct ComponentLinker {
    /// Where it is.
    pub(super) program: PathBuf,
    /// The folder to put before `PATH`; none where the compiler finds it by itself.
    pub(super) path: Option<PathBuf>,
}

/// Finds the linker that the compiler with this `sysroot` would use.
pub(super) fn find(cache: &Path, sysroot: &Path) -> Option<ComponentLinker> {
    if let Some(program) = beside_compiler(sysroot).or_else(|| shell::find_in_path(NAME)) {
        return Some(ComponentLinker {
            program,
            path: None,
        });
    }
    let folder = cache.join(NAME).join("bin");
    let program = folder.join(NAME);
    program.is_file().then_some(ComponentLinker {
        program,
        path: Some(folder),
    })
}

/// Builds the linker if there is none. `cargo install` puts the file there in one step, so that a
/// run that was cut off leaves nothing half made.
pub(super) fn ensure(cache: &Path, sysroot: &Path) -> Result<()> {
    if find(cache, sysroot).is_some() {
        return Ok(());
    }
    progress::status("Building", format!("{NAME}, once for this machine"));
    shell::run(
        Command::new("cargo")
            .args(["install", NAME, "--locked", "--root"])
            .arg(cache.join(NAME)),
    )
}

/// The compiler puts its own tool folder before `PATH` when it links.
fn beside_compiler(sysroot: &Path) -> Option<PathBuf> {
    std::fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .flatten()
        .map(|target| target.path().join("bin").join(NAME))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_linker_needs_no_path() {
        let sysroot = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let bin = sysroot
            .path()
            .join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(NAME), "").unwrap();

        let linker = find(cache.path(), sysroot.path()).unwrap();
        assert_eq!(linker.path, None);
    }

    #[test]
    fn a_linker_in_the_cache_is_put_into_the_path() {
        let sysroot = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        if shell::find_in_path(NAME).is_some() {
            return;
        }
        assert!(find(cache.path(), sysroot.path()).is_none());

        let bin = cache.path().join(NAME).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(NAME), "").unwrap();
        let linker = find(cache.path(), sysroot.path()).unwrap();
        assert_eq!(linker.program, bin.join(NAME));
        assert_eq!(linker.path, Some(bin));
    }
}
