//! Where the data are: in the cluster's folder, or, when the user that Postgres runs as cannot
//! pass through the folders above it, somewhere that this user can reach.
//!
//! The case is a clone below `/root` (mode 700) with everything run by root. The data then go to
//! `/var/lib/tirage/<hash of the folder's path>`; not to `/tmp` or `/var/tmp`, which systemd empties
//! of what has not been touched for some days, unless `/var/lib` is read-only. The file `location`
//! in the cluster's folder points there, and the file `clone` there points back, which tells a
//! clone that was moved (it keeps its data) from one that was copied (the copy begins afresh) and
//! from one that was removed and cloned again (so does that).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::{Doing, Error};
use super::files;
use crate::hexadecimal::hex;

/// Finds or chooses the folder below which `data` is, for the cluster in `folder`.
pub(super) fn find(folder: &Path) -> Result<PathBuf, Error> {
    if let Some(home) = pointed_to(folder)? {
        return Ok(home);
    }
    if folder.join("data").exists() || Account::for_new_data()?.reaches(folder) {
        return Ok(folder.to_owned());
    }
    elsewhere(folder)
}

/// The folder elsewhere that holds the data of the cluster in `folder`, if there is one.
pub(super) fn pointed_to(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(home) = files::read(&folder.join(POINTER))?.map(PathBuf::from) else {
        return Ok(None);
    };
    match files::read(&home.join(BACK_POINTER))?.map(PathBuf::from) {
        Some(clone) if clone == folder => Ok(Some(home)),
        Some(clone) if files::read(&clone.join(POINTER))?.as_deref() == home.to_str() => {
            tracing::info!(
                "this clone is a copy of {}, which keeps the data",
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
    let mut name = hex(&digest);
    name.truncate(16);
    let home = base.join(name);
    // Nobody points to what is there (see `find`), so it is what a removed clone left.
    super::orphans::stop(&home.join("data"))?;
    files::remove_folder(&home)?;
    own_folder(&home)?;
    write_text(&home.join(BACK_POINTER), folder)?;
    write_text(&folder.join(POINTER), &home)?;
    tracing::info!(
        "{} cannot be reached by the user that Postgres runs as: the data go to {}",
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

/// A folder that is ours and that others may pass through, not list. Below `/var/tmp` anybody could
/// have made it before us, to read or to swap what we put there: such a one is refused.
fn own_folder(path: &Path) -> Result<(), Error> {
    files::create_folder(path, 0o711)?;
    let metadata = fs::symlink_metadata(path).doing(|| format!("look at {}", path.display()))?;
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
