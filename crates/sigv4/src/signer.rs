//! Signs requests and URLs.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use http::uri::{InvalidUri, InvalidUriParts};
use http::{HeaderName, Uri};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::Credentials;
use crate::canonical;
use crate::scope::{ALGORITHM, Scope, Service, format_time};

pub(crate) const DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Longest validity of a presigned URL.
pub const MAX_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The part of the body that is signed.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The whole body.
    Bytes(&'a [u8]),
    /// The body's SHA-256, where that is known before the body is.
    Sha256([u8; 32]),
    /// Nothing. For S3 only. Over plain HTTP, an attacker on the way could change the body.
    Unsigned,
}

/// A request can't be signed. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a Host header nor the URI names the host.
    #[error("the request names no host: set a Host header or an absolute URI")]
    NoHost,
    /// The expiry is shorter than a second, or longer than [`MAX_EXPIRY`].
    #[error("invalid expiry: expected 1 second to 7 days")]
    Expiry,
    /// The access key's id or the region has characters that a header can't hold.
    #[error("the access key or the region has characters that a header can't hold")]
    Header(#[from] InvalidHeaderValue),
    /// The signed URL is too long.
    #[error("the signed URL is not a valid URI: {0}")]
    Uri(#[from] InvalidUri),
    /// The request's URI is not absolute.
    #[error("the signed URL is not a valid URI: {0}")]
    UriParts(#[from] InvalidUriParts),
}

/// Signs requests to one service in one region.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The access key.
    pub credentials: Credentials,
    /// The region, such as `fr-par`.
    pub region: String,
    /// The service.
    pub service: Service,
}

impl Signer {
    /// Sets `x-amz-date`, `authorization` and, for S3, `x-amz-content-sha256`.
    ///
    /// All other headers are signed too, and must be sent unchanged, except those that proxies and
    /// HTTP clients manage (`user-agent`, `transfer-encoding` and the like). `host` is signed even if
    /// it isn't among the headers, since HTTP clients add it from the URI.
    ///
    /// # Errors
    /// [`Error::NoHost`], and [`Error::Header`] for characters that a header can't hold.
    pub fn sign(
        &self,
        head: &mut Parts,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let time = format_time(now);
        let payload = payload_hash(payload);
        head.headers.insert(DATE, HeaderValue::from_str(&time)?);
        if self.service == Service::S3 {
            let payload = HeaderValue::from_str(&payload)?;
            head.headers.insert(CONTENT_SHA256, payload);
        }

        let scope = Scope::new(&time, &self.region, &self.service);
        let signed = canonical::headers_to_sign(head);
        let query = head.uri.query().unwrap_or_default();
        let request = canonical::request(head, query, &signed, &payload, &self.service)
            .ok_or(Error::NoHost)?;
        let signature = scope.signature(&self.credentials.secret_access_key, &request);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.credentials.access_key_id,
            canonical::list(&signed),
            hex::encode(signature),
        );
        let authorization = HeaderValue::from_str(&authorization)?;
        head.headers.insert(AUTHORIZATION, authorization);
        Ok(())
    }

    /// Returns a presigned URL for the request `head`, valid for `expires` from `now`.
    ///
    /// The client must use `head`'s method and send `head`'s headers. They are signed, so
    /// `content-length` and `x-amz-checksum-sha256` there limit what can be uploaded. For S3 the body
    /// is not signed; for other services it must be empty.
    ///
    /// # Errors
    /// [`Error::NoHost`], [`Error::Expiry`], and [`Error::Uri`] if the URL gets too long.
    pub fn presign(&self, head: &Parts, expires: Duration, now: Timestamp) -> Result<Uri, Error> {
        let seconds = expires.as_secs();
        if seconds == 0 || expires > MAX_EXPIRY {
            return Err(Error::Expiry);
        }
        let time = format_time(now);
        let scope = Scope::new(&time, &self.region, &self.service);
        let signed = canonical::headers_to_sign(head);
        let credential = format!("{}/{scope}", self.credentials.access_key_id);
        let seconds = seconds.to_string();
        let list = canonical::list(&signed);
        let parameters = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &*credential),
            ("X-Amz-Date", &*time),
            ("X-Amz-Expires", &*seconds),
            ("X-Amz-SignedHeaders", &*list),
        ];
        let mut query = head.uri.query().unwrap_or_default().to_owned();
        for (name, value) in parameters {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&format!("{name}={}", canonical::escape(value)));
        }

        let payload = match self.service {
            Service::S3 => UNSIGNED_PAYLOAD.to_owned(),
            Service::Other(_) => payload_hash(Payload::Bytes(b"")),
        };
        let request = canonical::request(head, &query, &signed, &payload, &self.service)
            .ok_or(Error::NoHost)?;
        let signature = scope.signature(&self.credentials.secret_access_key, &request);
        query.push_str(&format!("&X-Amz-Signature={}", hex::encode(signature)));

        let mut uri = head.uri.clone().into_parts();
        uri.path_and_query = Some(format!("{}?{query}", head.uri.path()).parse()?);
        Ok(Uri::from_parts(uri)?)
    }
}

fn payload_hash(payload: Payload<'_>) -> String {
    match payload {
        Payload::Bytes(bytes) => hex::encode(Sha256::digest(bytes)),
        Payload::Sha256(hash) => hex::encode(hash),
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
    }
}
