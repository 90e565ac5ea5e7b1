//! Multipart uploads. The object appears with the rename that completes the upload.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, ListPartsInput,
    ListPartsOutput, Part, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::error::internal;
use super::incoming::{Incoming, Metadata};
use super::object_file::{Attributes, Checksums, Record};
use super::objects::{attributes_of, now, stored_encoding, stored_output};
use super::operations::blocking;
use super::storage::{Condition, Storage};
use crate::files::sync_parent;

const MAX_PARTS: i32 = 10_000;
/// Lower bound on the bytes of all parts but the last.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// `upload.json`: the object that the parts will become.
#[derive(Serialize, Deserialize)]
struct Upload {
    bucket: String,
    key: String,
    attributes: Attributes,
}

pub(super) fn create(
    storage: &Storage,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    storage.check_bucket(&input.bucket)?;
    let upload = Upload {
        bucket: input.bucket,
        key: input.key,
        attributes: attributes_of!(input),
    };
    let id = upload.create(storage).map_err(internal)?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(upload.bucket),
        key: Some(upload.key),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn upload(
    storage: &Arc<Storage>,
    request: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let input = request.input;
    if !(1..=MAX_PARTS).contains(&input.part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "invalid part number: 1 to {MAX_PARTS}"
        ));
    }
    Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let metadata = Metadata {
        headers: &request.headers,
        trailers: request.trailing_headers,
    };
    let mut incoming = Incoming::receive(&storage.incoming(), body, metadata).await?;
    let record = Record {
        key: String::new(),
        size: incoming.size,
        etag: incoming.etag,
        modified: now(),
        checksums: incoming.checksums,
        attributes: Attributes::default(),
    };
    let output = stored_output!(UploadPartOutput, record);
    let path = part_path(storage, &input.upload_id, input.part_number)?;
    blocking(move || {
        record
            .finish(incoming.file.as_file_mut())
            .map_err(internal)?;
        // The folder is gone if the upload was completed or aborted meanwhile.
        let kept = incoming.file.persist(&path);
        kept.map_err(|error| missing_upload(error.error))?;
        sync_parent(&path).map_err(missing_upload)
    })
    .await?;
    Ok(output)
}

pub(super) fn list(storage: &Storage, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    let mut parts = Vec::new();
    for number in 1..=MAX_PARTS {
        let path = part_path(storage, &input.upload_id, number)?;
        let record = match Record::open(&path) {
            Ok((_, record)) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(internal(error)),
        };
        parts.push(Part {
            part_number: Some(number),
            size: i64::try_from(record.size).ok(),
            e_tag: Some(record.e_tag()),
            last_modified: Some(record.last_modified()),
            ..Part::default()
        });
    }
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(false),
        parts: Some(parts),
        ..ListPartsOutput::default()
    })
}

/// Concatenates the parts and publishes the object. After a kill in between the client can repeat the
/// request.
pub(super) fn complete(
    storage: &Storage,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let upload = Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    let condition = Condition::new(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let parts = input.multipart_upload.and_then(|upload| upload.parts);
    let parts = parts.unwrap_or_default();
    if parts.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "a multipart upload needs at least one part"
        ));
    }
    let mut numbers = parts
        .iter()
        .map(|part| part.part_number.unwrap_or_default());
    if !numbers.clone().is_sorted_by(|one, other| one < other)
        || numbers.any(|number| !(1..=MAX_PARTS).contains(&number))
    {
        return Err(s3_error!(InvalidPartOrder));
    }

    let mut file = NamedTempFile::new_in(storage.incoming()).map_err(internal)?;
    let mut digests = Md5::new();
    let mut size = 0;
    for (index, part) in parts.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        let path = part_path(storage, &input.upload_id, number)?;
        let (from, record) = Record::open(&path).map_err(|_| s3_error!(InvalidPart))?;
        if !matches(part, &record) {
            return Err(s3_error!(InvalidPart));
        }
        if record.size < MIN_PART && index + 1 < parts.len() {
            return Err(s3_error!(EntityTooSmall));
        }
        let mut body = io::Read::take(from, record.size);
        let copied = io::copy(&mut body, file.as_file_mut()).map_err(internal)?;
        if copied != record.size {
            return Err(internal("a part is shorter than its record says"));
        }
        size += record.size;
        digests.update(&hex::decode(&record.etag).map_err(internal)?);
    }

    // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
    let etag = format!("{}-{}", hex::encode(digests.finalize()), parts.len());
    let record = Record {
        key: upload.key,
        size,
        etag: etag.clone(),
        modified: now(),
        checksums: Checksums::default(),
        attributes: upload.attributes,
    };
    storage.commit(file, record, condition)?;
    remove(storage, &input.upload_id)?;
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(etag)),
        ..CompleteMultipartUploadOutput::default()
    })
}

