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

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
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

/// Crates that mention `std::thread` refer to functions that WASI has only as refusing stand-ins,
/// in a library that nothing links by itself.
const MERGED_INTO_LIBC: [&str; 2] = ["libc.a", "libwasi-emulated-pthread.a"];

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

/// Makes the toolchain in folder `cache`; when another process is making it, waits for that.
pub(super) fn make(cache: &Path) -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg", "dpkg-deb"] {
        ensure!(
            shell::find_in_path(program).is_some(),
            "{program} isn't there: this machine isn't a Debian"
        );
    }
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
    write_compiler_script(&partial)?;
    build_standard_library(&partial)?;
    lay_out_libc(&partial)?;
    remove_what_nobody_needs(&partial)?;
    compile_a_program(&partial)?;
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

/// The compiler finds its own libraries by `LD_LIBRARY_PATH`, and its library by `--sysroot`. Both
/// follow from where the script is, so the folder may be renamed.
fn write_compiler_script(partial: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let libraries = folder_with(&partial.join("usr/lib"), |name| {
        name.ends_with("-linux-gnu")
    })?;
    let libraries = libraries.strip_prefix(partial)?;
    let rustc = partial.join("bin/rustc");
    fs::create_dir_all(partial.join("bin"))?;
    fs::write(
        &rustc,
        format!(
            "#!/bin/sh\n\
             root=${{0%/bin/rustc}}\n\
             export LD_LIBRARY_PATH=\"$root/{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
             exec \"$root/usr/bin/rustc\" --sysroot \"$root/usr\" \"$@\"\n",
            libraries = libraries.display()
        ),
    )?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;

    // wasm-component-ld calls `rust-lld`, which it expects among the compiler's own tools.
    let tools = folder_with(&partial.join("usr/lib/rustlib"), |name| {
        name.contains("-linux-")
    })?
    .join("bin");
    fs::create_dir_all(&tools)?;
    let linker = tools.join("rust-lld");
    if !linker.exists() {
        std::os::unix::fs::symlink("../../../../bin/rust-lld", &linker)?;
    }
    Ok(())
}

fn build_standard_library(partial: &Path) -> Result<()> {
    progress::status("Building", format!("the standard library for {TARGET}"));
    let package = partial.join("std");
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), "")?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    let sources = fs::canonicalize(partial.join("usr/lib/rustlib/src/rust"))?;
    shell::run(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--release",
                "-Zbuild-std=std,panic_abort",
                "--target",
                TARGET,
            ])
            .current_dir(&package)
            .env("CARGO_TARGET_DIR", package.join("target"))
            .env("RUSTC", partial.join("bin/rustc"))
            // Lets a stable compiler build its own library.
            .env("RUSTC_BOOTSTRAP", "1")
            // Bitcode, or a later `lto = true` fails. The paths of this folder would otherwise be
            // in the panic messages of every function.
            .env(
                "RUSTFLAGS",
                format!(
                    "-Cembed-bitcode=yes -Clink-self-contained=no -L {libc} \
                     --remap-path-prefix={sources}=/rustc",
                    libc = libc_folder(partial).display(),
                    sources = sources.display()
                ),
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;

    let built = package.join("target").join(TARGET).join("release/deps");
    let library = library_folder(partial);
    fs::create_dir_all(&library)?;
    for entry in fs::read_dir(&built)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&file, library.join(&*name))?;
        }
    }
    Ok(())
}

fn lay_out_libc(partial: &Path) -> Result<()> {
    let libc = libc_folder(partial);
    let destination = library_folder(partial).join("self-contained");
    fs::create_dir_all(&destination)?;
    for object in ["crt1-command.o", "crt1-reactor.o"] {
        fs::copy(libc.join(object), destination.join(object))
            .with_context(|| format!("wasi-libc has no {object}"))?;
    }
    let mut script = format!("create {}\n", destination.join("libc.a").display());
    for archive in MERGED_INTO_LIBC {
        script.push_str(&format!("addlib {}\n", libc.join(archive).display()));
    }
    script.push_str("save\nend\n");

    let llvm = folder_with(&partial.join("usr/lib"), |name| name.starts_with("llvm-"))?;
    let libraries = folder_with(&partial.join("usr/lib"), |name| {
        name.ends_with("-linux-gnu")
    })?;
    shell::run_with_input(
        Command::new(llvm.join("bin/llvm-ar"))
            .arg("-M")
            .env("LD_LIBRARY_PATH", libraries),
        script.as_bytes(),
    )
}

/// The compiler's sources alone are larger than everything that is used afterwards.
fn remove_what_nobody_needs(partial: &Path) -> Result<()> {
    for folder in [
        "apt",
        "apt-libc",
        "downloads",
        "std",
        "usr/include",
        "usr/libexec",
        "usr/share",
        "usr/src",
        "usr/lib/rustlib/src",
        "usr/lib/wasm32-wasi",
        "usr/lib/wasm32-wasip1",
        "usr/lib/wasm32-wasi-threads",
    ] {
        remove(&partial.join(folder))?;
    }
    Ok(())
}

/// Proves that the pieces fit: a library that allocates, prints and mentions threads becomes a
/// component.
fn compile_a_program(partial: &Path) -> Result<()> {
    let source = partial.join("trial.rs");
    let component = partial.join("trial.wasm");
    fs::write(
        &source,
        "#[unsafe(no_mangle)]\n\
         pub extern \"C\" fn trial() {\n    \
             println!(\"{}\", std::thread::spawn(|| 1).join().is_ok());\n\
         }\n",
    )?;
    shell::run(
        Command::new(partial.join("bin/rustc"))
            .args([
                "--edition=2024",
                "--crate-type=cdylib",
                "-Copt-level=1",
                "--target",
                TARGET,
            ])
            .arg("-o")
            .arg(&component)
            .arg(&source),
    )
    .context("the new compiler can't make a component")?;
    // Layer 1 in the second half of the version field: a component, not a module.
    // https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
    if fs::read(&component)?.get(..8) != Some(b"\0asm\x0d\0\x01\0") {
        bail!("the new compiler makes something that isn't a component");
    }
    fs::remove_file(source)?;
    fs::remove_file(component)?;
    Ok(())
}

fn libc_folder(partial: &Path) -> PathBuf {
    partial.join("usr/lib").join(TARGET)
}

fn library_folder(partial: &Path) -> PathBuf {
    partial.join("usr/lib/rustlib").join(TARGET).join("lib")
}

fn folder_with(parent: &Path, matches: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in fs::read_dir(parent).with_context(|| format!("no {}", parent.display()))? {
        let entry = entry?;
        if matches(&entry.file_name().to_string_lossy()) && entry.path().is_dir() {
            return Ok(entry.path());
        }
    }
    bail!(
        "{} doesn't hold the folder that was expected",
        parent.display()
    )
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
