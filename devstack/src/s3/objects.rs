//! Operations on objects: put, get, head.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use s3s::dto::{
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3Request, S3Result, s3_error};
use tokio::io::AsyncReadExt;

use super::error::internal;
use super::incoming::{Announced, Incoming};
use super::object_file::{Attributes, Checksums, Record};
use super::operations::blocking;
use super::storage::{Conditions, Storage};

const CHUNK: usize = 256 * 1024;
const DEFAULT_TYPE: &str = "binary/octet-stream";

pub(super) async fn put(
    storage: &Arc<Storage>,
    request: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    let input = request.input;
    // Before megabytes are sent in vain; it is checked again when the object appears.
    storage.with_bucket(&input.bucket, |_| ())?;
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let announced = Announced {
        headers: &request.headers,
        trailers: request.trailing_headers,
        limit: storage.limit,
    };
    let incoming = Incoming::receive(&storage.incoming(), body, announced).await?;

    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let record = Record {
        key: input.key,
        size: incoming.size,
        etag: incoming.etag,
        modified: now(),
        checksums: incoming.checksums,
        attributes: Attributes {
            content_type: input.content_type,
            content_encoding: stored_encoding(input.content_encoding),
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.into_iter().flatten().collect(),
        },
    };
    let output = PutObjectOutput {
        e_tag: Some(record.e_tag()),
        checksum_crc32: record.checksums.crc32.clone(),
        checksum_crc32c: record.checksums.crc32c.clone(),
        checksum_crc64nvme: record.checksums.crc64nvme.clone(),
        checksum_sha1: record.checksums.sha1.clone(),
        checksum_sha256: record.checksums.sha256.clone(),
        ..PutObjectOutput::default()
    };
    let storage = Arc::clone(storage);
    let bucket = input.bucket;
    blocking(move || storage.commit(&bucket, incoming.file, record, &conditions)).await?;
    Ok(output)
}

pub(super) async fn get(
    storage: &Arc<Storage>,
    input: GetObjectInput,
) -> S3Result<GetObjectOutput> {
    let (file, record) = open(storage, &input.bucket, &input.key).await?;
    check_conditions(
        &record,
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let (range, content_range) = match &input.range {
        None => (0..record.size, None),
        Some(range) => {
            let range = range.check(record.size)?;
            let text = format!("bytes {}-{}/{}", range.start, range.end - 1, record.size);
            (range, Some(text))
        }
    };
    // A checksum is that of the whole.
    let whole = range == (0..record.size) && input.checksum_mode.is_some();
    let checksums = if whole {
        record.checksums.clone()
    } else {
        Checksums::default()
    };
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range,
        body: Some(StreamingBlob::wrap(read(file, range).map_err(internal)?)),
        e_tag: Some(record.e_tag()),
        last_modified: Some(record.last_modified()),
        content_type: content_type(&record.attributes),
        content_encoding: record.attributes.content_encoding,
        content_disposition: record.attributes.content_disposition,
        content_language: record.attributes.content_language,
        cache_control: record.attributes.cache_control,
        metadata: Some(record.attributes.metadata.into_iter().collect()),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..GetObjectOutput::default()
    })
}

pub(super) async fn head(
    storage: &Arc<Storage>,
    input: HeadObjectInput,
) -> S3Result<HeadObjectOutput> {
    let (_, record) = open(storage, &input.bucket, &input.key).await?;
    check_conditions(
        &record,
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let asked = input.checksum_mode.is_some();
    let checksums = if asked {
        record.checksums.clone()
    } else {
        Checksums::default()
    };
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(record.size).ok(),
        e_tag: Some(record.e_tag()),
        last_modified: Some(record.last_modified()),
        content_type: content_type(&record.attributes),
        content_encoding: record.attributes.content_encoding,
        content_disposition: record.attributes.content_disposition,
        content_language: record.attributes.content_language,
        cache_control: record.attributes.cache_control,
        metadata: Some(record.attributes.metadata.into_iter().collect()),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..HeadObjectOutput::default()
    })
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// `aws-chunked` says how the request was sent, and nothing of the object.
pub(super) fn stored_encoding(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<_> = encoding
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty() && !part.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

async fn open(storage: &Arc<Storage>, bucket: &str, key: &str) -> S3Result<(File, Record)> {
    let storage = Arc::clone(storage);
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    blocking(move || storage.open_object(&bucket, &key)).await
}

fn check_conditions(
    record: &Record,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let is = |condition: &ETagCondition, same: fn(&ETag, &ETag) -> bool| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => same(&record.e_tag(), etag),
    };
    if if_match.is_some_and(|condition| !is(condition, ETag::strong_cmp)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(|condition| is(condition, ETag::weak_cmp)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn content_type(attributes: &Attributes) -> Option<String> {
    let stored = attributes.content_type.clone();
    Some(stored.unwrap_or_else(|| DEFAULT_TYPE.to_owned()))
}

/// These bytes of the file.
fn read(
    mut file: File,
    range: Range<u64>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static> {
    file.seek(SeekFrom::Start(range.start))?;
    let left = range.end - range.start;
    let file = tokio::fs::File::from_std(file).take(left);
    Ok(futures::stream::try_unfold(file, async |mut file| {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        match file.read_buf(&mut bytes).await? {
            0 if file.limit() > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            0 => Ok(None),
            _ => Ok(Some((bytes.freeze(), file))),
        }
    }))
}
