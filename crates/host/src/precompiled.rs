//! Loads components, from their precompiled form if it is current. The only module with `unsafe`.
//!
//! A `.cwasm` file is machine code that runs in this process, so it is trusted like the router's
//! binary. `cargo xtask build` or the image's build creates it next to the component. Guests can't
//! write to that folder.

use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// An error of loading or compiling a component.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be read or written.
    #[error("cannot access {path}: {source}", path = path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file isn't a component that this router supports.
    #[error("cannot load component {path}: {source:#}", path = path.display())]
    Invalid {
        /// Path of the component.
        path: PathBuf,
        /// Error of wasmtime.
        source: wasmtime::Error,
    },
}

/// Loads a component. Maps its compiled form `<name>.cwasm`, if that is as new as the component and
/// was compiled by this version for this processor; otherwise compiles the component.
///
/// # Errors
/// [`LoadError`]; without feature `compiler` also if the compiled form is missing or stale.
pub(crate) fn load(engine: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    let compiled = wasm.with_extension("cwasm");
    if is_current(wasm, &compiled) {
        match map(engine, &compiled) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::warn!(
                path = %compiled.display(),
                "compiled for another version or processor: compiling the component again: {error:#}"
            ),
        }
    }
    compile_now(engine, wasm)
}

/// Compiles `wasm` for this processor and writes the result to `compiled` atomically: a concurrent
/// reader sees the old or the new file.
///
/// # Errors
/// The component is invalid, or a file can't be read or written.
#[cfg(feature = "compiler")]
pub(crate) fn precompile(engine: &Engine, wasm: &Path, compiled: &Path) -> Result<(), LoadError> {
    let bytes = read(wasm)?;
    let code = engine
        .precompile_component(&bytes)
        .map_err(|source| LoadError::Invalid {
            path: wasm.to_owned(),
            source,
        })?;
    let partial = compiled.with_extension(format!("cwasm.{}", std::process::id()));
    std::fs::write(&partial, code).map_err(io_error(&partial))?;
    std::fs::rename(&partial, compiled).map_err(io_error(compiled))
}

#[cfg(feature = "compiler")]
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(io_error(path))
}

#[cfg(feature = "compiler")]
fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> LoadError {
    let path = path.to_owned();
    move |source| LoadError::Io { path, source }
}

fn is_current(wasm: &Path, compiled: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    match (modified(wasm), modified(compiled)) {
        (Ok(source), Ok(compiled)) => compiled >= source,
        // An image may contain only the compiled form.
        (Err(_), Ok(_)) => true,
        _ => false,
    }
}

#[expect(unsafe_code, reason = "machine code cannot be validated")]
fn map(engine: &Engine, compiled: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `precompile` wrote the file, which is trusted (see the module's documentation). The file
    // is only ever replaced by renaming, so the mapping doesn't change, and wasmtime refuses files of
    // another version or for another processor.
    unsafe { Component::deserialize_file(engine, compiled) }
}

#[cfg(feature = "compiler")]
fn compile_now(engine: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    let bytes = read(wasm)?;
    Component::from_binary(engine, &bytes).map_err(|source| LoadError::Invalid {
        path: wasm.to_owned(),
        source,
    })
}

#[cfg(not(feature = "compiler"))]
fn compile_now(_: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    Err(LoadError::Io {
        path: wasm.with_extension("cwasm"),
        source: std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "no current compiled form; this router has no compiler",
        ),
    })
}

/// Returns the names of the interfaces from which the component imports functions.
#[cfg(feature = "compiler")]
pub(crate) fn imports(wasm: &Path) -> Result<Vec<String>, LoadError> {
    use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
    use wasmparser::types::Types;
    use wasmparser::{Parser, Payload, Validator, WasmFeatures};

    let invalid = |source: wasmparser::BinaryReaderError| LoadError::Invalid {
        path: wasm.to_owned(),
        source: source.into(),
    };
    let bytes = read(wasm)?;
    let types: Types = Validator::new_with_features(WasmFeatures::all())
        .validate_all(&bytes)
        .map_err(invalid)?;
    let is_types_only = |instance: ComponentInstanceTypeId| {
        types[instance]
            .exports
            .values()
            .all(|export| matches!(export.ty, ComponentEntityType::Type { .. }))
    };
    let mut imports = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(invalid)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.map_err(invalid)?.name.name;
                    let item = types.as_ref().component_item_for_import(name);
                    match item.map(|item| item.ty) {
                        Some(ComponentEntityType::Instance(id)) if is_types_only(id) => {}
                        _ => imports.push(name.to_owned()),
                    }
                }
            }
            _ => {}
        }
    }
    Ok(imports)
}
