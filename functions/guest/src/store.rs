//! Objects of one bucket: requests of `tirage-s3`, sent through the component's host.
//!
//! - An upload is atomic and never replaces an object. If the same bytes are stored already (because an
//!   earlier response was lost), the upload succeeds, provided that the hash proves it.
//! - Bodies of any length stream through without being held.
//! - Each error says whether a retry can help.
//! - An object counts as missing only if the store itself says so, wherever its responses allow that.
//! - Calls without a file time out after 30 seconds. The manifest limits the others.

use std::any::Any;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use spin_sdk::http::{EmptyBody, FullBody};
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;
use tirage_s3::{
    Bucket, Failure, FailureKind, Key, List, Listing, ObjectInfo, Presigned, PresignedGet, Put,
    Range,
};
use uuid::Uuid;

use crate::settings;
use crate::timeout::within;

/// Upper bound on a collected response; a list of 1000 keys needs a third of it.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Time limit of calls that carry no file.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `Cache-Control` of every object: the content of a key never changes.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// Settings of [`Bucket`], with the variables that hold them.
const VARIABLES: [(&str, &str); 7] = [
    ("S3_ENDPOINT", "s3_endpoint"),
    ("S3_PUBLIC_ENDPOINT", "s3_public_endpoint"),
    ("S3_REGION", "s3_region"),
    ("S3_BUCKET", "s3_bucket"),
    ("S3_ADDRESSING", "s3_addressing"),
    ("S3_ACCESS_KEY_ID", "s3_access_key_id"),
    ("S3_SECRET_ACCESS_KEY", "s3_secret_access_key"),
];

/// The objects of one bucket.
#[derive(Clone, Debug)]
pub struct ObjectStore(Bucket);

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service is unreachable or overloaded; a retry may help.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
    /// The body doesn't match its announced length or hash.
    #[error("the body doesn't match its announced length or hash: {0}")]
    BadBody(String),
    /// The key holds other bytes already.
    #[error("the object exists already")]
    Exists,
    /// Any other failure; a retry gives the same result.
    #[error("the object store refused the request: {0}")]
    Refused(String),
}

impl ObjectStore {
    /// The bucket that the component's variables name. Sends nothing yet.
    ///
    /// # Errors
    /// [`Internal`](crate::Error::Internal) if the variables are missing or invalid.
    pub async fn open() -> Result<Self, crate::Error> {
        let mut values = HashMap::new();
        for (setting, variable) in VARIABLES {
            if let Some(value) = settings::optional(variable).await? {
                values.insert(setting, value);
            }
        }
        Bucket::from_settings(|setting| values.get(setting).cloned())
            .map(Self)
            .map_err(crate::Error::internal)
    }

