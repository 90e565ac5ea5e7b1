//! Maps components that were compiled ahead of time. The only place with `unsafe`.
//!
//! A `.cwasm` is machine code: whoever can write the file can run code in this process. It is
//! trusted exactly as the router's own binary is: it lies beside the component, is made by
//! `cargo xtask build` or in the image, and no guest can write where it is.

use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// A component could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither the component nor its compiled form is there, or they can't be read.
    #[error("cannot read component {path}: {source}", path = path.display())]
    Unreadable {
        /// The component's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there, and it is no component that this router understands.
    #[error("cannot load component {path}: {source:#}", path = path.display())]
    Invalid {
        /// The component's path.
        path: PathBuf,
        /// What wasmtime said.
        source: wasmtime::Error,
    },
}

/// Loads `wasm`'s compiled form, `<name>.cwasm` beside it, if that is there, not older than the
/// component and made by this version for this processor; else compiles the component now.
///
/// # Errors
/// [`LoadError`], and with feature `compiler` off also when the compiled form is missing or stale.
pub(crate) fn load(engine: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    let compiled = wasm.with_extension("cwasm");
    if is_current(wasm, &compiled) {
        match map(engine, &compiled) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::warn!(
                path = %compiled.display(),
                "compiled for another router or processor, compiling again: {error:#}"
            ),
        }
    }
    compile_now(engine, wasm)
}

/// Compiles `wasm` for this processor, or for any of `target`'s, and writes the result to
/// `compiled` in one step: a reader sees the old file or the new one, never half of one.
///
/// # Errors
/// When the component is invalid or a file can't be read or written.
#[cfg(feature = "compiler")]
pub(crate) fn precompile(engine: &Engine, wasm: &Path, compiled: &Path) -> Result<(), LoadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Unreadable { path, source }
    };
    let bytes = std::fs::read(wasm).map_err(unreadable(wasm))?;
    let code = engine
        .precompile_component(&bytes)
        .map_err(|source| LoadError::Invalid {
            path: wasm.to_owned(),
            source,
        })?;
    let partial = compiled.with_extension(format!("cwasm.{}", std::process::id()));
    std::fs::write(&partial, code).map_err(unreadable(&partial))?;
    std::fs::rename(&partial, compiled).map_err(unreadable(compiled))
}

fn is_current(wasm: &Path, compiled: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    match (modified(wasm), modified(compiled)) {
        (Ok(source), Ok(made)) => made >= source,
        // An image may hold only the compiled form.
        (Err(_), Ok(_)) => true,
        _ => false,
    }
}

#[expect(unsafe_code, reason = "mapping machine code cannot be checked")]
fn map(engine: &Engine, compiled: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file was written by `precompile` (trusted as said above), is replaced only by
    // renaming, so the mapping never changes under us, and wasmtime refuses files of another
    // version or for another processor.
    unsafe { Component::deserialize_file(engine, compiled) }
}

#[cfg(feature = "compiler")]
fn compile_now(engine: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    let bytes = std::fs::read(wasm).map_err(|source| LoadError::Unreadable {
        path: wasm.to_owned(),
        source,
    })?;
    Component::from_binary(engine, &bytes).map_err(|source| LoadError::Invalid {
        path: wasm.to_owned(),
        source,
    })
}

#[cfg(not(feature = "compiler"))]
fn compile_now(_: &Engine, wasm: &Path) -> Result<Component, LoadError> {
    Err(LoadError::Unreadable {
        path: wasm.with_extension("cwasm"),
        source: std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "no current compiled form, and this router was built without a compiler",
        ),
    })
}

/// The names of the interfaces that the component in file `wasm` imports functions of.
#[cfg(feature = "compiler")]
pub(crate) fn imports(wasm: &Path) -> Result<Vec<String>, LoadError> {
    use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
    use wasmparser::types::Types;
    use wasmparser::{Parser, Payload, Validator, WasmFeatures};

    let invalid = |source: wasmparser::BinaryReaderError| LoadError::Invalid {
        path: wasm.to_owned(),
        source: source.into(),
    };
    let bytes = std::fs::read(wasm).map_err(|source| LoadError::Unreadable {
        path: wasm.to_owned(),
        source,
    })?;
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
