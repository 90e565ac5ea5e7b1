//! Chooses the folder of the data: the cluster's folder, or, if Postgres' user can't enter the folders
//! above that, one that it can enter.
//!
//! Example: a clone below `/root` (mode 700), everything run by root. The data are then in
//! `/var/lib/tirage/<hash of the folder's path>`, or below `/var/tmp` if `/var/lib` is read-only
//! (systemd empties `/tmp` and `/var/tmp` of files that weren't used for some days). The file `location`
//! in the cluster's folder points there, and the file `clone` there points back. So a moved clone keeps
//! its data, while a copied one and one that was removed and cloned again start afresh.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::account::Account;
use crate::error::{Error, IoContext};
use crate::files;

/// Returns the parent of the data directory for the cluster in `folder`.
pub(super) fn find(folder: &Path) -> Result<PathBuf, Error> {
    if let Some(home) = pointed_to(folder)? {
        return Ok(home);
    }
    if folder.join("data").exists() || Account::for_new_data()?.can_enter(folder) {
        return Ok(folder.to_owned());
    }
    elsewhere(folder)
}

/// Returns the folder outside of `folder` that holds its data, if there is one.
fn pointed_to(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(home) = files::read(&folder.join(POINTER))?.map(PathBuf::from) else {
        return Ok(None);
    };
    match files::read(&home.join(BACK_POINTER))?.map(PathBuf::from) {
        Some(clone) if clone == folder => Ok(Some(home)),
        Some(clone) if files::read(&clone.join(POINTER))?.as_deref() == home.to_str() => {
            tracing::info!(
                "this clone is a copy of {}, which keeps the data: starting afresh",
                clone.display()
            );
            Ok(None)
        }
        Some(_) => {
            write_text(&home.join(BACK_POINTER), folder)?;
            Ok(Some(home))
        }
        None => Ok(None),
    }
}

const POINTER: &str = "location";
const BACK_POINTER: &str = "clone";

fn elsewhere(folder: &Path) -> Result<PathBuf, Error> {
    let base = base()?;
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let mut name = hex::encode(digest);
    name.truncate(16);
    let home = base.join(name);
    // No clone points to this folder (see `find`), so it is a leftover of a removed clone.
    super::orphans::stop(&home.join("data"))?;
    files::remove_folder(&home)?;
    own_folder(&home)?;
    write_text(&home.join(BACK_POINTER), folder)?;
    write_text(&folder.join(POINTER), &home)?;
    tracing::info!(
        "Postgres' user cannot enter {}: the data are in {}",
        folder.display(),
        home.display()
    );
    Ok(home)
}

fn base() -> Result<PathBuf, Error> {
    let durable = PathBuf::from("/var/lib/tirage");
    match own_folder(&durable) {
        Ok(()) => Ok(durable),
        Err(error) => {
            tracing::debug!("{error}");
            let temporary = PathBuf::from("/var/tmp/tirage");
            own_folder(&temporary)?;
            Ok(temporary)
        }
    }
}

/// Creates a folder of the current user that others may enter, not list. A folder that another user
/// created first, which is possible below `/var/tmp`, is refused.
fn own_folder(path: &Path) -> Result<(), Error> {
    files::create_folder(path, 0o711)?;
    let metadata = fs::symlink_metadata(path)
        .with_action(|| format!("read the owner of {}", path.display()))?;
    if metadata.is_dir() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(Error::ForeignData {
            folder: path.to_owned(),
            owner: metadata.uid(),
        })
    }
}

fn write_text(file: &Path, contents: &Path) -> Result<(), Error> {
    files::write_private(file, contents.as_os_str().as_encoded_bytes())
}
