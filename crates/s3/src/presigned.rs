//! Presigned URLs, for clients without credentials.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Method, Request};
use jiff::Timestamp;

use crate::requests::{RequestError, escape, head};
use crate::{Bucket, Key, Put};

/// A request that a client without credentials may make.
#[derive(Clone, Debug)]
pub struct Presigned {
    /// Method of the request.
    pub method: Method,
    /// URL of the request. It grants access to every holder, so it must not be logged.
    pub url: String,
    /// Headers that the client must send unchanged, because they are signed. `Content-Length` is signed
    /// too but not listed: every HTTP client sets it from the body, and browsers allow nothing else.
    pub headers: HeaderMap,
    /// Time from which the service refuses the request, in whole seconds.
    pub expires_at: Timestamp,
}

/// A download, and headers of its response.
#[derive(Clone, Copy, Debug)]
pub struct PresignedGet<'a> {
    /// Key of the object.
    pub key: &'a Key,
    /// `Content-Disposition` of the response, such as `attachment; filename="photo.jpg"`.
    pub content_disposition: Option<&'a str>,
    /// `Content-Type` of the response, in place of the stored one.
    pub content_type: Option<&'a str>,
}

impl Bucket {
    /// Presigns the upload of an object for `expires` (1 second to 7 days).
    ///
    /// Type, length and, if given, checksum are signed, so the service refuses another body.
    ///
    /// # Errors
    /// [`RequestError`] if a value is not a valid header, or `expires` is out of range.
    pub fn presign_put(
        &self,
        put: &Put<'_>,
        expires: Duration,
        now: Timestamp,
    ) -> Result<Presigned, RequestError> {
        let mut head = put.head(&self.public)?;
        let url = self.signer.presign(&head, expires, now)?.to_string();
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(HOST);
        Ok(Presigned {
            method: Method::PUT,
            url,
            headers: head.headers,
            expires_at: end(now, expires),
        })
    }

    /// Presigns the download of an object for `expires` (1 second to 7 days).
    ///
    /// # Errors
    /// [`RequestError`] if the URL is too long, or `expires` is out of range.
    pub fn presign_get(
        &self,
        get: &PresignedGet<'_>,
        expires: Duration,
        now: Timestamp,
    ) -> Result<Presigned, RequestError> {
        let query: Vec<_> = [
            ("response-content-disposition", get.content_disposition),
            ("response-content-type", get.content_type),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", escape(value?))))
        .collect();
        let uri = self.public.uri(&get.key.to_string(), &query.join("&"))?;
        let head = head(Request::get(uri))?;
        Ok(Presigned {
            method: Method::GET,
            url: self.signer.presign(&head, expires, now)?.to_string(),
            headers: HeaderMap::new(),
            expires_at: end(now, expires),
        })
    }
}

/// End of validity; signatures have a resolution of one second.
fn end(now: Timestamp, expires: Duration) -> Timestamp {
    let seconds = now.as_second().saturating_add_unsigned(expires.as_secs());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::tests::bucket;

    const KEY: &str =
        "0190b3a0-0000-7000-8000-00000000000a/0190b3a0-0000-7000-8000-00000000000b/thumb.1";

    #[test]
    fn an_upload_uses_the_public_address_and_binds_the_body() {
        let public = ("S3_PUBLIC_ENDPOINT", "https://media.example:8443");
        let put = Put {
            key: &KEY.parse().unwrap(),
            content_type: "image/jpeg",
            content_length: 5,
            sha256: Some([0; 32]),
            cache_control: None,
            if_absent: false,
        };
        let now = "2026-01-01T00:00:00.9Z".parse().unwrap();
        let expires = Duration::from_secs(60);
        let presigned = bucket(&[public])
            .unwrap()
            .presign_put(&put, expires, now)
            .unwrap();
        let start = format!("https://media.example:8443/prints/{KEY}?");
        assert!(presigned.url.starts_with(&start), "{}", presigned.url);
        assert!(presigned.url.contains(
            "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256"
        ));
        let mut names: Vec<_> = presigned.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "x-amz-checksum-sha256"]);
        assert_eq!(presigned.expires_at.to_string(), "2026-01-01T00:01:00Z");
    }

    #[test]
    fn a_download_may_set_headers_of_its_response() {
        let get = PresignedGet {
            key: &KEY.parse().unwrap(),
            content_disposition: Some("attachment; filename=\"a b.jpg\""),
            content_type: None,
        };
        let now = Timestamp::UNIX_EPOCH;
        let bucket = bucket(&[]).unwrap();
        let presigned = bucket
            .presign_get(&get, Duration::from_secs(1), now)
            .unwrap();
        assert!(presigned.url.contains(
            "?response-content-disposition=attachment%3B%20filename%3D%22a%20b.jpg%22&X-Amz-Algorithm="
        ));
        for wrong in [Duration::ZERO, Duration::from_secs(7 * 24 * 60 * 60 + 1)] {
            assert!(bucket.presign_get(&get, wrong, now).is_err(), "{wrong:?}");
        }
    }
}
