//! The folder of a cluster, held by one process at a time.
//!
//! ```text
//! <folder>/lock              whoever runs the cluster holds a lock on it, its process id inside
//! <folder>/credentials.json  the passwords, mode 600
//! <folder>/port              the port of the last start
//! <folder>/location          only if the data had to go elsewhere (see `home`): where
//! <home>/data/               what Postgres calls its data directory; appears when it is complete
//! <home>/setup-<random>/     a set-up under way, or cut short
//! <home>/unsynced            while a new cluster has not been forced to disk
//! <home>/socket/             the Unix socket
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::account::Account;
use super::credentials::Credentials;
use super::error::{Doing, Error};
use super::{files, home, orphans};

/// A cluster's folder, locked for as long as this lives. A process that dies loses the lock.
pub(super) struct Folder {
    path: PathBuf,
    home: PathBuf,
    temporary: Option<TempDir>,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it isn't there, and locks it. Waits a little for a holder that is about
    /// to leave; `erase` clears what is there.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody else keeps the lock.
    pub(super) fn open(path: &Path, erase: bool) -> Result<Self, Error> {
        // Postgres' own user has to pass through it; the files inside guard themselves.
        files::create_folder(path, 0o755)?;
        let path = path
            .canonicalize()
            .doing(|| format!("resolve {}", path.display()))?;
        let lock = lock(&path)?;
        if erase {
            clear(&path)?;
        }
        Ok(Self {
            home: home::find(&path)?,
            path,
            temporary: None,
            _lock: lock,
        })
    }

    /// A new folder that goes away with the value.
    pub(super) fn temporary() -> Result<Self, Error> {
        let account = Account::for_new_data()?;
        let base = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
            .into_iter()
            .find(|base| base.is_dir() && account.reaches(base))
            .unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new()
            .prefix("tirage-")
            // Postgres' own user has to pass through.
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&base)
            .doing(|| format!("make a temporary folder in {}", base.display()))?;
        let mut opened = Self::open(folder.path(), false)?;
        opened.temporary = Some(folder);
        Ok(opened)
    }

    /// The folder's path, without symlinks.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, if it is one that goes away.
    pub(super) fn vanishing(&self) -> Option<&Path> {
        self.temporary.as_ref().map(TempDir::path)
    }

    /// Where sets-up, data and the socket are; reachable for the account that Postgres runs as.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Postgres' data directory. It exists once its set-up is complete.
    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Who Postgres is to run as here.
    pub(super) fn account(&self) -> Result<Account, Error> {
        let data = self.data();
        if data.exists() {
            Account::owning(&data)
        } else {
            Account::for_new_data()
        }
    }

    /// The passwords, made now if there are neither passwords nor data.
    pub(super) fn credentials(&self) -> Result<Credentials, Error> {
        let file = self.path.join("credentials.json");
        match Credentials::read(&file)? {
            Some(credentials) => Ok(credentials),
            None if self.data().exists() => Err(Error::CredentialsLost {
                credentials: file,
                data: self.data(),
            }),
            None => Credentials::create(&file),
        }
    }

    /// The port of the last start.
    pub(super) fn last_port(&self) -> Result<Option<u16>, Error> {
        Ok(files::read(&self.path.join("port"))?.and_then(|text| text.parse().ok()))
    }

    /// Keeps the port for the next start.
    pub(super) fn keep_port(&self, port: u16) -> Result<(), Error> {
        files::write_private(&self.path.join("port"), port.to_string().as_bytes())
    }

    /// The folder of the Unix socket, made anew with `account` as the only one to enter it; `None`
    /// if its path is too long for one (`sun_path` holds 104 bytes on macOS, 108 on Linux).
    pub(super) fn socket_folder(&self, account: Account) -> Result<Option<PathBuf>, Error> {
        let folder = self.home.join("socket");
        if folder.as_os_str().len() + "/.s.PGSQL.65535.lock".len() >= 104 {
            return Ok(None);
        }
        files::remove_folder(&folder)?;
        files::create_folder(&folder, 0o700)?;
        account.give(&folder)?;
        Ok(Some(folder))
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .doing(|| format!("open {}", path.display()))?;
    let began = Instant::now();
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => {
                return Err(error).doing(|| format!("lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
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
        .doing(|| format!("write {}", path.display()))?;
    Ok(file)
}

/// Stops what may still run on the data, and removes all but the lock.
fn clear(folder: &Path) -> Result<(), Error> {
    let home = home::pointed_to(folder)?.unwrap_or_else(|| folder.to_owned());
    orphans::stop(&home.join("data"))?;
    if home != folder {
        files::remove_folder(&home)?;
    }
    for entry in files::entries(folder)? {
        if entry.is_dir() {
            files::remove_folder(&entry)?;
        } else if entry != folder.join("lock") {
            std::fs::remove_file(&entry).doing(|| format!("remove {}", entry.display()))?;
        }
    }
    Ok(())
}
