//! Whether something must be made again.
//!
//! What was made is remembered by a hash of everything it was made of, in a small file under
//! `build/`. Content counts, not dates: a checkout of another branch and back costs nothing, and a
//! file that cargo wrote again with the same bytes isn't a change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A hash over what something is made of.
#[derive(Clone, Default)]
pub(crate) struct Ingredients(Sha256);

impl Ingredients {
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

    /// Adds all files of a folder, names and contents, but for those in folders called one of
    /// `except`.
    ///
    /// # Errors
    /// When something in it can't be read.
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
        // The length keeps "ab" + "c" apart from "a" + "bc".
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn hash(self) -> String {
        use std::fmt::Write as _;

        self.0
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a string can't fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// Runs `make` unless `product` is there and was made of the same `ingredients`, as the file
/// `stamp` tells. Returns whether it ran.
///
/// # Errors
/// Those of `make`, and when the stamp can't be written. After an error the next call makes it again.
pub(crate) fn unless_fresh(
    stamp: &Path,
    product: &Path,
    ingredients: Ingredients,
    make: impl FnOnce() -> Result<()>,
) -> Result<bool> {
    let hash = ingredients.hash();
    if product.exists() && fs::read_to_string(stamp).is_ok_and(|made_of| made_of == hash) {
        return Ok(false);
    }
    make()?;
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    write(stamp, hash.as_bytes())?;
    Ok(true)
}

/// Puts `content` at `path`, unless it is there already. Readers see the old file or the new one,
/// never half of one. Returns whether it changed.
///
/// # Errors
/// When it can't be written.
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
    fn made_once_for_the_same_ingredients() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, product) = (folder.path().join("a/stamp"), folder.path().join("product"));
        let make = |ingredient: &str| {
            let ingredients = Ingredients::default().value("ingredient", ingredient);
            unless_fresh(&stamp, &product, ingredients, || {
                Ok(fs::write(&product, "")?)
            })
            .unwrap()
        };
        assert!(make("flour"));
        assert!(!make("flour"));
        assert!(make("rye"));
        fs::remove_file(&product).unwrap();
        assert!(make("rye"));
    }

    #[test]
    fn made_again_after_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, product) = (folder.path().join("stamp"), folder.path().join("product"));
        fs::write(&product, "half done").unwrap();
        let failing = || anyhow::bail!("no luck");
        unless_fresh(&stamp, &product, Ingredients::default(), failing).unwrap_err();
        assert!(unless_fresh(&stamp, &product, Ingredients::default(), || Ok(())).unwrap());
    }

    #[test]
    fn a_folder_is_its_files_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let hash = || {
            Ingredients::default()
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
    fn the_same_bytes_are_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(write(&file, b"1").unwrap());
        assert!(!write(&file, b"1").unwrap());
        assert!(write(&file, b"2").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"2");
    }
}
