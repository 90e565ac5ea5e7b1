//! Files that a component may read.
//!
//! An entry of `files` is a glob pattern (`assets/**/*.jpg`), whose files keep their path relative to
//! the manifest's folder, or a `{ source, destination }` pair, which mounts a file or the contents of
//! a folder at another path. `exclude_files` has glob patterns of files to leave out. As in Spin,
//! a `*` in `files` matches within one folder, a `*` in `exclude_files` across folders, and `**`
//! doesn't follow symbolic links to folders.
//!
//! Stricter than Spin: no file is outside of the manifest's folder, neither through `..` nor through
//! a symbolic link; two files can't have the same path in the guest; and a pattern can't be the plain
//! name of a folder, because Spin 4 mounts `dir/file` of such a pattern at `/dir/dir/file`.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use glob::Pattern;
use serde::Serialize;

use crate::{
    document::{Item, Keys, Table},
    error::Error,
};

/// The `files` and `exclude_files` of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Files to mount.
    pub mounts: Vec<FileMount>,
    /// Patterns of files to leave out.
    pub exclude: Vec<FilePattern>,
}

/// An entry of `files`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FileMount {
    /// Files below the manifest's folder, at the same path in the guest.
    Pattern(FilePattern),
    /// A file, or the contents of a folder, at another path.
    Placement {
        /// Path relative to the manifest's folder, without `..`.
        source: PathBuf,
        /// Absolute path in the guest, without `..`. A path that ends with `/` is a folder.
        destination: String,
    },
}

/// A glob pattern of paths below the manifest's folder: relative, without `..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FilePattern {
    text: String,
    #[serde(skip)]
    pattern: Pattern,
}

/// A file of the host and its path in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedFile {
    /// Absolute path on the host.
    pub host: PathBuf,
    /// Absolute path in the guest, separated by `/`.
    pub guest: String,
}

