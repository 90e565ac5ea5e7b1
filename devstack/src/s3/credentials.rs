//! The keys, made once and kept in a file that only its owner reads.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Doing, Error};
use super::folder;
use crate::hexadecimal::random_hex;

/// Who may do everything. `Debug` doesn't show the secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// 64 hexadecimal digits.
    pub secret_access_key: String,
}

impl Credentials {
    /// Those in `file`, or new ones, kept there.
    pub(super) fn read_or_create(file: &Path) -> Result<Self, Error> {
        match fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| Error::Damaged {
                file: file.to_owned(),
                why: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(file),
            Err(error) => Err(error).doing(|| format!("read {}", file.display())),
        }
    }

    fn create(file: &Path) -> Result<Self, Error> {
        let random = || "get random bytes".to_owned();
        let id = random_hex::<8>().doing(random)?;
        let secret = random_hex::<32>().doing(random)?;
        let credentials = Self {
            access_key_id: format!("TIRAGE{}", id.to_uppercase()),
            secret_access_key: secret,
        };
        let new = file.with_extension("new");
        let write = || {
            // A left-over of an earlier run could have other permissions.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut out = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            out.write_all(serde_json::json!(credentials).to_string().as_bytes())?;
            out.sync_all()?;
            fs::rename(&new, file)?;
            folder::sync_parent(file)
        };
        write().doing(|| format!("write {}", file.display()))?;
        Ok(credentials)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
