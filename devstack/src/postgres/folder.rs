//! The folder of a cluster.
//!
//! ```text
//! <folder>/lock, port        see `DataFolder`
//! <folder>/credentials.json  the passwords, mode 600
//! <folder>/location          path of <home>, if that isn't <folder> (see `home`)
//! <home>/data/               Postgres' data directory; appears when its set-up is complete
//! <home>/setup-<random>/     a set-up in progress, or an interrupted one
//! <home>/socket/             the Unix socket
//! ```

use std::path::{Path, PathBuf};

use super::account::Account;
use super::credentials::Credentials;
use super::home;
use crate::data_folder::DataFolder;
use crate::error::Error;
use crate::files;

/// Mode of the folder: Postgres' user has to enter it. The files inside are private.
const MODE: u32 = 0o755;

/// A cluster's folder, used by one process at a time.
pub(super) struct Folder {
    pub(super) data_folder: DataFolder,
    home: PathBuf,
}

impl Folder {
    /// Opens a permanent folder.
    ///
    /// # Errors
    /// As [`DataFolder::open`].
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Self::with(DataFolder::open(path, MODE)?)
    }

    /// Creates a folder that is removed when the value is dropped.
    pub(super) fn temporary() -> Result<Self, Error> {
        let account = Account::for_new_data()?;
        let base = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
            .into_iter()
            .find(|base| base.is_dir() && account.can_enter(base))
            .unwrap_or_else(std::env::temp_dir);
        Self::with(DataFolder::temporary(&base, MODE)?)
    }

    fn with(data_folder: DataFolder) -> Result<Self, Error> {
        Ok(Self {
            home: home::find(data_folder.path())?,
            data_folder,
        })
    }

    /// Returns the folder of data and socket, which Postgres' user can enter.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns Postgres' data directory. It exists once its set-up is complete.
    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Returns the account that Postgres runs as.
    pub(super) fn account(&self) -> Result<Account, Error> {
        let data = self.data();
        if data.exists() {
            Account::owning(&data)
        } else {
            Account::for_new_data()
        }
    }

    /// Reads the passwords, or generates them if there are no data yet.
    pub(super) fn credentials(&self) -> Result<Credentials, Error> {
        let file = self.data_folder.path().join("credentials.json");
        match files::read_json(&file)? {
            Some(credentials) => Ok(credentials),
            None if self.data().exists() => Err(Error::CredentialsLost {
                credentials: file,
                data: self.data(),
            }),
            None => Credentials::create(&file),
        }
    }

    /// Recreates the folder of the Unix socket, which only `account` may enter; `None` if its path is
    /// too long (`sun_path` has 104 bytes on macOS, 108 on Linux).
    pub(super) fn socket_folder(&self, account: Account) -> Result<Option<PathBuf>, Error> {
        let folder = self.home.join("socket");
        if folder.as_os_str().len() + "/.s.PGSQL.65535.lock".len() >= 104 {
            return Ok(None);
        }
        files::remove_folder(&folder)?;
        files::create_folder(&folder, 0o700)?;
        account.chown(&folder)?;
        Ok(Some(folder))
    }
}
