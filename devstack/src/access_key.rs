//! The key that clients sign their requests with, and random secrets.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext};
use crate::files;

/// An access key, generated once. `Debug` doesn't show the secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// Public half.
    pub access_key_id: String,
    /// Secret half, 64 hexadecimal digits.
    pub secret_access_key: String,
}

impl AccessKey {
    /// Reads the key in `file`, or generates one and writes it there.
    pub(crate) fn read_or_create(file: &Path) -> Result<Self, Error> {
        if let Some(key) = files::read_json(file)? {
            return Ok(key);
        }
        let key = Self {
            access_key_id: format!("TIRAGE{}", random_hex::<8>()?.to_uppercase()),
            secret_access_key: random_hex::<32>()?,
        };
        files::write_json(file, &key)?;
        Ok(key)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Returns `BYTES` random bytes of the operating system in hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(std::io::Error::from)
        .with_action(|| "get random bytes".to_owned())?;
    Ok(hex::encode(bytes))
}
