//! Debian's compiler with a standard library for WASI, in a folder of our own.
//!
//! Debian packages a current compiler for its browser (`rustc-web`), its source and `wasi-libc`, but
//! no standard library for `wasm32-wasip2`. This downloads the packages with a private [`Apt`],
//! unpacks them into the cache folder, builds the library from its source and lays it out as the
//! compiler expects it. It takes about two minutes, once for a machine, and needs neither root nor
//! any server but the machine's own Debian archive and crates.io.
//!
//! Everything is made in a folder with another name, tried on a small program, and renamed when it
//! works: a run that was cut off leaves nothing that looks complete.

mod sysroot;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::TARGET;
use super::apt::{Apt, Package};
use crate::progress;
use crate::shell;

/// Raise it when what this module makes changes: folders with another number aren't used.
const LAYOUT: u32 = 1;
const STAMP: &str = "made-of.json";

/// The compiler, the sources of its library, and the tools that rustc calls.
const PACKAGES: [&str; 4] = [
    "rustc-web",
    "libstd-rust-web-dev",
    "rust-web-src",
    "rust-web-llvm",
];

/// The first `rustc-web` with the library features that the functions need.
const OLDEST_COMPILER: &str = "1.95";
/// The first `wasi-libc` that holds `wasm32-wasip2`, and the release of Debian that has it.
const OLDEST_LIBC: &str = "0.0~git20241209";
const LIBC_RELEASE: &str = "trixie";

/// A finished toolchain folder.
#[derive(Debug, Clone)]
pub(super) struct DebianToolchain {
    folder: PathBuf,
    made_of: MadeOf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct MadeOf {
    packages: BTreeMap<String, String>,
}

impl DebianToolchain {
    pub(super) fn rustc(&self) -> PathBuf {
        self.folder.join("bin/rustc")
    }

    pub(super) fn sysroot(&self) -> PathBuf {
        self.folder.join("usr")
    }

    pub(super) fn describe(&self) -> String {
        let version = self.made_of.packages.get("rustc-web");
        format!(
            "Debian's compiler {} in {}",
            version.map_or("", String::as_str),
            self.folder.display()
        )
    }
}

/// The toolchain in folder `cache`, if it was finished.
pub(super) fn find(cache: &Path) -> Option<DebianToolchain> {
    let folder = folder(cache);
    let stamp = fs::read(folder.join(STAMP)).ok()?;
    Some(DebianToolchain {
        made_of: serde_json::from_slice(&stamp).ok()?,
        folder,
    })
}

/// Whether this machine has the programs to make it.
pub(super) fn is_possible() -> bool {
    ["apt-get", "apt-cache", "dpkg", "dpkg-deb"]
        .iter()
        .all(|program| shell::find_in_path(program).is_some())
}

/// Makes the toolchain in folder `cache`; when another process is making it, waits for that.
pub(super) fn make(cache: &Path) -> Result<()> {
    ensure!(
        is_possible(),
        "this machine has no apt to take Debian's compiler from"
    );
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("wasm-toolchain.lock"))?;
    lock.lock().context("cannot lock the toolchain folder")?;
    let folder = folder(cache);
    if find(cache).is_some() {
        return Ok(());
    }
    let partial = folder.with_extension("partial");
    remove(&partial)?;
    remove(&folder)?;

    progress::status(
        "Making",
        format!(
            "a compiler for {TARGET} from Debian's packages, once for this machine (2 minutes)"
        ),
    );
    let made_of = unpack_packages(&partial)?;
    sysroot::lay_out(&partial)?;
    fs::write(partial.join(STAMP), serde_json::to_vec_pretty(&made_of)?)?;
    fs::rename(&partial, &folder)?;
    progress::status("Made", format!("{}", folder.display()));
    Ok(())
}

fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("{TARGET}-debian-{LAYOUT}"))
}

