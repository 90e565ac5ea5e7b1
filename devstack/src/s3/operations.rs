//! The supported operations of S3. The other files implement them; what accesses the disk runs on
//! blocking threads.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::error::internal;
use super::storage::Storage;
use super::{buckets, objects, parts};

/// Implementation of s3s's trait.
pub(super) struct Operations(pub(super) Arc<Storage>);

/// Runs `work` on a blocking thread. It runs to its end even if the client disconnects.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

impl Operations {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Storage) -> S3Result<T> + Send + 'static,
    ) -> S3Result<S3Response<T>> {
        let storage = Arc::clone(&self.0);
        blocking(move || work(&storage)).await.map(S3Response::new)
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        buckets::head(&self.0, &request.input.bucket).map(S3Response::new)
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        Ok(S3Response::new(buckets::list_buckets(&self.0)))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        buckets::list(&self.0, request.input).map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        buckets::list_v2(&self.0, request.input).map(S3Response::new)
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        objects::put(&self.0, request).await.map(S3Response::new)
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let output = objects::get(&self.0, request.input).await;
        output.map(S3Response::new)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let output = objects::head(&self.0, request.input).await;
        output.map(S3Response::new)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.run(move |storage| {
            storage.delete(&request.input.bucket, &request.input.key)?;
            Ok(DeleteObjectOutput::default())
        })
        .await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.run(move |storage| {
            let DeleteObjectsInput { bucket, delete, .. } = request.input;
            let mut deleted = Vec::new();
            for object in delete.objects {
                storage.delete(&bucket, &object.key)?;
                deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..DeletedObject::default()
                });
            }
            let quiet = delete.quiet == Some(true);
            Ok(DeleteObjectsOutput {
                deleted: (!quiet).then_some(deleted),
                ..DeleteObjectsOutput::default()
            })
        })
        .await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.run(move |storage| parts::create(storage, request.input))
            .await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        parts::upload(&self.0, request).await.map(S3Response::new)
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.run(move |storage| parts::list(storage, request.input))
            .await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.run(move |storage| parts::complete(storage, request.input))
            .await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.run(move |storage| {
            parts::abort(storage, &request.input)?;
            Ok(AbortMultipartUploadOutput::default())
        })
        .await
    }
}
