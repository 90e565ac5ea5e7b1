//! Signs requests and URLs.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use http::uri::{InvalidUri, InvalidUriParts};
use http::{HeaderName, Uri};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::scope::{ALGORITHM, Scope, Service, format_time, hex};
use crate::{Credentials, Secret};

pub(crate) const DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The longest that a presigned URL may last.
pub const MAX_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What of the body is signed.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The body itself.
    Bytes(&'a [u8]),
    /// Its SHA-256, where that is known before the body is.
    Sha256([u8; 32]),
    /// Nothing. S3 only; over plain HTTP anybody on the way could then change it.
    Unsigned,
}

/// Why a request can't be signed. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a Host header nor an address that names one.
    #[error("the request doesn't say which host it is for")]
    NoHost,
    /// No whole second, or longer than [`MAX_EXPIRY`].
    #[error("a presigned URL lasts for 1 second to 7 days")]
    Expiry,
    /// The key's id, the region or the token can't stand in a header.
    #[error(
        "the access key, the region or the session token has characters that no header can hold"
    )]
    Header(#[from] InvalidHeaderValue),
    /// The signed URL is longer than a URI may be.
    #[error("the signed URL is no URI: {0}")]
    Uri(#[from] InvalidUri),
    /// The address is not a whole one.
    #[error("the signed URL is no URI: {0}")]
    UriParts(#[from] InvalidUriParts),
}

/// Signs for one service in one region.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Who signs.
    pub credentials: Credentials,
    /// Where, as in `fr-par`.
    pub region: String,
    /// What for.
    pub service: Service,
}

impl Signer {
    /// Adds `x-amz-date`, `authorization` and, where they belong, `x-amz-content-sha256` and
    /// `x-amz-security-token`; what was there of these is replaced.
    ///
    /// All other headers are signed too, and must be sent unchanged, except those that proxies and
    /// HTTP clients manage (`user-agent`, `transfer-encoding` and the like). `host` is signed whether or
    /// not it stands among the headers; clients make it from the address.
    ///
    /// # Errors
    /// When `head` names no host, or the credentials don't fit into a header.
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
        if let Some(token) = &self.credentials.session_token {
            head.headers.insert(SECURITY_TOKEN, secret_value(token)?);
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
            hex(&signature),
        );
        let authorization = HeaderValue::from_str(&authorization)?;
        head.headers.insert(AUTHORIZATION, authorization);
        Ok(())
    }

    /// The URL of `head` with a signature in its query, good for `expires` from `now`.
    ///
    /// Whoever uses it must use `head`'s method and send `head`'s headers: they are signed, and so
    /// `content-length` or `x-amz-checksum-sha256` there bind what may be uploaded. For S3 the body is
    /// not signed; for other services it has to be empty.
    ///
    /// # Errors
    /// When `head` names no host, `expires` is no time from 1 second to [`MAX_EXPIRY`], or the URL gets
    /// too long.
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
        let token = self.credentials.session_token.as_ref();
        let parameters = [
            ("X-Amz-Algorithm", Some(ALGORITHM)),
            ("X-Amz-Credential", Some(&*credential)),
            ("X-Amz-Date", Some(&*time)),
            ("X-Amz-Expires", Some(&*seconds)),
            ("X-Amz-Security-Token", token.map(Secret::expose)),
            ("X-Amz-SignedHeaders", Some(&*list)),
        ];
        let mut query = head.uri.query().unwrap_or_default().to_owned();
        for (name, value) in parameters {
            let Some(value) = value else { continue };
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
        query.push_str(&format!("&X-Amz-Signature={}", hex(&signature)));

        let mut uri = head.uri.clone().into_parts();
        uri.path_and_query = Some(format!("{}?{query}", head.uri.path()).parse()?);
        Ok(Uri::from_parts(uri)?)
    }
}

fn payload_hash(payload: Payload<'_>) -> String {
    match payload {
        Payload::Bytes(bytes) => hex(&Sha256::digest(bytes)),
        Payload::Sha256(hash) => hex(&hash),
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
    }
}

fn secret_value(secret: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret.expose())?;
    value.set_sensitive(true);
    Ok(value)
}
