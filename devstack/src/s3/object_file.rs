//! The file of an object: body, then metadata, then the metadata's length. One rename publishes body and
//! metadata together, and image viewers can still open the file.
//!
//! ```text
//! <body> <Record as JSON> <length of the JSON, 8 bytes, big endian> "tirage/1"
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use s3s::dto::{Checksum, ETag, Timestamp};
use serde::{Deserialize, Serialize};

const MARK: &[u8; 8] = b"tirage/1";
const FOOTER: u64 = 16;
/// Upper bound on the bytes of the JSON. S3 allows 2 KiB of user metadata and 1 KiB of key.
const MAX_RECORD: u64 = 1 << 20;

/// Metadata of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) size: u64,
    /// Entity tag without quotes.
    pub(super) etag: String,
    /// Milliseconds since 1970.
    pub(super) modified: u64,
    #[serde(default)]
    pub(super) checksums: Checksums,
    #[serde(default)]
    pub(super) attributes: Attributes,
}

/// Verified checksums of the body, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Checksums {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

/// Headers that are returned as they were sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    /// `x-amz-meta-*`
    pub(super) metadata: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn e_tag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    /// Time of the last change, in whole seconds like HTTP's dates.
    pub(super) fn last_modified(&self) -> Timestamp {
        let seconds = Duration::from_secs(self.modified / 1000);
        Timestamp::from(SystemTime::UNIX_EPOCH + seconds)
    }

    /// Appends the metadata to a file that holds the body, and syncs the file to disk.
    pub(super) fn finish(&self, file: &mut File) -> io::Result<()> {
        let record = serde_json::to_vec(self)?;
        let mut end = record;
        let length = u64::try_from(end.len()).map_err(io::Error::other)?;
        end.extend_from_slice(&length.to_be_bytes());
        end.extend_from_slice(MARK);
        file.seek(SeekFrom::End(0))?;
        file.write_all(&end)?;
        file.sync_all()
    }

    /// Opens a file and reads the metadata. The file's position is then the body's first byte.
    pub(super) fn open(path: &Path) -> io::Result<(File, Self)> {
        let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let footer_at = size
            .checked_sub(FOOTER)
            .ok_or_else(|| damaged("too short"))?;
        file.seek(SeekFrom::Start(footer_at))?;
        let (mut length, mut mark) = ([0; 8], [0; 8]);
        file.read_exact(&mut length)?;
        file.read_exact(&mut mark)?;
        let length = u64::from_be_bytes(length);
        if mark != *MARK || length > MAX_RECORD {
            return Err(damaged("not an object file"));
        }
        let record_at = footer_at
            .checked_sub(length)
            .ok_or_else(|| damaged("not an object file"))?;
        file.seek(SeekFrom::Start(record_at))?;
        let mut record = Vec::new();
        (&mut file).take(length).read_to_end(&mut record)?;
        let record: Self = serde_json::from_slice(&record)?;
        if record.size != record_at {
            return Err(damaged("the body's length differs from the metadata's"));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok((file, record))
    }
}

impl From<Checksum> for Checksums {
    fn from(from: Checksum) -> Self {
        Self {
            crc32: from.checksum_crc32,
            crc32c: from.checksum_crc32c,
            crc64nvme: from.checksum_crc64nvme,
            sha1: from.checksum_sha1,
            sha256: from.checksum_sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            key: "a/b".to_owned(),
            size: 5,
            etag: "e".to_owned(),
            modified: 1_700_000_000_123,
            checksums: Checksums::default(),
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn records_round_trip() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"bytes").unwrap();
        record().finish(file.as_file_mut()).unwrap();
        let (opened, read) = Record::open(file.path()).unwrap();
        assert_eq!((read.key.as_str(), read.size), ("a/b", 5));
        let mut body = Vec::new();
        opened.take(read.size).read_to_end(&mut body).unwrap();
        assert_eq!(body, b"bytes");
    }

    #[test]
    fn truncated_files_are_rejected() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"bytes").unwrap();
        record().finish(file.as_file_mut()).unwrap();
        let whole = file.as_file().metadata().unwrap().len();
        for size in 0..whole {
            file.as_file().set_len(size).unwrap();
            assert!(Record::open(file.path()).is_err(), "{size}");
        }
    }
}