/// An error of parsing or expanding an entry.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The path is absolute or contains `..`.
    #[error("path {0:?} is outside of the manifest's folder")]
    Outside(String),
    /// The file is a symbolic link to a path outside of the manifest's folder.
    #[error("{} is a symbolic link to a path outside of the manifest's folder", .0.display())]
    LinkOutside(PathBuf),
    /// Invalid glob pattern.
    #[error("invalid glob pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The error of the glob parser.
        reason: &'static str,
    },
    /// The pattern is the name of a folder.
    #[error("{0:?} is a folder: write {{ source = \"…\", destination = \"/…\" }} or a pattern")]
    Folder(String),
    /// Invalid path in the guest.
    #[error("invalid destination {0:?}: expected a path without `..`")]
    Destination(String),
    /// The source is a file and the destination a folder.
    #[error("{0:?} is a file: its destination must be the path of a file, not a folder")]
    NotAFile(String),
    /// The file or folder doesn't exist.
    #[error("{0:?} does not exist, and is not a pattern")]
    Missing(String),
    /// Two files have the same path in the guest.
    #[error("{} and {} have the same path {guest} in the guest", first.display(), second.display())]
    Clash {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
        /// The path in the guest.
        guest: String,
    },
    /// The path isn't UTF-8, so a guest can't open it.
    #[error("the path {} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The file or folder can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Files {
    /// Returns the files below `folder`, the manifest's, ordered by their guest paths.
    ///
    /// # Errors
    ///
    /// A file of an entry doesn't exist (a pattern may match no file), is outside of the folder after
    /// following symbolic links, or has the guest path of another file.
    pub fn expand(&self, folder: &Path) -> Result<Vec<MountedFile>, FilesError> {
        let folder = canonical(folder)?;
        let mut files = BTreeMap::new();
        for mount in &self.mounts {
            for file in mount.expand(&folder, &self.exclude)? {
                if !canonical(&file.host)?.starts_with(&folder) {
                    return Err(FilesError::LinkOutside(file.host));
                }
                if let Some(first) = files.insert(file.guest.clone(), file.host.clone())
                    && first != file.host
                {
                    return Err(FilesError::Clash {
                        first,
                        second: file.host,
                        guest: file.guest,
                    });
                }
            }
        }
        let mounted = |(guest, host)| MountedFile { host, guest };
        Ok(files.into_iter().map(mounted).collect())
    }

    /// Reads the keys `files` and `exclude_files` of a component.
    pub(crate) fn read(component: &mut Table<'_>) -> Result<Self, Error> {
        let mounts = component.array("files")?.into_iter().map(FileMount::read);
        let mounts = mounts.collect::<Result<_, _>>()?;
        let exclude = component.array("exclude_files")?;
        Ok(Self {
            mounts,
            exclude: exclude.iter().map(Item::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl FileMount {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["source", "destination"],
            unsupported: &[],
        };
        if item.is_string() {
            return Ok(Self::Pattern(item.parse()?));
        }
        if !item.is_table() {
            return Err(item.wrong_type("a pattern or { source, destination }"));
        }
        let mut table = item.table(&KEYS)?;
        let source = table.require("source")?;
        let destination = table.require("destination")?;
        Ok(Self::Placement {
            source: relative_path(source.string()?).map_err(|error| source.error(error))?,
            destination: guest_path(destination.string()?)
                .map_err(|error| destination.error(error))?,
        })
    }

    fn expand(
        &self,
        folder: &Path,
        exclude: &[FilePattern],
    ) -> Result<Vec<MountedFile>, FilesError> {
        match self {
            Self::Pattern(FilePattern { text, .. }) => {
                let path = folder.join(text);
                if path.is_dir() {
                    Err(FilesError::Folder(text.clone()))
                } else if path.exists() {
                    Ok(vec![MountedFile::new(path, "", Path::new(text))?])
                } else if Pattern::escape(text) == *text {
                    Err(FilesError::Missing(text.clone()))
                } else {
                    matches(folder, folder, text, "", exclude)
                }
            }
            Self::Placement {
                source,
                destination,
            } => {
                let path = folder.join(source);
                let name = || source.display().to_string();
                if path.is_dir() {
                    let destination = destination.trim_end_matches('/');
                    matches(folder, &path, "**/*", destination, exclude)
                } else if !path.exists() {
                    Err(FilesError::Missing(name()))
                } else if destination.ends_with('/') {
                    Err(FilesError::NotAFile(name()))
                } else {
                    Ok(vec![MountedFile {
                        host: path,
                        guest: destination.clone(),
                    }])
                }
            }
        }
    }
}

/// Returns the files below `base` that match `pattern`, except those that match `exclude`.
fn matches(
    folder: &Path,
    base: &Path,
    pattern: &str,
    destination: &str,
    exclude: &[FilePattern],
) -> Result<Vec<MountedFile>, FilesError> {
    let not_utf8 = || FilesError::NotUtf8(base.to_owned());
    let escaped = Pattern::escape(base.to_str().ok_or_else(not_utf8)?);
    let full = Path::new(&escaped).join(pattern);
    let found = glob::glob(full.to_str().ok_or_else(not_utf8)?)
        .map_err(|error| FilesError::pattern(pattern, &error))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| FilesError::Read {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        let below = |base: &Path| match path.strip_prefix(base) {
            Ok(below) => Ok(below.to_owned()),
            Err(_) => Err(FilesError::Outside(path.display().to_string())),
        };
        let (in_folder, in_base) = (below(folder)?, below(base)?);
        let excluded = |pattern: &FilePattern| pattern.pattern.matches_path(&in_folder);
        if path.is_file() && !exclude.iter().any(excluded) {
            files.push(MountedFile::new(path, destination, &in_base)?);
        }
    }
    Ok(files)
}

impl MountedFile {
    fn new(host: PathBuf, destination: &str, below: &Path) -> Result<Self, FilesError> {
        let mut guest = destination.to_owned();
        for component in below.components() {
            if let Component::Normal(name) = component {
                let name = name.to_str();
                guest.push('/');
                guest.push_str(name.ok_or_else(|| FilesError::NotUtf8(host.clone()))?);
            }
        }
        Ok(Self { host, guest })
    }
}

impl FromStr for FilePattern {
    type Err = FilesError;

    fn from_str(text: &str) -> Result<Self, FilesError> {
        relative_path(text)?;
        Ok(Self {
            pattern: Pattern::new(text).map_err(|error| FilesError::pattern(text, &error))?,
            text: text.to_owned(),
        })
    }
}

impl FilesError {
    fn pattern(pattern: &str, error: &glob::PatternError) -> Self {
        Self::Pattern {
            pattern: pattern.to_owned(),
            reason: error.msg,
        }
    }
}

/// Parses a relative path without `..`.
fn relative_path(text: &str) -> Result<PathBuf, FilesError> {
    let path = Path::new(text);
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.is_empty() || !path.components().all(stays) {
        return Err(FilesError::Outside(text.to_owned()));
    }
    Ok(path.to_owned())
}

/// Parses a path in the guest and makes it absolute. Keeps a `/` at its end.
fn guest_path(text: &str) -> Result<String, FilesError> {
    let steps = || {
        text.split('/')
            .filter(|step| !step.is_empty() && *step != ".")
    };
    if text.is_empty() || steps().any(|step| step == "..") {
        return Err(FilesError::Destination(text.to_owned()));
    }
    let mut path: String = steps().flat_map(|step| ["/", step]).collect();
    if text.ends_with('/') {
        path.push('/');
    }
    Ok(path)
}

fn canonical(path: &Path) -> Result<PathBuf, FilesError> {
    path.canonicalize().map_err(|source| FilesError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
