//! Operations on buckets.

use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketOutput, GetBucketLocationOutput,
    HeadBucketOutput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output,
};
use s3s::{S3Result, s3_error};

use super::error::internal;
use super::listing::{Page, Query};
use super::server::REGION;
use super::storage::Storage;

pub(super) fn create(storage: &Storage, bucket: &str) -> S3Result<CreateBucketOutput> {
    if !storage.create_bucket(bucket).map_err(internal)? {
        return Err(s3_error!(BucketAlreadyOwnedByYou));
    }
    Ok(CreateBucketOutput {
        location: Some(format!("/{bucket}")),
    })
}

pub(super) fn head(storage: &Storage, bucket: &str) -> S3Result<HeadBucketOutput> {
    storage.with_bucket(bucket, |_| HeadBucketOutput {
        bucket_region: Some(REGION.to_owned()),
        ..HeadBucketOutput::default()
    })
}

pub(super) fn location(storage: &Storage, bucket: &str) -> S3Result<GetBucketLocationOutput> {
    storage.with_bucket(bucket, |_| GetBucketLocationOutput {
        location_constraint: Some(BucketLocationConstraint::from_static(REGION)),
    })
}

pub(super) fn all(storage: &Storage) -> ListBucketsOutput {
    let buckets = storage.buckets().into_iter().map(|name| Bucket {
        name: Some(name),
        bucket_region: Some(REGION.to_owned()),
        ..Bucket::default()
    });
    ListBucketsOutput {
        buckets: Some(buckets.collect()),
        ..ListBucketsOutput::default()
    }
}

/// The first version, which goes on after a key.
pub(super) fn list(storage: &Storage, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref(),
        after: input.marker.as_deref().unwrap_or_default(),
        max_keys: input.max_keys,
    };
    let page = storage.with_bucket(&input.bucket, |objects| Page::read(objects, &query))?;
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

/// The second version, which goes on after a token: here too a key, in a form that nobody takes for one.
pub(super) fn list_v2(
    storage: &Storage,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let token = input
        .continuation_token
        .as_deref()
        .map(read_token)
        .transpose()?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref(),
        after: token
            .as_deref()
            .or(input.start_after.as_deref())
            .unwrap_or_default(),
        max_keys: input.max_keys,
    };
    let page = storage.with_bucket(&input.bucket, |objects| Page::read(objects, &query))?;
    Ok(ListObjectsV2Output {
        max_keys: i32::try_from(query.max_keys()).ok(),
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| write_token(&next)),
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

fn write_token(after: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(after)
}

fn read_token(token: &str) -> S3Result<String> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is none of ours"))
}
