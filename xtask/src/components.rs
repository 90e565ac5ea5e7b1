//! Builds the components of a workspace, checks each against its world, and precompiles it.
//!
//! A component is a package with a `cdylib` target. It becomes `<package>.wasm` in a folder under
//! `build/`, where `spin.toml` expects it, and `<package>.cwasm`, precompiled, beside it. The world of a
//! component comes from `spin.toml`. Files of removed packages are deleted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::freshness::{self, Inputs};
use crate::manifest;
use crate::native::Binaries;
use crate::progress;
use crate::repository::Repository;
use crate::shell;
use crate::toolchain::{TARGET, WasmToolchain};

/// A workspace of components.
pub(crate) struct Workspace {
    folder: PathBuf,
    products: PathBuf,
    target_dir: PathBuf,
}

impl Workspace {
    /// Returns the workspace of the functions.
    pub(crate) fn functions(repository: &Repository, toolchain: &WasmToolchain) -> Self {
        Self {
            folder: repository.root().join("functions"),
            products: repository.build_dir(),
            target_dir: toolchain.target_dir.clone(),
        }
    }

    /// Returns the workspace of the test guests.
    pub(crate) fn guests(repository: &Repository, toolchain: &WasmToolchain) -> Self {
        Self {
            folder: repository.root().join("tests/guests"),
            products: repository.build_dir().join("guests"),
            // The profiles differ, so a shared folder would save nothing and make builds wait.
            target_dir: toolchain.target_dir.with_file_name("guests"),
        }
    }

    /// Builds the components, copies them to their folder, and returns their paths.
    ///
    /// # Errors
    /// When the workspace is invalid or doesn't compile.
    pub(crate) fn build(&self, toolchain: &WasmToolchain) -> Result<Vec<PathBuf>> {
        let manifest = self.folder.join("Cargo.toml");
        let components = components(toolchain, &manifest)?;
        shell::run(
            toolchain
                .command(["build", "--release", "--target", TARGET])
                .arg("--manifest-path")
                .arg(&manifest)
                .env("CARGO_TARGET_DIR", &self.target_dir),
        )?;
        fs::create_dir_all(&self.products)?;
        let compiled = self.target_dir.join(TARGET).join("release");
        let mut products = Vec::new();
        for component in &components {
            let file = compiled.join(component.file_name());
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let product = self
                .products
                .join(&component.package)
                .with_extension("wasm");
            if freshness::write(&product, &bytes)? {
                progress::status(
                    "Built",
                    format!("{} ({} KiB)", component.package, bytes.len() / 1024),
                );
            }
            products.push(product);
        }
        self.remove_outdated(&components)?;
        Ok(products)
    }

    fn remove_outdated(&self, components: &[Component]) -> Result<()> {
        for entry in fs::read_dir(&self.products)? {
            let path = entry?.path();
            let is_product = path
                .extension()
                .is_some_and(|extension| extension == "wasm" || extension == "cwasm");
            let is_known = components.iter().any(|component| {
                path.file_stem()
                    .is_some_and(|stem| *stem == *component.package)
            });
            if is_product && !is_known {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Checks components against their worlds and compiles them to machine code, where the component, its
/// world or the compiler has changed. A component without a world in `spin.toml` (a test guest) is
/// compiled only.
///
/// # Errors
/// When a component imports more than its world grants, or doesn't compile.
pub(crate) fn precompile(
    repository: &Repository,
    binaries: &Binaries,
    components: &[PathBuf],
) -> Result<()> {
    let worlds: BTreeMap<_, _> = manifest::components(repository)?
        .into_iter()
        .filter_map(|component| Some((component.source, component.world?)))
        .collect();
    let compiler = compiler(repository)?;
    for component in components {
        let compiled = component.with_extension("cwasm");
        let world = component
            .strip_prefix(repository.root())
            .ok()
            .and_then(|source| worlds.get(source));
        let inputs = compiler
            .clone()
            .value("world", world.map_or("", String::as_str))
            .file(component)?;
        let stamp = repository.stamp(component)?;
        freshness::unless_fresh(&stamp, &compiled, inputs, || {
            if let Some(world) = world {
                shell::run(
                    Command::new(binaries.tirage())
                        .arg("check")
                        .arg(component)
                        .args(["--world", world]),
                )?;
            }
            progress::status("Compiling", component.display());
            shell::run(
                Command::new(binaries.tirage())
                    .arg("precompile")
                    .arg(component)
                    .arg(&compiled),
            )
        })?;
    }
    Ok(())
}

/// A package whose library is a component.
#[derive(Debug, PartialEq, Eq)]
struct Component {
    package: String,
    library: String,
}

impl Component {
    fn file_name(&self) -> String {
        format!("{}.wasm", self.library.replace('-', "_"))
    }
}

fn components(toolchain: &WasmToolchain, manifest: &Path) -> Result<Vec<Component>> {
    let metadata = shell::output(
        toolchain
            .command([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(manifest),
    )?;
    parse_components(&metadata)
}

/// Parses the output of `cargo metadata`
/// (<https://doc.rust-lang.org/cargo/commands/cargo-metadata.html#output-format>).
fn parse_components(metadata: &str) -> Result<Vec<Component>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }

    let metadata: Metadata =
        serde_json::from_str(metadata).context("unexpected output of cargo metadata")?;
    let component = |package: Package| {
        let library = package
            .targets
            .into_iter()
            .find(|target| target.kind.iter().any(|kind| kind == "cdylib"))?;
        Some(Component {
            package: package.name,
            library: library.name,
        })
    };
    Ok(metadata
        .packages
        .into_iter()
        .filter_map(component)
        .collect())
}

/// Returns what precompiled code depends on besides the component: wasmtime refuses code of another
/// version or with other settings.
fn compiler(repository: &Repository) -> Result<Inputs> {
    let lock = fs::read_to_string(repository.root().join("Cargo.lock"))?;
    let version = locked_version(&lock, "wasmtime").context("Cargo.lock names no wasmtime")?;
    Inputs::default()
        .value("wasmtime", version)
        .file(&repository.root().join("crates/host/src/engine.rs"))?
        .folder(&repository.root().join("wit"), &[])
}

fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_packages_with_a_cdylib() {
        let metadata = r#"{"packages":[
            {"name":"guest-support","targets":[{"name":"guest_support","kind":["lib"]}]},
            {"name":"call-out","targets":[
                {"name":"call_out","kind":["cdylib"]},{"name":"t","kind":["test"]}]}
        ],"version":1}"#;
        let components = parse_components(metadata).unwrap();
        let expected = Component {
            package: "call-out".into(),
            library: "call_out".into(),
        };
        assert_eq!(components, [expected]);
        assert_eq!(components[0].file_name(), "call_out.wasm");
    }

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
        assert_eq!(locked_version(lock, "wasmtime"), Some("48.0.8"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