fn unpack_packages(partial: &Path) -> Result<MadeOf> {
    let apt = Apt::new(&partial.join("apt"))?;
    progress::status("Fetching", "package lists");
    apt.update()?;
    let compiler = apt
        .candidate("rustc-web")?
        .filter(|compiler| at_least(&compiler.version, OLDEST_COMPILER))
        .with_context(|| format!("this Debian offers no rustc-web {OLDEST_COMPILER} or newer"))?;

    // Its linker has the number of the LLVM that the compiler was built with.
    let llvm = apt
        .dependencies("rust-web-llvm")?
        .into_iter()
        .find_map(|name| name.strip_prefix("llvm-").map(ToOwned::to_owned))
        .context("rust-web-llvm no longer says which LLVM it uses")?;
    let (linker, archiver) = (format!("lld-{llvm}"), format!("llvm-{llvm}"));
    let mut wanted = PACKAGES.to_vec();
    wanted.extend([linker.as_str(), archiver.as_str()]);

    let mut packages = apt.plan(&wanted)?;
    progress::status(
        "Fetching",
        format!(
            "rustc {} and {} more packages",
            compiler.version,
            packages.len() - 1
        ),
    );
    let downloads = partial.join("downloads");
    apt.unpack(&packages, &downloads, partial)?;
    packages.push(unpack_libc(&apt, partial, &downloads)?);
    Ok(MadeOf {
        packages: packages
            .into_iter()
            .map(|package| (package.name, package.version))
            .collect(),
    })
}

fn unpack_libc(apt: &Apt, partial: &Path, downloads: &Path) -> Result<Package> {
    if let Some(libc) = apt.candidate("wasi-libc")?
        && at_least(&libc.version, OLDEST_LIBC)
    {
        apt.unpack(std::slice::from_ref(&libc), downloads, partial)?;
        return Ok(libc);
    }
    // It depends on nothing, so a newer release's one fits: same archive, same keys, other suite.
    let archive = apt
        .debian_archive()?
        .context("the apt sources of this machine name no Debian archive")?;
    progress::status("Fetching", format!("wasi-libc from {LIBC_RELEASE}"));
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let signed_by = if keyring.is_file() {
        format!("Signed-By: {}\n", keyring.display())
    } else {
        String::new()
    };
    let newer = Apt::with_source(
        &partial.join("apt-libc"),
        &format!(
            "Types: deb\nURIs: {archive}\nSuites: {LIBC_RELEASE}\nComponents: main\n{signed_by}"
        ),
    )?;
    newer.update()?;
    let libc = newer
        .candidate("wasi-libc")?
        .filter(|libc| at_least(&libc.version, OLDEST_LIBC))
        .with_context(|| format!("{archive} offers no wasi-libc {OLDEST_LIBC} or newer"))?;
    newer.unpack(std::slice::from_ref(&libc), downloads, partial)?;
    Ok(libc)
}

/// Whether `version` is `oldest` or newer, in Debian's order.
fn at_least(version: &str, oldest: &str) -> bool {
    Command::new("dpkg")
        .args(["--compare-versions", version, "ge", oldest])
        .status()
        .is_ok_and(|status| status.success())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_its_stamp_is_not_a_toolchain() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder(cache.path()).join("bin")).unwrap();
        assert!(find(cache.path()).is_none());

        let stamp = r#"{"packages":{"rustc-web":"1.96.0+dfsg1-1"}}"#;
        fs::write(folder(cache.path()).join(STAMP), stamp).unwrap();
        let found = find(cache.path()).unwrap();
        assert_eq!(found.rustc(), folder(cache.path()).join("bin/rustc"));
        assert!(found.describe().contains("1.96.0+dfsg1-1"));
    }

    #[test]
    fn versions_are_compared_in_debians_order() {
        if shell::find_in_path("dpkg").is_none() {
            return;
        }
        assert!(at_least("1.96.0+dfsg1-1~deb12u2", OLDEST_COMPILER));
        assert!(!at_least("1.85.0+dfsg3-1~deb12u3", OLDEST_COMPILER));
        assert!(at_least("0.0~git20241209.574b88d-2", OLDEST_LIBC));
        assert!(!at_least("0.0~git20220510.9886d3d-2", OLDEST_LIBC));
    }
}
