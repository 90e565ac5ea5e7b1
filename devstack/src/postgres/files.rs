//! Small files and folders, written so that a kill leaves the old one or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::error::{Doing, Error};

/// Replaces `path` by `contents`, readable by its owner alone, whole and on disk. It belongs to
/// whoever owns its folder, also when root writes it: the owner will want to read it next time.
pub(super) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        // A left-over of an earlier run could have other permissions.
        remove_file(&new)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        give_to_owner_of_folder(&file, path)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder_of(path)
    };
    write().doing(|| format!("write {}", path.display()))
}

/// The text of `path` without surrounding white space, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("read {}", path.display())),
    }
}

/// Makes `path` and what is missing above it. `path` gets `mode` whatever the umask says, unless it
/// is there already.
pub(super) fn create_folder(path: &Path, mode: u32) -> Result<(), Error> {
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
    create().doing(|| format!("make the folder {}", path.display()))
}

/// Removes a folder and all that is in it, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.doing(|| format!("remove {}", path.display())),
    }
}

/// Moves a folder to where nothing is yet, and makes sure of it on disk.
pub(super) fn move_folder(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to)
        .and_then(|()| sync_folder_of(to))
        .doing(|| format!("move {} to {}", from.display(), to.display()))
}

/// The entries of `folder`; none if it is not there.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .doing(|| format!("list {}", folder.display())),
    }
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

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
