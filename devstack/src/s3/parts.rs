//! Uploads in parts. Until the last step nothing of them is an object; that step is one rename.

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
use super::folder;
use super::incoming::{Announced, Incoming};
use super::object_file::{Attributes, Checksums, Record};
use super::objects::{now, stored_encoding};
use super::operations::blocking;
use super::storage::{Conditions, Storage};
use crate::hexadecimal::hex;

const MAX_PARTS: i32 = 10_000;
/// All parts but the last.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// `upload.json`: what the parts will become.
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
    storage.with_bucket(&input.bucket, |_| ())?;
    let upload = Upload {
        bucket: input.bucket,
        key: input.key,
        attributes: Attributes {
            content_type: input.content_type,
            content_encoding: stored_encoding(input.content_encoding),
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.into_iter().flatten().collect(),
        },
    };
    let id = upload.keep(storage).map_err(internal)?;
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
            "a part's number is 1 to {MAX_PARTS}"
        ));
    }
    Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let announced = Announced {
        headers: &request.headers,
        trailers: request.trailing_headers,
        limit: storage.limit,
    };
    let mut incoming = Incoming::receive(&storage.incoming(), body, announced).await?;
    let record = Record {
        key: String::new(),
        size: incoming.size,
        etag: incoming.etag,
        modified: now(),
        checksums: incoming.checksums,
        attributes: Attributes::default(),
    };
    let output = UploadPartOutput {
        e_tag: Some(record.e_tag()),
        checksum_crc32: record.checksums.crc32.clone(),
        checksum_crc32c: record.checksums.crc32c.clone(),
        checksum_crc64nvme: record.checksums.crc64nvme.clone(),
        checksum_sha1: record.checksums.sha1.clone(),
        checksum_sha256: record.checksums.sha256.clone(),
        ..UploadPartOutput::default()
    };
    let path = part_path(storage, &input.upload_id, input.part_number)?;
    blocking(move || {
        record
            .finish(incoming.file.as_file_mut())
            .map_err(internal)?;
        // If it was completed or given up meanwhile, its folder is gone.
        let kept = incoming.file.persist(&path);
        kept.map_err(|error| missing_upload(error.error))?;
        folder::sync_parent(&path).map_err(missing_upload)
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

/// Puts the parts together. If this dies before the object appears, the parts are still there, and
/// after that the same request gives the same object again.
pub(super) fn complete(
    storage: &Storage,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let upload = Upload::find(storage, &input.upload_id, &input.bucket, &input.key)?;
    let parts = input.multipart_upload.and_then(|upload| upload.parts);
    let parts = parts.unwrap_or_default();
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "an upload needs a part"));
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
    let mut hashes = Md5::new();
    let mut size = 0;
    for (index, part) in parts.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        let path = part_path(storage, &input.upload_id, number)?;
        let (from, record) = Record::open(&path).map_err(|_| s3_error!(InvalidPart))?;
        if !is_same(part, &record) {
            return Err(s3_error!(InvalidPart));
        }
        if record.size < MIN_PART && index + 1 < parts.len() {
            return Err(s3_error!(EntityTooSmall));
        }
        let mut body = io::Read::take(from, record.size);
        let copied = io::copy(&mut body, file.as_file_mut()).map_err(internal)?;
        if copied != record.size {
            return Err(internal("a part is shorter than it should be"));
        }
        size += record.size;
        hashes.update(&from_hex(&record.etag));
    }
    if size > storage.limit {
        return Err(s3_error!(EntityTooLarge));
    }

    // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
    let etag = format!("{}-{}", hex(hashes.finalize().as_ref()), parts.len());
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let record = Record {
        key: upload.key,
        size,
        etag: etag.clone(),
        modified: now(),
        checksums: Checksums::default(),
        attributes: upload.attributes,
    };
    storage.commit(&upload.bucket, file, record, &conditions)?;
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
    /// Makes a folder for the parts; its name is the upload's id.
    fn keep(&self, storage: &Storage) -> io::Result<String> {
        let new = tempfile::Builder::new()
            .prefix("upload")
            .rand_bytes(24)
            .tempdir_in(storage.incoming())?;
        fs::write(new.path().join("upload.json"), serde_json::to_vec(self)?)?;
        let id = new.path().file_name().unwrap_or_default();
        let id = id.to_string_lossy().into_owned();
        let path = storage.uploads().join(&id);
        fs::rename(new.keep(), &path)?;
        folder::sync_parent(&path)?;
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

/// Whether the part that the client means is the one that we have.
fn is_same(part: &CompletedPart, record: &Record) -> bool {
    let sums = &record.checksums;
    let same = |said: &Option<String>, found: &Option<String>| said.is_none() || said == found;
    part.e_tag
        .as_ref()
        .is_some_and(|etag| etag.value() == record.etag)
        && same(&part.checksum_crc32, &sums.crc32)
        && same(&part.checksum_crc32c, &sums.crc32c)
        && same(&part.checksum_crc64nvme, &sums.crc64nvme)
        && same(&part.checksum_sha1, &sums.sha1)
        && same(&part.checksum_sha256, &sums.sha256)
}

/// Out of sight first: an upload is there whole or not at all.
fn remove(storage: &Storage, id: &str) -> S3Result<()> {
    let path = upload_path(storage, id)?;
    let rubbish = storage.incoming().join(id);
    fs::rename(&path, &rubbish).map_err(missing_upload)?;
    folder::sync_parent(&path).map_err(internal)?;
    fs::remove_dir_all(&rubbish).map_err(internal)
}

fn part_path(storage: &Storage, id: &str, number: i32) -> S3Result<PathBuf> {
    Ok(upload_path(storage, id)?.join(format!("{number:05}")))
}

/// An id from outside names a folder only if it looks like one of ours.
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

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
