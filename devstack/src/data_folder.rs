//! The data folder of a service, used by one process at a time.
//!
//! ```text
//! <folder>/lock   locked by the process that runs the service, its process id inside
//! <folder>/port   port of the last start
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Error, IoContext};
use crate::files;

/// Time to wait for a process that is about to release the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A locked data folder. The kernel releases the lock when the process ends.
pub(crate) struct DataFolder {
    path: PathBuf,
    // Removed before the lock is released.
    temporary: Option<TempDir>,
    _lock: File,
}

impl DataFolder {
    /// Opens the service's own folder (mode 700), or a temporary one if `path` is `None`.
    ///
    /// # Errors
    /// As [`DataFolder::open`].
    pub(crate) fn open_or_temporary(path: Option<&Path>) -> Result<Self, Error> {
        match path {
            Some(path) => Self::open(path, 0o700),
            None => Self::temporary(&std::env::temp_dir(), 0o700),
        }
    }

    /// Creates the folder with `mode` if it is absent, and locks it.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process keeps the lock for longer than [`LOCK_TIMEOUT`].
    pub(crate) fn open(path: &Path, mode: u32) -> Result<Self, Error> {
        files::create_folder(path, mode)?;
        let path = path
            .canonicalize()
            .with_action(|| format!("resolve {}", path.display()))?;
        Ok(Self {
            _lock: lock(&path)?,
            path,
            temporary: None,
        })
    }

    /// Creates a folder in `base` that is removed when the value is dropped.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn temporary(base: &Path, mode: u32) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("tirage-")
            .permissions(Permissions::from_mode(mode))
            .tempdir_in(base)
            .with_action(|| format!("create a temporary folder in {}", base.display()))?;
        let mut opened = Self::open(folder.path(), mode)?;
        opened.temporary = Some(folder);
        Ok(opened)
    }

    /// Path without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a temporary folder; `None` for a permanent one.
    pub(crate) fn temporary_path(&self) -> Option<&Path> {
        self.temporary.as_ref().map(TempDir::path)
    }

    /// Port of the last start.
    pub(crate) fn last_port(&self) -> Result<Option<u16>, Error> {
        Ok(files::read(&self.path.join("port"))?.and_then(|text| text.parse().ok()))
    }

    /// Keeps the port for the next start.
    pub(crate) fn keep_port(&self, port: u16) -> Result<(), Error> {
        files::write_private(&self.path.join("port"), port.to_string().as_bytes())
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_action(|| format!("open {}", path.display()))?;
    let began = Instant::now();
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => {
                return Err(error).with_action(|| format!("lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_TIMEOUT => {
                if !waiting {
                    tracing::info!("waiting for another process to leave {}", folder.display());
                    waiting = true;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy {
                    folder: folder.to_owned(),
                    holder: files::read(&path)?.unwrap_or_default(),
                });
            }
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .with_action(|| format!("write {}", path.display()))?;
    Ok(file)
}