    /// Properties of an object; `None` if it doesn't exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, Error> {
        let request = self.0.head(key, Timestamp::now()).map_err(refused)?;
        let response = match in_time(succeed_without_body(request)).await? {
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
            response => response?,
        };
        ObjectInfo::from_headers(response.headers())
            .map(Some)
            .map_err(refused)
    }

    /// Streams an object or a range of it; `None` if it doesn't exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`]. The body may break off later.
    pub async fn get(
        &self,
        key: &Key,
        range: Option<Range>,
    ) -> Result<Option<Response<IncomingResponseBody>>, Error> {
        let request = self.0.get(key, range, Timestamp::now()).map_err(refused)?;
        match succeed_without_body(request).await? {
            Err(failure) if failure.is_no_such_key() => Ok(None),
            response => Ok(Some(response?)),
        }
    }

    /// First bytes of an object, at most `length`; `None` if it doesn't exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn start(&self, key: &Key, length: u16) -> Result<Option<Bytes>, Error> {
        let range = Range::Between(0, u64::from(length.saturating_sub(1)));
        let start = async {
            match self.get(key, Some(range)).await? {
                Some(response) => collect(response.into_body()).await.map(Some),
                None => Ok(None),
            }
        };
        in_time(start).await
    }

    /// SHA-256 of an object, computed from all of its bytes; `None` if it doesn't exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn sha256(&self, key: &Key) -> Result<Option<[u8; 32]>, Error> {
        let Some(response) = self.get(key, None).await? else {
            return Ok(None);
        };
        let mut body = response.into_body();
        let mut hash = Sha256::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::Unavailable(error.to_string()))?;
            if let Some(data) = frame.data_ref() {
                hash.update(data);
            }
        }
        Ok(Some(hash.finalize().into()))
    }

    /// Stores bytes with a known hash.
    ///
    /// # Errors
    /// [`Error::Exists`] if the key holds other bytes; [`Error::Unavailable`],
    /// [`Error::BadBody`] and [`Error::Refused`].
    pub async fn put(
        &self,
        key: &Key,
        content_type: &str,
        sha256: [u8; 32],
        bytes: Bytes,
    ) -> Result<(), Error> {
        let put = Put {
            key,
            content_type,
            content_length: bytes.len() as u64,
            sha256: Some(sha256),
            cache_control: Some(IMMUTABLE),
            if_absent: true,
        };
        match self.put_body(&put, FullBody::new(bytes)).await {
            Err(Error::Exists) => match self.head(key).await? {
                Some(existing) if existing.sha256 == Some(sha256) => Ok(()),
                _ => Err(Error::Exists),
            },
            stored => stored,
        }
    }

    /// Stores a body of `length` bytes while it arrives.
    ///
    /// # Errors
    /// As for [`Self::put`]; [`Error::BadBody`] for another length.
    pub async fn put_stream<B>(
        &self,
        key: &Key,
        content_type: &str,
        length: u64,
        body: B,
    ) -> Result<(), Error>
    where
        B: Body + Any,
        B::Data: Into<Vec<u8>>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let put = Put {
            key,
            content_type,
            content_length: length,
            sha256: None,
            cache_control: Some(IMMUTABLE),
            if_absent: true,
        };
        self.put_body(&put, body).await
    }

    async fn put_body<B>(&self, put: &Put<'_>, body: B) -> Result<(), Error>
    where
        B: Body + Any,
        B::Data: Into<Vec<u8>>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = self.0.put(put, Timestamp::now()).map_err(refused)?;
        succeed(send(request.map(|()| body)).await?).await?;
        Ok(())
    }

    /// Removes an object; succeeds if it doesn't exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn remove(&self, key: &Key) -> Result<(), Error> {
        let request = self.0.delete(key, Timestamp::now()).map_err(refused)?;
        match in_time(succeed_without_body(request)).await? {
            Err(failure) if !failure.is_no_such_key() => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// Keys of all objects of a media item.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn list(&self, workspace: Uuid, media: Uuid) -> Result<Vec<Key>, Error> {
        in_time(self.list_all(workspace, media)).await
    }

    async fn list_all(&self, workspace: Uuid, media: Uuid) -> Result<Vec<Key>, Error> {
        let prefix = Key::prefix_of_media(workspace, media);
        let mut keys = Vec::new();
        let mut continuation = None;
        loop {
            let page = List {
                prefix: &prefix,
                continuation: continuation.as_deref(),
                max_keys: None,
            };
            let request = self.0.list(&page, Timestamp::now()).map_err(refused)?;
            let response = succeed_without_body(request).await??;
            let listing = Listing::parse(&collect(response.into_body()).await?).map_err(refused)?;
            // Objects of other programs are left alone.
            keys.extend(
                listing
                    .objects
                    .iter()
                    .filter_map(|object| object.key.parse::<Key>().ok()),
            );
            match listing.continuation {
                Some(next) => continuation = Some(next),
                None => return Ok(keys),
            }
        }
    }

    /// Presigns the upload of one object, once.
    ///
    /// # Errors
    /// [`Error::Refused`] for a content type that is not a valid header.
    pub fn presign_put(
        &self,
        key: &Key,
        content_type: &str,
        length: u64,
        sha256: Option<[u8; 32]>,
        expires: Duration,
    ) -> Result<Presigned, Error> {
        let put = Put {
            key,
            content_type,
            content_length: length,
            sha256,
            cache_control: None,
            if_absent: true,
        };
        self.0
            .presign_put(&put, expires, Timestamp::now())
            .map_err(refused)
    }

    /// Presigns the download of one object.
    ///
    /// # Errors
    /// [`Error::Refused`], which no valid duration causes.
    pub fn presign_get(&self, key: &Key, expires: Duration) -> Result<Presigned, Error> {
        let get = PresignedGet {
            key,
            content_disposition: None,
            content_type: None,
        };
        self.0
            .presign_get(&get, expires, Timestamp::now())
            .map_err(refused)
    }
}

/// Limits a call that carries no file.
async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(TIMEOUT, call)
        .await
        .unwrap_or_else(|| Err(Error::Unavailable("no response in time".to_owned())))
}

/// Sends a request without a body.
async fn succeed_without_body(
    request: Request<()>,
) -> Result<Result<Response<IncomingResponseBody>, Failure>, Error> {
    let response = send(request.map(|()| EmptyBody::new())).await?;
    Ok(succeed(response).await)
}

async fn send<B>(request: Request<B>) -> Result<Response<IncomingResponseBody>, Error>
where
    B: Body + Any,
    B::Data: Into<Vec<u8>>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    spin_sdk::http::send(request).await.map_err(unreachable)
}

fn unreachable(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            Error::Refused(format!("{code:?}: see allowed_outbound_hosts"))
        }
        code => Error::Unavailable(format!("{code:?}")),
    }
}

/// The response if it is a success, else its failure.
async fn succeed(
    response: Response<IncomingResponseBody>,
) -> Result<Response<IncomingResponseBody>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = collect(response.into_body()).await.unwrap_or_default();
    let failure = Failure::of(status, &body);
    Err(failure.unwrap_or(Failure {
        kind: FailureKind::Other,
        status: StatusCode::BAD_GATEWAY,
        code: None,
        message: None,
    }))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure.kind {
            FailureKind::PreconditionFailed => Self::Exists,
            FailureKind::BadBody => Self::BadBody(text),
            FailureKind::Unavailable => Self::Unavailable(text),
            FailureKind::NotFound | FailureKind::Denied | FailureKind::Other => Self::Refused(text),
        }
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Refused(error.to_string())
}

async fn collect(body: IncomingResponseBody) -> Result<Bytes, Error> {
    Limited::new(body, MAX_RESPONSE_BYTES)
        .collect()
        .await
        .map(|collected| collected.to_bytes())
        .map_err(|error| Error::Unavailable(error.to_string()))
}
