//! Finds, or makes, a compiler for `wasm32-wasip2`.
//!
//! Three ways, tried in this order:
//! 1. the target is installed for the current compiler: use it;
//! 2. rustup adds it (`rustup target add wasm32-wasip2`);
//! 3. on Debian, where rustup's server is out of reach: Debian's own compiler, unpacked into the
//!    cache folder without root, and a standard library built from its source ([`debian`]).
//!
//! What way 3 made is used before way 2 is tried again, so that only the first run waits for the
//! network. The promise is one type, [`WasmToolchain`], and nothing outside this module knows which
//! way it came from. Nothing here changes the system: what is made lies in the cache folder, and
//! removing that undoes it.

mod apt;
mod component_linker;
mod debian;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::progress;
use crate::repository::Repository;
use crate::shell;

/// What functions are compiled for: WASI 0.2's component model; WASI 0.3's interfaces come from
/// crates.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Resizing and blending of pictures is many times faster with vector instructions, and every
/// runtime that we know has them.
const RUSTFLAGS: &str = "-C target-feature=+simd128";

/// A compiler for [`TARGET`] and the way to call it.
#[derive(Debug, Clone)]
pub(crate) struct WasmToolchain {
    /// The `cargo` that builds: the one that runs us.
    pub(crate) cargo: PathBuf,
    /// The compiler with a standard library for the target.
    pub(crate) rustc: PathBuf,
    /// Folders to put before `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// Environment that the build needs besides `RUSTC` and `PATH`.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Where build products go. Never the native one: this may be another compiler.
    pub(crate) target_dir: PathBuf,
    /// In a few words, for people.
    pub(crate) origin: String,
}

impl WasmToolchain {
    /// The toolchain if it is there already; nothing is downloaded or built.
    ///
    /// # Errors
    /// When the current compiler can't be asked for its sysroot.
    pub(crate) fn find(repository: &Repository) -> Result<Option<Self>> {
        let native = sysroot()?;
        if has_target(&native) {
            return Ok(Self::new(
                repository,
                native.join("bin/rustc"),
                &native,
                "installed for the current compiler",
            ));
        }
        Ok(debian::find(&cache_folder()?).and_then(|made| {
            Self::new(repository, made.rustc(), &made.sysroot(), &made.describe())
        }))
    }

    /// The toolchain, made if it isn't there.
    ///
    /// # Errors
    /// When no way leads to one; the error says what to type.
    pub(crate) fn find_or_make(repository: &Repository) -> Result<Self> {
        if let Some(found) = Self::find(repository)? {
            return Ok(found);
        }
        let cache = cache_folder()?;
        let native = sysroot()?;
        if !has_target(&native) && debian::find(&cache).is_none() && !added_by_rustup(&native) {
            debian::make(&cache).with_context(|| {
                format!(
                    "no compiler for {TARGET}. Where rustup reaches its server, this is enough: \
                     rustup target add {TARGET}"
                )
            })?;
        }
        component_linker::ensure(&cache, &sysroot_in_use(&cache, &native))?;
        Self::find(repository)?.context("the toolchain was made, and yet isn't found")
    }

    fn new(repository: &Repository, rustc: PathBuf, sysroot: &Path, origin: &str) -> Option<Self> {
        let linker = component_linker::find(&cache_folder().ok()?, sysroot)?;
        Some(Self {
            cargo: repository.cargo().to_owned(),
            rustc,
            path: linker.path.into_iter().collect(),
            environment: vec![("RUSTFLAGS".into(), RUSTFLAGS.into())],
            target_dir: repository.target_dir().join("functions"),
            origin: origin.to_owned(),
        })
    }

    /// `cargo`, set up to build for the target.
    pub(crate) fn command(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = shell::cargo(&self.cargo);
        command
            .args(arguments)
            .env("RUSTC", &self.rustc)
            .env("CARGO_TARGET_DIR", &self.target_dir)
            // Beats RUSTFLAGS, so an old value would silently win.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !self.path.is_empty() {
            command.env("PATH", shell::path_with(&self.path));
        }
        command
    }
}

/// Whether a toolchain that isn't there can be made here, as far as can be said without trying.
pub(crate) fn can_be_made() -> bool {
    shell::find_in_path("rustup").is_some() || debian::is_possible()
}

/// The component linker that functions are linked with, if it is there already.
///
/// # Errors
/// When the current compiler can't be asked for its sysroot.
pub(crate) fn component_linker() -> Result<Option<PathBuf>> {
    let cache = cache_folder()?;
    let sysroot = sysroot_in_use(&cache, &sysroot()?);
    Ok(component_linker::find(&cache, &sysroot).map(|linker| linker.program))
}

/// Where what is made once for this machine lies: `tirage` in the XDG cache folder.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` says where that is.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    // https://specifications.freedesktop.org/basedir-spec/latest/: relative paths are ignored.
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("tirage"))
        .context("neither XDG_CACHE_HOME nor HOME says where to cache the toolchain")
}

fn sysroot() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = shell::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(printed.trim()))
}

fn sysroot_in_use(cache: &Path, native: &Path) -> PathBuf {
    match debian::find(cache) {
        Some(made) if !has_target(native) => made.sysroot(),
        _ => native.to_owned(),
    }
}

fn has_target(sysroot: &Path) -> bool {
    // rustup leaves the folder behind when a download is cut off, so ask for what matters in it.
    std::fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib")).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

fn added_by_rustup(native: &Path) -> bool {
    if shell::find_in_path("rustup").is_none() {
        return false;
    }
    progress::status("Adding", format!("{TARGET} with rustup"));
    match shell::run(Command::new("rustup").args(["target", "add", TARGET])) {
        Ok(()) => has_target(native),
        Err(_) => {
            progress::note("rustup can't add it here");
            false
        }
    }
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
