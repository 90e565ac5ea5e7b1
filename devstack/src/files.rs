//! Small files and folders, written so that a kill leaves either the old or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, IoContext};

/// Replaces `path` by `contents`, mode 600, synced to disk. The file gets the owner of its folder:
/// root may write what an ordinary user reads at the next start.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        // A leftover of an interrupted run could have other permissions.
        ignore_missing(fs::remove_file(&new))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        give_to_owner_of_folder(&file, path)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_parent(path)
    };
    write().with_action(|| format!("write {}", path.display()))
}

/// Returns the text of `path` without surrounding white space, or `None` if the file is absent.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_action(|| format!("read {}", path.display())),
    }
}

/// Parses the JSON file `path`; `None` if it is absent.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| Error::Damaged {
            file: path.to_owned(),
            why: error.to_string(),
        })
    };
    read(path)?.map(parse).transpose()
}

/// Writes `value` as JSON with [`write_private`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    write_private(path, serde_json::json!(value).to_string().as_bytes())
}

/// Creates `path` and its missing parents. `path` gets `mode` whatever the umask is, unless it
/// already exists.
pub(crate) fn create_folder(path: &Path, mode: u32) -> Result<(), Error> {
    let create = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    };
    create().with_action(|| format!("create the folder {}", path.display()))
}

/// Removes a folder and its contents, if it exists.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    ignore_missing(fs::remove_dir_all(path)).with_action(|| format!("remove {}", path.display()))
}

/// Renames a folder and syncs the new name to disk. `to` must not exist.
pub(crate) fn move_folder(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to)
        .and_then(|()| sync_parent(to))
        .with_action(|| format!("move {} to {}", from.display(), to.display()))
}

/// Lists the entries of `folder`; empty if it is absent.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .with_action(|| format!("list {}", folder.display())),
    }
}

/// Syncs a folder's list of files to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Syncs the name of `file` to disk.
pub(crate) fn sync_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync_folder)
}

fn give_to_owner_of_folder(file: &File, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if geteuid().is_root() => {
            let folder = folder.metadata()?;
            fchown(file, Some(folder.uid()), Some(folder.gid()))
        }
        _ => Ok(()),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
