//! Lays out what was unpacked so that rustc finds its standard library, its linker and WASI's libc.
//!
//! All paths in it follow from where the folder is, so that it may be renamed when it is finished.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{TARGET, remove};
use crate::progress;
use crate::shell;

/// Crates that mention `std::thread` refer to functions that WASI has only as refusing stand-ins,
/// in a library that nothing links by itself.
const MERGED_INTO_LIBC: [&str; 2] = ["libc.a", "libwasi-emulated-pthread.a"];

/// Turns `folder`, which holds the unpacked packages, into a compiler with a standard library.
///
/// # Errors
/// When a piece isn't where it was in the releases that we know, or the result doesn't work.
pub(super) fn lay_out(folder: &Path) -> Result<()> {
    write_compiler_script(folder)?;
    build_standard_library(folder)?;
    lay_out_libc(folder)?;
    remove_what_nobody_needs(folder)?;
    compile_a_program(folder)
}

/// The compiler finds its own libraries by `LD_LIBRARY_PATH`, and its library by `--sysroot`. Both
/// follow from where the script is, so the folder may be renamed.
fn write_compiler_script(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let libraries = folder_with(&folder.join("usr/lib"), |name| name.ends_with("-linux-gnu"))?;
    let libraries = libraries.strip_prefix(folder)?;
    let rustc = folder.join("bin/rustc");
    fs::create_dir_all(folder.join("bin"))?;
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
    let tools = folder_with(&folder.join("usr/lib/rustlib"), |name| {
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

fn build_standard_library(folder: &Path) -> Result<()> {
    progress::status("Building", format!("the standard library for {TARGET}"));
    let package = folder.join("std");
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), "")?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    let sources = folder.join("usr/lib/rustlib/src/rust");
    let cargo = std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from);
    shell::run(
        shell::cargo(&cargo)
            .args([
                "build",
                "--release",
                "-Zbuild-std=std,panic_abort",
                "--target",
                TARGET,
            ])
            .current_dir(&package)
            .env("CARGO_TARGET_DIR", package.join("target"))
            .env("RUSTC", folder.join("bin/rustc"))
            // Lets a stable compiler build its own library.
            .env("RUSTC_BOOTSTRAP", "1")
            // Bitcode, or a later `lto = true` fails. The paths of this folder would otherwise be
            // in the panic messages of every function.
            .env(
                "RUSTFLAGS",
                format!(
                    "-Cembed-bitcode=yes -Clink-self-contained=no -L {libc} \
                     --remap-path-prefix={sources}=/rustc",
                    libc = libc_folder(folder).display(),
                    sources = sources.display()
                ),
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;

    let built = package.join("target").join(TARGET).join("release/deps");
    let library = library_folder(folder);
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

fn lay_out_libc(folder: &Path) -> Result<()> {
    let libc = libc_folder(folder);
    let destination = library_folder(folder).join("self-contained");
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

    let llvm = folder_with(&folder.join("usr/lib"), |name| name.starts_with("llvm-"))?;
    let libraries = folder_with(&folder.join("usr/lib"), |name| name.ends_with("-linux-gnu"))?;
    shell::run_with_input(
        Command::new(llvm.join("bin/llvm-ar"))
            .arg("-M")
            .env("LD_LIBRARY_PATH", libraries),
        script.as_bytes(),
    )
}

/// The compiler's sources alone are larger than everything that is used afterwards.
fn remove_what_nobody_needs(folder: &Path) -> Result<()> {
    let llvm = folder_with(&folder.join("usr/lib"), |name| name.starts_with("llvm-"))?;
    for tool in fs::read_dir(llvm.join("bin"))? {
        let tool = tool?.path();
        if tool.file_name().is_none_or(|name| name != "lld") {
            fs::remove_file(tool)?;
        }
    }
    for leftover in [
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
        remove(&folder.join(leftover))?;
    }
    Ok(())
}

/// Proves that the pieces fit: a library that allocates, prints and mentions threads becomes a
/// component.
fn compile_a_program(folder: &Path) -> Result<()> {
    let source = folder.join("trial.rs");
    let component = folder.join("trial.wasm");
    fs::write(
        &source,
        "#[unsafe(no_mangle)]\n\
         pub extern \"C\" fn trial() {\n    \
             println!(\"{}\", std::thread::spawn(|| 1).join().is_ok());\n\
         }\n",
    )?;
    shell::run(
        Command::new(folder.join("bin/rustc"))
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

fn libc_folder(folder: &Path) -> PathBuf {
    folder.join("usr/lib").join(TARGET)
}

fn library_folder(folder: &Path) -> PathBuf {
    folder.join("usr/lib/rustlib").join(TARGET).join("lib")
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
