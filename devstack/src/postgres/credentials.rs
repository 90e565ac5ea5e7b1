//! The passwords of a cluster, generated once and kept in a file with mode 600.
//!
//! They are written before any data. Data without passwords therefore mean that the file was removed,
//! not that a set-up was interrupted.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::access_key::random_hex;
use crate::error::Error;
use crate::files;

/// Passwords of the roles of a new cluster, 64 hexadecimal digits each.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    /// Password of the superuser `postgres`.
    pub(super) superuser: String,
    /// Password of `tirage_owner`, which owns the database and runs migrations.
    pub(super) owner: String,
    /// Password of `tirage`. The passwords of the components' roles are derived from it.
    pub(super) user: String,
}

impl Credentials {
    /// Generates passwords, and keeps them in `file`.
    pub(super) fn create(file: &Path) -> Result<Self, Error> {
        let credentials = Self {
            superuser: random_hex::<32>()?,
            owner: random_hex::<32>()?,
            user: random_hex::<32>()?,
        };
        files::write_json(file, &credentials)?;
        Ok(credentials)
    }
}
