//! Operations on the bucket: look-ups and lists.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::dto::{
    Bucket, HeadBucketOutput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output,
};
use s3s::{S3Result, s3_error};

use super::listing::{Page, Query};
use super::server::REGION;
use super::storage::Storage;

pub(super) fn head(storage: &Storage, bucket: &str) -> S3Result<HeadBucketOutput> {
    storage.check_bucket(bucket)?;
    Ok(HeadBucketOutput {
        bucket_region: Some(REGION.to_owned()),
        ..HeadBucketOutput::default()
    })
}

pub(super) fn list_buckets(storage: &Storage) -> ListBucketsOutput {
    let bucket = Bucket {
        name: Some(storage.bucket().to_owned()),
        bucket_region: Some(REGION.to_owned()),
        ..Bucket::default()
    };
    ListBucketsOutput {
        buckets: Some(vec![bucket]),
        ..ListBucketsOutput::default()
    }
}

/// Version 1, which continues after a key. boto3's `Bucket.objects` uses it.
pub(super) fn list(storage: &Storage, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    storage.check_bucket(&input.bucket)?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref(),
        after: input.marker.as_deref().unwrap_or_default(),
        max_keys: input.max_keys,
    };
    let page = Page::read(&storage.index(), &query);
    Ok(ListObjectsOutput {
        max_keys: i32::try_from(query.max_keys()).ok(),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next,
        contents: Some(page.objects),
        common_prefixes: Some(page.prefixes),
        name: Some(input.bucket),
        prefix: input.prefix,
        marker: input.marker,
        delimiter: input.delimiter,
        ..ListObjectsOutput::default()
    })
}

/// Version 2, which continues after a token: a key in base64, so that clients don't rely on it.
pub(super) fn list_v2(
    storage: &Storage,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    storage.check_bucket(&input.bucket)?;
    let token = input.continuation_token.as_deref();
    let token = token.map(parse_token).transpose()?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref(),
        after: token
            .as_deref()
            .or(input.start_after.as_deref())
            .unwrap_or_default(),
        max_keys: input.max_keys,
    };
    let page = Page::read(&storage.index(), &query);
    Ok(ListObjectsV2Output {
        max_keys: i32::try_from(query.max_keys()).ok(),
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|key| BASE64_STANDARD.encode(key)),
        contents: Some(page.objects),
        common_prefixes: Some(page.prefixes),
        name: Some(input.bucket),
        prefix: input.prefix,
        continuation_token: input.continuation_token,
        start_after: input.start_after,
        delimiter: input.delimiter,
        ..ListObjectsV2Output::default()
    })
}

fn parse_token(token: &str) -> S3Result<String> {
    BASE64_STANDARD
        .decode(token)
        .ok()
        .and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "invalid continuation token"))
}