pub(super) fn abort(storage: &Storage, input: &AbortMultipartUploadInput) -> S3Result<()> {
    Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    remove(storage, &input.upload_id)
}

impl Upload {
    /// Creates the folder of the parts. Returns its name, which is the upload's id.
    fn create(&self, storage: &Storage) -> io::Result<String> {
        let new = tempfile::Builder::new()
            .prefix("upload")
            .rand_bytes(24)
            .tempdir_in(storage.incoming())?;
        fs::write(new.path().join("upload.json"), serde_json::to_vec(self)?)?;
        let id = new.path().file_name().unwrap_or_default();
        let id = id.to_string_lossy().into_owned();
        let path = storage.uploads().join(&id);
        fs::rename(new.keep(), &path)?;
        sync_parent(&path)?;
        Ok(id)
    }

    fn find(storage: &Storage, id: &str, bucket: &str, key: &str) -> S3Result<Self> {
        let file = upload_path(storage, id)?.join("upload.json");
        let text = fs::read(file).map_err(missing_upload)?;
        let upload: Self = serde_json::from_slice(&text).map_err(internal)?;
        if upload.bucket == bucket && upload.key == key {
            Ok(upload)
        } else {
            Err(s3_error!(NoSuchUpload))
        }
    }
}

/// `true` if entity tag and checksums given by the client are those of the stored part.
fn matches(part: &CompletedPart, record: &Record) -> bool {
    let sums = &record.checksums;
    let same = |given: &Option<String>, stored: &Option<String>| given.is_none() || given == stored;
    part.e_tag
        .as_ref()
        .is_some_and(|etag| etag.value() == record.etag)
        && same(&part.checksum_crc32, &sums.crc32)
        && same(&part.checksum_crc32c, &sums.crc32c)
        && same(&part.checksum_crc64nvme, &sums.crc64nvme)
        && same(&part.checksum_sha1, &sums.sha1)
        && same(&part.checksum_sha256, &sums.sha256)
}

/// Removes an upload. It is renamed first, so that a kill never leaves a part of it.
fn remove(storage: &Storage, id: &str) -> S3Result<()> {
    let path = upload_path(storage, id)?;
    let removed = storage.incoming().join(id);
    fs::rename(&path, &removed).map_err(missing_upload)?;
    sync_parent(&path).map_err(internal)?;
    fs::remove_dir_all(&removed).map_err(internal)
}

fn part_path(storage: &Storage, id: &str, number: i32) -> S3Result<PathBuf> {
    Ok(upload_path(storage, id)?.join(format!("{number:05}")))
}

/// Checks the form of an id from a request, so that it can't name a path outside `uploads`.
fn upload_path(storage: &Storage, id: &str) -> S3Result<PathBuf> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(s3_error!(NoSuchUpload));
    }
    Ok(storage.uploads().join(id))
}

fn missing_upload(error: io::Error) -> s3s::S3Error {
    match error.kind() {
        io::ErrorKind::NotFound => s3_error!(NoSuchUpload),
        _ => internal(error),
    }
}
