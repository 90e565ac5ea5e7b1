//! Buckets and objects in the folder, and an index of them in memory, read from the folder at start.
//!
//! The lock on the index is what makes a condition and the change that depends on it one step.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::error::{Doing, Error, internal};
use super::folder;
use super::object_file::Record;
use crate::hexadecimal::hex;

/// By bucket, by key.
type Index = BTreeMap<String, BTreeMap<String, Arc<Record>>>;

/// All that is stored.
pub(super) struct Storage {
    root: PathBuf,
    /// The largest body that is taken, in bytes.
    pub(super) limit: u64,
    index: Mutex<Index>,
}

/// What has to hold for an object to be replaced.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Storage {
    /// Reads what the folder holds.
    pub(super) fn open(root: &Path, limit: u64) -> Result<Self, Error> {
        let objects = root.join("objects");
        let index = read_index(&objects).doing(|| format!("read {}", objects.display()))?;
        Ok(Self {
            root: root.to_owned(),
            limit,
            index: Mutex::new(index),
        })
    }

    /// Where bodies are received.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where uploads in parts wait for their end.
    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Looks at a bucket's objects, by key.
    pub(super) fn with_bucket<T>(
        &self,
        bucket: &str,
        look: impl FnOnce(&BTreeMap<String, Arc<Record>>) -> T,
    ) -> S3Result<T> {
        let index = self.index();
        let objects = index.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        Ok(look(objects))
    }

    pub(super) fn buckets(&self) -> Vec<String> {
        self.index().keys().cloned().collect()
    }

    /// Makes a bucket; `false` if there is one already.
    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<bool> {
        let mut index = self.index();
        if index.contains_key(bucket) {
            return Ok(false);
        }
        // Whole, or not at all.
        let new = tempfile::tempdir_in(self.incoming())?;
        for shard in 0..=u8::MAX {
            fs::create_dir(new.path().join(hex(&[shard])))?;
        }
        folder::sync(new.path())?;
        let path = self.bucket_path(bucket);
        fs::rename(new.keep(), &path)?;
        folder::sync_parent(&path)?;
        index.insert(bucket.to_owned(), BTreeMap::new());
        Ok(true)
    }

    /// Removes a bucket that is empty.
    pub(super) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        let mut index = self.index();
        let objects = index.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        if !objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(self.bucket_path(bucket)).map_err(internal)?;
        index.remove(bucket);
        Ok(())
    }

    /// Opens an object: what it was at this moment, even if it is replaced while it is read.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(File, Record)> {
        if !self.index().contains_key(bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        match Record::open(&self.object_path(bucket, key)) {
            Ok(opened) => Ok(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(s3_error!(NoSuchKey)),
            Err(error) => Err(internal(format!("{bucket}/{key}: {error}"))),
        }
    }

    /// Makes a received body an object, in one step, once it is on disk.
    pub(super) fn commit(
        &self,
        bucket: &str,
        mut file: NamedTempFile,
        record: Record,
        conditions: &Conditions,
    ) -> S3Result<()> {
        record.finish(file.as_file_mut()).map_err(internal)?;
        let path = self.object_path(bucket, &record.key);
        {
            let mut index = self.index();
            let objects = index
                .get_mut(bucket)
                .ok_or_else(|| s3_error!(NoSuchBucket))?;
            conditions.check(objects.get(&record.key).map(AsRef::as_ref))?;
            file.persist(&path).map_err(internal)?;
            objects.insert(record.key.clone(), Arc::new(record));
        }
        folder::sync_parent(&path).map_err(internal)
    }

    /// Removes an object, if it is there.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.object_path(bucket, key);
        {
            let mut index = self.index();
            let objects = index
                .get_mut(bucket)
                .ok_or_else(|| s3_error!(NoSuchBucket))?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(internal(error));
                }
                _ => {}
            }
            objects.remove(key);
        }
        folder::sync_parent(&path).map_err(internal)
    }

    /// A panic elsewhere leaves no index half changed: each change is one insertion or removal.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// s3s lets only names by S3's rules through, and those are names of folders.
    fn bucket_path(&self, bucket: &str) -> PathBuf {
        self.root.join("objects").join(bucket)
    }

    /// Any key has a file name, and none leads out of the bucket.
    fn object_path(&self, bucket: &str, key: &str) -> PathBuf {
        let name = hex(&Sha256::digest(key));
        let (shard, rest) = name.split_at(2);
        self.bucket_path(bucket).join(shard).join(rest)
    }
}

impl Conditions {
    fn check(&self, there: Option<&Record>) -> S3Result<()> {
        let is = |condition: &ETagCondition| match (condition, there) {
            (_, None) => false,
            (ETagCondition::Any, Some(_)) => true,
            (ETagCondition::ETag(etag), Some(there)) => there.e_tag().strong_cmp(etag),
        };
        let wanted = self.if_match.as_ref().is_none_or(is);
        let unwanted = self.if_none_match.as_ref().is_some_and(is);
        if wanted && !unwanted {
            Ok(())
        } else {
            Err(s3_error!(PreconditionFailed))
        }
    }
}

fn read_index(objects: &Path) -> io::Result<Index> {
    let mut index = Index::new();
    for bucket in fs::read_dir(objects)? {
        let bucket = bucket?;
        let Ok(name) = bucket.file_name().into_string() else {
            continue;
        };
        let mut records = BTreeMap::new();
        for shard in fs::read_dir(bucket.path())? {
            for object in fs::read_dir(shard?.path())? {
                let path = object?.path();
                match Record::open(&path) {
                    Ok((_, record)) => {
                        records.insert(record.key.clone(), Arc::new(record));
                    }
                    // Nothing that this server does leaves such a file.
                    Err(error) => tracing::warn!("ignoring {}: {error}", path.display()),
                }
            }
        }
        index.insert(name, records);
    }
    Ok(index)
}
