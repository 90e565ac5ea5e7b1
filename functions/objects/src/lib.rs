//! The bucket, as components reach it: `tirage-s3`'s requests, sent through the component's host.
//!
//! What it promises:
//! - A put is whole or not at all, and never replaces anything: keys are written once. To find one's own
//!   bytes there already, because an earlier answer got lost, is success where the hash proves it.
//! - Bodies of any length pass through without being held.
//! - Each failure says whether trying again can help.
//! - That something isn't there is believed of the store alone, wherever its answers can say so.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use spin_sdk::http::{EmptyBody, FullBody};
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;
use tirage_s3::{
    Bucket, Failure, FailureKind, Key, List, Listing, ObjectInfo, Presigned, PresignedGet, Put,
    Range,
};
use uuid::Uuid;

/// The longest answer that is collected: a list of a thousand keys has a third of it.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A bucket, and the way to it.
#[derive(Clone, Debug)]
pub struct Objects(Bucket);

/// Why something didn't work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service can't be reached or can't do it now; worth trying again.
    #[error("the object store is not available: {0}")]
    Unavailable(String),
    /// The body that was to be stored isn't what was announced, or ended too early.
    #[error("the body is not as announced: {0}")]
    BadBody(String),
    /// There is something of that name already.
    #[error("there is such an object already")]
    Exists,
    /// It won't work next time either.
    #[error("the object store refuses: {0}")]
    Refused(String),
}

impl Objects {
    /// The objects of this bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// What is known of an object; none if it isn't there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, Error> {
        let request = self.0.head(key, Timestamp::now()).map_err(refused)?;
        let response = match succeed(send(request.map(|()| EmptyBody::new())).await?).await {
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
            response => response?,
        };
        ObjectInfo::from_headers(response.headers())
            .map(Some)
            .map_err(refused)
    }

    /// An object's bytes as they come, or a part of them; none if it isn't there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`]. The body may still break off.
    pub async fn get(
        &self,
        key: &Key,
        range: Option<Range>,
    ) -> Result<Option<Response<IncomingResponseBody>>, Error> {
        let request = self.0.get(key, range, Timestamp::now()).map_err(refused)?;
        match succeed(send(request.map(|()| EmptyBody::new())).await?).await {
            Err(failure) if failure.is_no_such_key() => Ok(None),
            response => Ok(Some(response?)),
        }
    }

    /// The first bytes of an object, at most so many; none if it isn't there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn start(&self, key: &Key, length: u16) -> Result<Option<Bytes>, Error> {
        let range = Range::Between(0, u64::from(length.saturating_sub(1)));
        match self.get(key, Some(range)).await? {
            Some(response) => collect(response.into_body()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Stores bytes whose hash is known.
    ///
    /// # Errors
    /// [`Error::Exists`] if there are other bytes already; [`Error::Unavailable`],
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
                Some(there) if there.sha256 == Some(sha256) => Ok(()),
                _ => Err(Error::Exists),
            },
            stored => stored,
        }
    }

    /// Stores `length` bytes as they come.
    ///
    /// # Errors
    /// As for [`Self::put`]; [`Error::BadBody`] if there are more or fewer.
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

    /// Removes an object. It is no error if it isn't there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn remove(&self, key: &Key) -> Result<(), Error> {
        let request = self.0.delete(key, Timestamp::now()).map_err(refused)?;
        match succeed(send(request.map(|()| EmptyBody::new())).await?).await {
            Err(failure) if !failure.is_no_such_key() => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// The keys of all of a media's objects.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`].
    pub async fn list(&self, workspace: Uuid, media: Uuid) -> Result<Vec<Key>, Error> {
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
            let response = succeed(send(request.map(|()| EmptyBody::new())).await?).await?;
            let listing = Listing::parse(&collect(response.into_body()).await?).map_err(refused)?;
            // What somebody else put there is left alone.
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

    /// A request with which a client without keys may store one object, once.
    ///
    /// # Errors
    /// [`Error::Refused`] for a content type that can't be a header.
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

    /// A URL with which a client without keys may read one object.
    ///
    /// # Errors
    /// [`Error::Refused`], which would be a mistake here.
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

/// What is stored under a key never changes.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

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

/// The answer, if it is a success; else what it says.
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
    Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map(|collected| collected.to_bytes())
        .map_err(|error| Error::Unavailable(error.to_string()))
}
