//! The compiler for functions: the Rust toolchain in use, with its target `wasm32-wasip2`.
//!
//! A missing target is added with `rustup target add`, which also brings what the target links with:
//! `wasm-component-ld` is part of every Rust toolchain.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// The target of functions: WASI 0.2's component model. WASI 0.3's interfaces come from crates.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// SIMD makes resizing and blending many times faster, and the supported runtimes all have it.
const RUSTFLAGS: &str = "-C target-feature=+simd128";

/// A Rust toolchain with [`TARGET`].
#[derive(Debug, Clone)]
pub(crate) struct WasmToolchain {
    repository: Repository,
    /// The folder for build products. Not the native one, so that native and component builds don't
    /// wait for each other's lock.
    pub(crate) target_dir: PathBuf,
}

impl WasmToolchain {
    /// Returns the toolchain in use, after adding the target with rustup if it is missing.
    ///
    /// # Errors
    /// When the target is missing and rustup can't add it; the error says what to do.
    pub(crate) fn ensure(repository: &Repository) -> Result<Self> {
        if !is_installed()? {
            add_target()?;
        }
        Ok(Self {
            repository: repository.clone(),
            target_dir: repository.target_dir().join("functions"),
        })
    }

    /// Returns a `cargo` command that builds for the target.
    pub(crate) fn command(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = self.repository.cargo_command(arguments);
        command
            .env("CARGO_TARGET_DIR", &self.target_dir)
            .env("RUSTFLAGS", RUSTFLAGS)
            // It would override RUSTFLAGS.
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

/// `true` if the toolchain in use has the target.
///
/// # Errors
/// When `rustc` doesn't run.
pub(crate) fn is_installed() -> Result<bool> {
    Ok(has_target(&sysroot()?))
}

/// `true` if rustup is there to add the target.
pub(crate) fn can_be_added() -> bool {
    shell::find_in_path("rustup").is_some()
}

/// The command that adds the target.
pub(crate) fn remedy() -> String {
    format!("rustup target add {TARGET} (https://rustup.rs)")
}

fn add_target() -> Result<()> {
    progress::status("Adding", format!("{TARGET}, with rustup"));
    shell::run(Command::new("rustup").args(["target", "add", TARGET]))
        .with_context(|| format!("this Rust toolchain lacks {TARGET}; run: {}", remedy()))?;
    ensure!(
        is_installed()?,
        "rustup added {TARGET} to another toolchain than the `rustc` in use; \
         use rustup's `rustc` (https://rustup.rs)"
    );
    Ok(())
}

fn sysroot() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = shell::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(printed.trim()))
}

fn has_target(sysroot: &Path) -> bool {
    // An interrupted download can leave the folder without the library.
    std::fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib")).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_counts_only_with_its_standard_library() {
        let sysroot = tempfile::tempdir().unwrap();
        assert!(!has_target(sysroot.path()));

        let lib = sysroot.path().join("lib/rustlib/wasm32-wasip2/lib");
        std::fs::create_dir_all(&lib).unwrap();
        assert!(!has_target(sysroot.path()));

        std::fs::write(lib.join("libstd-0123456789abcdef.rlib"), "").unwrap();
        assert!(has_target(sysroot.path()));
    }
}
