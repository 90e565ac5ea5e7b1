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
use super::incoming::{Incoming, Metadata};
use super::object_file::{Attributes, Checksums, Record};
use super::operations::blocking;
use super::storage::{Condition, Storage};

const CHUNK: usize = 256 * 1024;
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// Collects the attributes of an upload from s3s's inputs, whose fields have the same names.
macro_rules! attributes_of {
    ($input:expr) => {
        Attributes {
            content_type: $input.content_type,
            content_encoding: stored_encoding($input.content_encoding),
            content_disposition: $input.content_disposition,
            content_language: $input.content_language,
            cache_control: $input.cache_control,
            metadata: $input.metadata.into_iter().flatten().collect(),
        }
    };
}
pub(super) use attributes_of;

/// Builds an output that has an entity tag and checksums.
macro_rules! stored_output {
    ($Output:ident, $record:expr) => {
        $Output {
            e_tag: Some($record.e_tag()),
            checksum_crc32: $record.checksums.crc32.clone(),
            checksum_crc32c: $record.checksums.crc32c.clone(),
            checksum_crc64nvme: $record.checksums.crc64nvme.clone(),
            checksum_sha1: $record.checksums.sha1.clone(),
            checksum_sha256: $record.checksums.sha256.clone(),
            ..$Output::default()
        }
    };
}
pub(super) use stored_output;

/// Builds an output that describes a whole object.
macro_rules! object_output {
    ($Output:ident, $record:expr) => {
        $Output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from($record.size).ok(),
            last_modified: Some($record.last_modified()),
            content_type: content_type(&$record.attributes),
            content_encoding: $record.attributes.content_encoding.clone(),
            content_disposition: $record.attributes.content_disposition.clone(),
            content_language: $record.attributes.content_language.clone(),
            cache_control: $record.attributes.cache_control.clone(),
            metadata: Some($record.attributes.metadata.clone().into_iter().collect()),
            ..stored_output!($Output, $record)
        }
    };
}

pub(super) async fn put(
    storage: &Arc<Storage>,
    request: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    let input = request.input;
    storage.check_bucket(&input.bucket)?;
    let condition = Condition::new(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let metadata = Metadata {
        headers: &request.headers,
        trailers: request.trailing_headers,
    };
    let incoming = Incoming::receive(&storage.incoming(), body, metadata).await?;
    let record = Record {
        key: input.key,
        size: incoming.size,
        etag: incoming.etag,
        modified: now(),
        checksums: incoming.checksums,
        attributes: attributes_of!(input),
    };
    let output = stored_output!(PutObjectOutput, record);
    let storage = Arc::clone(storage);
    blocking(move || storage.commit(incoming.file, record, condition)).await?;
    Ok(output)
}

pub(super) async fn get(
    storage: &Arc<Storage>,
    input: GetObjectInput,
) -> S3Result<GetObjectOutput> {
    let (file, mut record) = open(storage, &input.bucket, &input.key).await?;
    check_conditions(
        &record,
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let range = match &input.range {
        None => 0..record.size,
        Some(range) => range.check(record.size)?,
    };
    // A stored checksum covers the whole object.
    if range != (0..record.size) || input.checksum_mode.is_none() {
        record.checksums = Checksums::default();
    }
    let mut output = object_output!(GetObjectOutput, record);
    if input.range.is_some() {
        let last = range.end - 1;
        output.content_range = Some(format!("bytes {}-{last}/{}", range.start, record.size));
    }
    output.content_length = i64::try_from(range.end - range.start).ok();
    output.body = Some(StreamingBlob::wrap(read(file, range).map_err(internal)?));
    Ok(output)
}

pub(super) async fn head(
    storage: &Arc<Storage>,
    input: HeadObjectInput,
) -> S3Result<HeadObjectOutput> {
    let (_, mut record) = open(storage, &input.bucket, &input.key).await?;
    check_conditions(
        &record,
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    if input.checksum_mode.is_none() {
        record.checksums = Checksums::default();
    }
    Ok(object_output!(HeadObjectOutput, record))
}

/// Returns the current time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// Removes `aws-chunked`, which describes the transfer and not the object.
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
    let matches = |condition: &ETagCondition, equal: fn(&ETag, &ETag) -> bool| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => equal(&record.e_tag(), etag),
    };
    if if_match.is_some_and(|condition| !matches(condition, ETag::strong_cmp)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(|condition| matches(condition, ETag::weak_cmp)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn content_type(attributes: &Attributes) -> Option<String> {
    let stored = attributes.content_type.clone();
    Some(stored.unwrap_or_else(|| DEFAULT_TYPE.to_owned()))
}

/// Streams a range of the file.
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
