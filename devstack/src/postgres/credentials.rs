//! The passwords of a cluster, made once and kept in a file that only its owner reads.
//!
//! They are written before the first byte of data, so data without passwords mean that somebody
//! removed the file, never that a set-up was cut short.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Doing, Error};
use super::files;
use crate::hexadecimal::random_hex;

/// One password for each role that a new cluster has, 64 hexadecimal digits each.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    /// Of `postgres`, the superuser.
    pub(super) superuser: String,
    /// Of `tirage_owner`, who owns the database and runs migrations.
    pub(super) owner: String,
    /// Of `tirage`. The passwords of the components' roles are derived from this one.
    pub(super) user: String,
}

impl Credentials {
    /// Those in `file`, or `None` if there are none yet.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, Error> {
        files::read(file)?
            .map(|text| {
                serde_json::from_str(&text).map_err(|error| Error::Damaged {
                    file: file.to_owned(),
                    why: error.to_string(),
                })
            })
            .transpose()
    }

    /// New ones, kept in `file`.
    pub(super) fn create(file: &Path) -> Result<Self, Error> {
        let random = || random_hex::<32>().doing(|| "get random bytes".to_owned());
        let credentials = Self {
            superuser: random()?,
            owner: random()?,
            user: random()?,
        };
        let text = serde_json::json!(credentials).to_string();
        files::write_private(file, text.as_bytes())?;
        Ok(credentials)
    }
}
