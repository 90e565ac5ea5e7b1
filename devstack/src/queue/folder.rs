//! The folder of a queue: its keys and its port, beside the file of messages.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::Error;
use crate::hexadecimal::random_hex;

/// What requests are signed with. Made once, random.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keys {
    /// Sent with every request.
    pub access_key_id: String,
    /// Never sent.
    pub secret_access_key: String,
}

/// A folder that only its owner may enter.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder, made if it isn't there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("make the folder", path, error))?;
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The keys, made now if there are none yet.
    pub(super) fn keys(&self) -> Result<Keys, Error> {
        let file = self.0.join("keys.json");
        if let Some(text) = read(&file)? {
            return serde_json::from_str(&text).map_err(|error| Error::Damaged {
                file,
                why: error.to_string(),
            });
        }
        let keys = Keys {
            // The shape of Scaleway's: SCW and 17 more.
            access_key_id: format!(
                "SCW{}",
                random::<9>()?.to_uppercase().get(..17).unwrap_or("")
            ),
            secret_access_key: random::<32>()?,
        };
        self.write("keys.json", &serde_json::json!(keys).to_string())?;
        Ok(keys)
    }

    /// The port of the last start.
    pub(super) fn last_port(&self) -> Result<Option<u16>, Error> {
        let text = read(&self.0.join("port"))?;
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Keeps the port for the next start.
    pub(super) fn keep_port(&self, port: u16) -> Result<(), Error> {
        self.write("port", &port.to_string())
    }

    /// Replaces a file, readable by its owner alone, so that a kill leaves the old one or the new
    /// one.
    fn write(&self, name: &str, contents: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        let write = || {
            let mut file = NamedTempFile::new_in(&self.0)?;
            file.write_all(contents.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error: io::Error| failed("write", &path, error))
    }
}

fn read(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", file, error)),
    }
}

fn random<const BYTES: usize>() -> Result<String, Error> {
    random_hex::<BYTES>().map_err(|error| Error::Io {
        doing: "get random bytes".to_owned(),
        error,
    })
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::Io {
        doing: format!("{doing} {}", path.display()),
        error,
    }
}
