//! Skips build steps whose inputs haven't changed.
//!
//! A small file under `build/`, the stamp, holds the hash of a product's inputs. Contents count, not
//! modification times: checking out another branch and back costs nothing, and neither does a file that
//! cargo rewrote with the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A hash of the inputs of a product.
#[derive(Clone, Default)]
pub(crate) struct Inputs(Sha256);

impl Inputs {
    /// Adds a value under a name.
    pub(crate) fn value(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name.as_bytes());
        self.add(value.as_ref());
        self
    }

    /// Adds a file's content under its name.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn file(self, path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.value(&path.to_string_lossy(), content))
    }

    /// Adds the names and contents of all files in a folder, without subfolders called one of `except`.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(crate) fn folder(mut self, folder: &Path, except: &[&str]) -> Result<Self> {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        entries.sort();
        for entry in entries {
            self = if !entry.is_dir() {
                self.file(&entry)?
            } else if except.iter().any(|name| entry.ends_with(name)) {
                self
            } else {
                self.folder(&entry, except)?
            };
        }
        Ok(self)
    }

    fn add(&mut self, bytes: &[u8]) {
        // With the length, "ab" + "c" differs from "a" + "bc".
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn hash(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// Runs `make` unless `product` exists and the file `stamp` says that its `inputs` are unchanged.
/// Returns `true` if it ran.
///
/// # Errors
/// Those of `make`, and when the stamp can't be written. After an error, the next call runs `make` again.
pub(crate) fn unless_fresh(
    stamp: &Path,
    product: &Path,
    inputs: Inputs,
    make: impl FnOnce() -> Result<()>,
) -> Result<bool> {
    let hash = inputs.hash();
    if product.exists() && fs::read_to_string(stamp).is_ok_and(|known| known == hash) {
        return Ok(false);
    }
    make()?;
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    write(stamp, hash.as_bytes())?;
    Ok(true)
}

/// Writes `content` to `path` unless the file has it already. Readers see the old file or the new one,
/// never a part. Returns `true` if the file changed.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|existing| existing == content) {
        return Ok(false);
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_made_once_for_the_same_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, product) = (folder.path().join("a/stamp"), folder.path().join("product"));
        let make = |input: &str| {
            let inputs = Inputs::default().value("input", input);
            unless_fresh(&stamp, &product, inputs, || Ok(fs::write(&product, "")?)).unwrap()
        };
        assert!(make("one"));
        assert!(!make("one"));
        assert!(make("two"));
        fs::remove_file(&product).unwrap();
        assert!(make("two"));
    }

    #[test]
    fn products_are_made_again_after_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, product) = (folder.path().join("stamp"), folder.path().join("product"));
        fs::write(&product, "partial").unwrap();
        let failing = || anyhow::bail!("failed");
        unless_fresh(&stamp, &product, Inputs::default(), failing).unwrap_err();
        assert!(unless_fresh(&stamp, &product, Inputs::default(), || Ok(())).unwrap());
    }

    #[test]
    fn folders_are_compared_by_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let hash = || {
            Inputs::default()
                .folder(folder.path(), &["node_modules"])
                .unwrap()
                .hash()
        };
        fs::write(folder.path().join("a"), "1").unwrap();
        let first = hash();
        fs::create_dir(folder.path().join("node_modules")).unwrap();
        fs::write(folder.path().join("node_modules/b"), "2").unwrap();
        assert_eq!(hash(), first);

        fs::write(folder.path().join("a"), "2").unwrap();
        let second = hash();
        assert_ne!(second, first);
        fs::rename(folder.path().join("a"), folder.path().join("c")).unwrap();
        assert_ne!(hash(), second);
    }

    #[test]
    fn writing_the_same_bytes_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(write(&file, b"1").unwrap());
        assert!(!write(&file, b"1").unwrap());
        assert!(write(&file, b"2").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"2");
    }
}
