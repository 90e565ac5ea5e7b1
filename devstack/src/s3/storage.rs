//! The bucket's objects in the folder, and an index of them in memory, read from the folder at start.
//!
//! ```text
//! <folder>/credentials.json           access key, mode 600
//! <folder>/objects/<bucket>/<xx>/<…>  an object (see `object_file`), named by the SHA-256 of its key
//! <folder>/uploads/<id>/              a multipart upload: `upload.json`, and a file for each part
//! <folder>/incoming/                  bodies that are being received; emptied at start
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::error::internal;
use super::object_file::Record;
use crate::files::{sync_folder, sync_parent};

/// Records of all objects, by key.
pub(super) type Index = BTreeMap<String, Arc<Record>>;

/// The bucket.
pub(super) struct Storage {
    root: PathBuf,
    bucket: &'static str,
    /// Locked while a file changes, so that a condition and the change are one step.
    index: Mutex<Index>,
}

/// Condition on the object that an upload would replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    /// `If-None-Match: *`
    Absent,
}

impl Storage {
    /// Reads the folder, and creates what is missing.
    pub(super) fn open(root: &Path, bucket: &'static str) -> io::Result<Self> {
        let storage = Self {
            root: root.to_owned(),
            bucket,
            index: Mutex::default(),
        };
        match fs::remove_dir_all(storage.incoming()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in ["incoming", "objects", "uploads"] {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(root.join(folder))?;
        }
        sync_folder(root)?;
        storage.create_bucket()?;
        *storage.index() = read_index(&storage.bucket_path())?;
        Ok(storage)
    }

    /// Folder of bodies that are being received.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Folder of multipart uploads.
    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Name of the bucket.
    pub(super) fn bucket(&self) -> &'static str {
        self.bucket
    }

    /// Returns an error unless `bucket` is the bucket.
    pub(super) fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        match bucket == self.bucket {
            true => Ok(()),
            false => Err(s3_error!(NoSuchBucket)),
        }
    }

    /// Locks the index. A panic elsewhere leaves it valid, because each change is one insertion or
    /// removal.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an object as it is now, even if it is replaced while it is read.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(File, Record)> {
        self.check_bucket(bucket)?;
        match Record::open(&self.object_path(key)) {
            Ok(opened) => Ok(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(s3_error!(NoSuchKey)),
            Err(error) => Err(internal(format!("{bucket}/{key}: {error}"))),
        }
    }

    /// Publishes a received body as an object, once it is on disk.
    pub(super) fn commit(
        &self,
        mut file: NamedTempFile,
        record: Record,
        condition: Condition,
    ) -> S3Result<()> {
        record.finish(file.as_file_mut()).map_err(internal)?;
        let path = self.object_path(&record.key);
        {
            let mut index = self.index();
            if condition == Condition::Absent && index.contains_key(&record.key) {
                return Err(s3_error!(PreconditionFailed));
            }
            file.persist(&path).map_err(internal)?;
            index.insert(record.key.clone(), Arc::new(record));
        }
        sync_parent(&path).map_err(internal)
    }

    /// Deletes an object, if it exists.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        self.check_bucket(bucket)?;
        let path = self.object_path(key);
        {
            let mut index = self.index();
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(internal(error));
                }
                _ => {}
            }
            index.remove(key);
        }
        sync_parent(&path).map_err(internal)
    }

    /// Creates the bucket's folder with its 256 subfolders, in one step, unless it exists.
    fn create_bucket(&self) -> io::Result<()> {
        let path = self.bucket_path();
        if path.exists() {
            return Ok(());
        }
        let new = tempfile::tempdir_in(self.incoming())?;
        for shard in 0..=u8::MAX {
            fs::create_dir(new.path().join(hex::encode([shard])))?;
        }
        sync_folder(new.path())?;
        fs::rename(new.keep(), &path)?;
        sync_parent(&path)
    }

    fn bucket_path(&self) -> PathBuf {
        self.root.join("objects").join(self.bucket)
    }

    /// Path of an object's file. Hashing makes any key a valid file name inside the bucket.
    fn object_path(&self, key: &str) -> PathBuf {
        let name = hex::encode(Sha256::digest(key));
        let (shard, rest) = name.split_at(2);
        self.bucket_path().join(shard).join(rest)
    }
}

impl Condition {
    /// Reads an upload's `If-Match` and `If-None-Match`.
    pub(super) fn new(
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<Self> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::None),
            (None, Some(ETagCondition::Any)) => Ok(Self::Absent),
            _ => Err(s3_error!(
                NotImplemented,
                "uploads support no condition but If-None-Match: *"
            )),
        }
    }
}

fn read_index(bucket: &Path) -> io::Result<Index> {
    let mut index = Index::new();
    for shard in fs::read_dir(bucket)? {
        for object in fs::read_dir(shard?.path())? {
            let path = object?.path();
            match Record::open(&path) {
                Ok((_, record)) => {
                    index.insert(record.key.clone(), Arc::new(record));
                }
                // This server never leaves such a file.
                Err(error) => tracing::warn!("ignoring {}: {error}", path.display()),
            }
        }
    }
    Ok(index)
}
