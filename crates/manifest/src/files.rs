//! The files that a component may read.
//!
//! An entry of `files` is a glob pattern (`assets/**/*.jpg`), whose files keep their path from the
//! manifest's folder, or a `{ source, destination }` pair, which puts a file or all that a folder
//! holds elsewhere. `exclude_files` takes glob patterns away again. In patterns, as in Spin,
//! a `*` of `files` stays within one folder, a `*` of `exclude_files` does not; `**` does not
//! follow links to folders.
//!
//! What is stricter than in Spin: nothing leaves the manifest's folder, neither by `..` nor by a
//! link; two files cannot have the same place in the guest; and a pattern cannot be the bare name
//! of a folder. Spin 4 takes that, and mounts `dir/file` at `/dir/dir/file`; a pair is clear.

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
    /// What is mounted.
    pub mounts: Vec<FileMount>,
    /// What is left out of it.
    pub exclude: Vec<FilePattern>,
}

/// An entry of `files`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FileMount {
    /// Files of the manifest's folder, at the same path in the guest.
    Pattern(FilePattern),
    /// A file, or all that a folder holds, at another path.
    Placement {
        /// The path from the manifest's folder, without `..`.
        source: PathBuf,
        /// The path in the guest: absolute, without `..`; with `/` at its end, a folder.
        destination: String,
    },
}

/// A glob pattern for paths below the manifest's folder: relative, without `..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FilePattern {
    text: String,
    #[serde(skip)]
    pattern: Pattern,
}

/// A file of the host and where the guest finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedFile {
    /// The absolute path on the host.
    pub host: PathBuf,
    /// The absolute path in the guest, `/` between names.
    pub guest: String,
}

/// Why an entry was refused, when read or when expanded.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The path is absolute or has `..` in it.
    #[error("{0:?} leaves the folder of the manifest")]
    Leaves(String),
    /// The file is a link to somewhere else.
    #[error("{} is a link that leaves the folder of the manifest", .0.display())]
    LinkLeaves(PathBuf),
    /// Not a glob pattern.
    #[error("{pattern:?} is not a glob pattern: {reason}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A pattern that is the name of a folder.
    #[error("{0:?} is a folder: write {{ source = \"…\", destination = \"/…\" }}, or a pattern")]
    Folder(String),
    /// A destination that is not a path in the guest.
    #[error("{0:?} is not a destination: it must be a path without `..`")]
    Destination(String),
    /// A single file is put at a folder.
    #[error("the file {0:?} needs a destination that is a file name, not a folder")]
    NoFileName(String),
    /// What an entry names is not there.
    #[error("{0:?} does not exist and is no pattern")]
    Missing(String),
    /// Two files would have the same path in the guest.
    #[error("{} and {} would both be {guest} in the guest", first.display(), second.display())]
    Clash {
        /// The file that came first.
        first: PathBuf,
        /// The one that came later.
        second: PathBuf,
        /// The path in the guest.
        guest: String,
    },
    /// A name that is not UTF-8 cannot be shown to a guest.
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The folder could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Files {
    /// Finds the files, given the folder of the manifest. In the order of their guest paths.
    ///
    /// # Errors
    ///
    /// Any of [`FilesError`]: what an entry names must exist (a pattern may match nothing), lie
    /// in the folder even when links are followed, and have a guest path of its own.
    pub fn expand(&self, folder: &Path) -> Result<Vec<MountedFile>, FilesError> {
        let folder = canonical(folder)?;
        let mut files = BTreeMap::new();
        for mount in &self.mounts {
            for file in mount.expand(&folder, &self.exclude)? {
                if !canonical(&file.host)?.starts_with(&folder) {
                    return Err(FilesError::LinkLeaves(file.host));
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

    /// Reads `files` and `exclude_files` of a component.
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
            source: within(source.string()?).map_err(|error| source.error(error))?,
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
                let shown = || source.display().to_string();
                if path.is_dir() {
                    let destination = destination.trim_end_matches('/');
                    matches(folder, &path, "**/*", destination, exclude)
                } else if !path.exists() {
                    Err(FilesError::Missing(shown()))
                } else if destination.ends_with('/') {
                    Err(FilesError::NoFileName(shown()))
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

/// The files under `base` that match `pattern`, without those that `exclude` takes away.
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
            Err(_) => Err(FilesError::Leaves(path.display().to_string())),
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
        within(text)?;
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

/// A relative path without `..`.
fn within(text: &str) -> Result<PathBuf, FilesError> {
    let path = Path::new(text);
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.is_empty() || !path.components().all(stays) {
        return Err(FilesError::Leaves(text.to_owned()));
    }
    Ok(path.to_owned())
}

/// A path in the guest, made absolute; `/` at its end is kept.
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
