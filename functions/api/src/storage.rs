//! The bucket, with problems that clients understand.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, Either};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use http_body::Body;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tirage_objects::{Error, Objects};
use tirage_problem::{Kind, Problem};
use tirage_s3::{Bucket, Key, ObjectInfo};
use uuid::Uuid;

use crate::media::hexadecimal;
use crate::settings;

/// How long the URL of a print can be used.
const READABLE_FOR: Duration = Duration::from_secs(60 * 60);

/// How long storage may take for a call that carries no file. The manifest's limits are for files.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variables that say where the bucket is, in the names that [`Bucket`] has for them.
const VARIABLES: [(&str, &str); 7] = [
    ("S3_ENDPOINT", "s3_endpoint"),
    ("S3_PUBLIC_ENDPOINT", "s3_public_endpoint"),
    ("S3_REGION", "s3_region"),
    ("S3_BUCKET", "s3_bucket"),
    ("S3_ADDRESSING", "s3_addressing"),
    ("S3_ACCESS_KEY_ID", "s3_access_key_id"),
    ("S3_SECRET_ACCESS_KEY", "s3_secret_access_key"),
];

/// The bucket that the component's variables name.
pub(crate) struct Storage(Objects);

/// Where a file may be put, and how.
#[derive(Debug, Serialize)]
pub(crate) struct Upload {
    method: String,
    url: String,
    /// To be sent just so: they are signed.
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

impl Storage {
    /// The bucket; nothing is sent yet.
    ///
    /// # Errors
    /// 500 if the variables are missing or make no sense.
    pub(crate) async fn open() -> Result<Self, Problem> {
        let mut values = HashMap::new();
        for (name, variable) in VARIABLES {
            if let Some(value) = settings::optional(variable).await? {
                values.insert(name, value);
            }
        }
        Bucket::from_settings(|name| values.get(name).cloned())
            .map(|bucket| Self(Objects::new(bucket)))
            .map_err(settings::internal)
    }

    /// What is known of an object; none if it isn't there.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn look(&self, key: &Key) -> Result<Option<ObjectInfo>, Problem> {
        soon(self.0.head(key)).await
    }

    /// The first bytes of an object; nothing if it isn't there.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn start(&self, key: &Key, length: u16) -> Result<Bytes, Problem> {
        let start = soon(self.0.start(key, length)).await?;
        Ok(start.unwrap_or_default())
    }

    /// What an object's bytes hash to, in hexadecimal; none if it isn't there. All of them are read.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn sha256(&self, key: &Key) -> Result<Option<String>, Problem> {
        let Some(response) = self.0.get(key, None).await.map_err(problem)? else {
            return Ok(None);
        };
        let mut body = response.into_body();
        let mut hash = Sha256::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| problem(Error::Unavailable(error.to_string())))?;
            if let Some(data) = frame.data_ref() {
                hash.update(data);
            }
        }
        Ok(Some(hexadecimal(&hash.finalize())))
    }

    /// Stores `length` bytes as they come.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn put_stream<B>(
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
        self.0.put_stream(key, content_type, length, body).await
    }

    /// The keys of all of a media's objects.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn list(&self, workspace: Uuid, media: Uuid) -> Result<Vec<Key>, Problem> {
        soon(self.0.list(workspace, media)).await
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// 503 and 500.
    pub(crate) async fn remove(&self, key: &Key) -> Result<(), Problem> {
        soon(self.0.remove(key)).await
    }

    /// A URL that shows an object to whoever has it, for an hour.
    ///
    /// # Errors
    /// 500.
    pub(crate) fn readable(&self, key: &Key) -> Result<String, Problem> {
        let presigned = self.0.presign_get(key, READABLE_FOR).map_err(problem)?;
        Ok(presigned.url)
    }

    /// The request that stores just the announced file under this key.
    ///
    /// # Errors
    /// 500.
    pub(crate) fn writable(
        &self,
        key: &Key,
        content_type: &str,
        length: u64,
        sha256: Option<[u8; 32]>,
        expires: SignedDuration,
    ) -> Result<Upload, Problem> {
        let presigned = self
            .0
            .presign_put(key, content_type, length, sha256, expires.unsigned_abs())
            .map_err(problem)?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(Upload {
            method: presigned.method.to_string(),
            url: presigned.url,
            headers: presigned
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            expires_at: presigned.expires_at,
        })
    }
}

async fn soon<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
    let patience = pin!(spin_sdk::time::sleep(PATIENCE));
    match future::select(pin!(call), patience).await {
        Either::Left((answer, _)) => answer.map_err(problem),
        Either::Right(((), _)) => Err(problem(Error::Unavailable("no answer in time".to_owned()))),
    }
}

/// What a client may know: whether another try helps. The log has the rest.
pub(crate) fn problem(error: Error) -> Problem {
    match error {
        Error::Unavailable(_) => {
            eprintln!("{error}");
            Problem::new(Kind::UNAVAILABLE)
                .detail("The object store cannot be reached at the moment")
                .header(RETRY_AFTER, HeaderValue::from_static("5"))
        }
        error => settings::internal(error),
    }
}
