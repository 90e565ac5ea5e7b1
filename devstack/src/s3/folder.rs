//! The server's folder, held by one process at a time.
//!
//! ```text
//! <folder>/lock                       whoever serves it holds a lock on it
//! <folder>/credentials.json           the keys, mode 600
//! <folder>/port                       the port of the last start
//! <folder>/objects/<bucket>/<xx>/<…>  one file each (see `object_file`), named by the SHA-256 of its key
//! <folder>/uploads/<id>/              an upload in parts: `upload.json`, and a file for each part
//! <folder>/incoming/                  what is being received; emptied at start
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::error::{Doing, Error};

/// How long a holder that is about to leave is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The folder, locked for as long as this lives. A process that dies loses the lock.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
    _temporary: Option<TempDir>,
}

impl Folder {
    /// Makes the folder if it isn't there, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        create(path)?;
        let lock = lock(path)?;
        let incoming = path.join("incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("empty {}", incoming.display()));
            }
            _ => {}
        }
        for part in ["incoming", "objects", "uploads"] {
            create(&path.join(part))?;
        }
        sync(path).doing(|| format!("force {} to disk", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            _temporary: None,
        })
    }

    /// A new folder that goes away with the value.
    pub(super) fn temporary() -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("tirage-s3-")
            .tempdir()
            .doing(|| "make a temporary folder".to_owned())?;
        let mut opened = Self::open(folder.path())?;
        opened._temporary = Some(folder);
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The port of the last start.
    pub(super) fn last_port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.path.join("port")).ok()?;
        text.trim().parse().ok()
    }

    /// Keeps the port for the next start.
    pub(super) fn keep_port(&self, port: u16) -> Result<(), Error> {
        let (new, file) = (self.path.join("port.new"), self.path.join("port"));
        fs::write(&new, port.to_string())
            .and_then(|()| fs::rename(&new, &file))
            .doing(|| format!("write {}", file.display()))
    }
}

fn create(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(|| format!("make the folder {}", path.display()))
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .doing(|| format!("open {}", path.display()))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => {
                return Err(error).doing(|| format!("lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(folder.to_owned())),
        }
    }
}

/// Forces to disk which files are in the folder.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Forces to disk that a file has its name.
pub(super) fn sync_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync)
}
