//! Signed request heads. The caller adds the body and must change nothing else.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH, RANGE};
use http::request::{Builder, Parts};
use http::{Method, Request};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tirage_sigv4::Payload;

use crate::endpoint::Endpoint;
use crate::{Bucket, Key};

pub(crate) const CHECKSUM_SHA256: &str = "x-amz-checksum-sha256";
const CHECKSUM_MODE: &str = "x-amz-checksum-mode";
const EMPTY: Payload<'static> = Payload::Bytes(b"");
/// All characters but the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Error of making a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A value is not a valid header or URL.
    #[error("invalid header value or URL: {0}")]
    Header(#[from] http::Error),
    /// The request could not be signed.
    #[error(transparent)]
    Signing(#[from] tirage_sigv4::Error),
}

/// An upload.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Key of the object.
    pub key: &'a Key,
    /// Content type.
    pub content_type: &'a str,
    /// Exact length of the body in bytes.
    pub content_length: u64,
    /// SHA-256 of the body, if known: the service refuses another body and stores the hash.
    pub sha256: Option<[u8; 32]>,
    /// `Cache-Control` of later downloads.
    pub cache_control: Option<&'a str>,
    /// Refuses to replace an object (`If-None-Match: *`); the response is then 412,
    /// [`FailureKind::PreconditionFailed`](crate::FailureKind::PreconditionFailed).
    pub if_absent: bool,
}

/// A byte range of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// First and last byte, both included.
    Between(u64, u64),
    /// First byte; ends with the object.
    From(u64),
    /// Number of bytes at the end.
    Last(u64),
}

/// A list request.
#[derive(Clone, Copy, Debug, Default)]
pub struct List<'a> {
    /// Common prefix of the listed keys.
    pub prefix: &'a str,
    /// [`Listing::continuation`](crate::Listing::continuation) of the previous page.
    pub continuation: Option<&'a str>,
    /// Upper bound on keys per page; default and maximum of the services: 1000.
    pub max_keys: Option<u16>,
}

impl Bucket {
    /// Stores an object. Without a SHA-256 the body is not signed.
    ///
    /// # Errors
    /// [`RequestError`] if the content type or the cache control is not a valid header.
    pub fn put(&self, put: &Put<'_>, now: Timestamp) -> Result<Request<()>, RequestError> {
        let payload = put.sha256.map_or(Payload::Unsigned, Payload::Sha256);
        self.sign(put.head(&self.internal)?, payload, now)
    }

    /// Fetches an object or a range of it. The response to a range is 206, or 416 past the end.
    ///
    /// # Errors
    /// [`RequestError`], which no valid bucket and key can cause.
    pub fn get(
        &self,
        key: &Key,
        range: Option<Range>,
        now: Timestamp,
    ) -> Result<Request<()>, RequestError> {
        let mut request = self.request(Method::GET, key)?;
        if let Some(range) = range {
            request = request.header(RANGE, range.to_string());
        }
        self.sign(head(request)?, EMPTY, now)
    }

    /// Requests the headers that [`ObjectInfo`](crate::ObjectInfo) parses, with the stored SHA-256.
    ///
    /// # Errors
    /// [`RequestError`], which no valid bucket and key can cause.
    pub fn head(&self, key: &Key, now: Timestamp) -> Result<Request<()>, RequestError> {
        let request = self.request(Method::HEAD, key)?;
        self.sign(head(request.header(CHECKSUM_MODE, "ENABLED"))?, EMPTY, now)
    }

    /// Deletes an object; succeeds if there is no such object.
    ///
    /// `Content-Length: 0` is explicit, because a host may otherwise announce a body of unknown length,
    /// which S3 answers with 411.
    ///
    /// # Errors
    /// [`RequestError`], which no valid bucket and key can cause.
    pub fn delete(&self, key: &Key, now: Timestamp) -> Result<Request<()>, RequestError> {
        let request = self.request(Method::DELETE, key)?;
        self.sign(head(request.header(CONTENT_LENGTH, 0))?, EMPTY, now)
    }

    /// Lists objects in the order of their keys; [`Listing`](crate::Listing) parses the response.
    ///
    /// # Errors
    /// [`RequestError`] if the URL is too long.
    pub fn list(&self, list: &List<'_>, now: Timestamp) -> Result<Request<()>, RequestError> {
        let mut query = format!("list-type=2&prefix={}", escape(list.prefix));
        if let Some(token) = list.continuation {
            query.push_str(&format!("&continuation-token={}", escape(token)));
        }
        if let Some(max) = list.max_keys {
            query.push_str(&format!("&max-keys={max}"));
        }
        let request = Request::get(self.internal.uri("", &query)?);
        self.sign(head(request)?, EMPTY, now)
    }

    fn request(&self, method: Method, key: &Key) -> Result<Builder, RequestError> {
        let uri = self.internal.uri(&key.to_string(), "")?;
        Ok(Request::builder().method(method).uri(uri))
    }

    fn sign(
        &self,
        mut head: Parts,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<Request<()>, RequestError> {
        self.signer.sign(&mut head, payload, now)?;
        Ok(Request::from_parts(head, ()))
    }
}

impl Put<'_> {
    /// The head before signing.
    pub(crate) fn head(&self, endpoint: &Endpoint) -> Result<Parts, RequestError> {
        let mut request = Request::put(endpoint.uri(&self.key.to_string(), "")?)
            .header(CONTENT_TYPE, self.content_type)
            .header(CONTENT_LENGTH, self.content_length);
        if let Some(hash) = &self.sha256 {
            request = request.header(CHECKSUM_SHA256, BASE64_STANDARD.encode(hash));
        }
        if let Some(cache_control) = self.cache_control {
            request = request.header(CACHE_CONTROL, cache_control);
        }
        if self.if_absent {
            request = request.header(IF_NONE_MATCH, "*");
        }
        head(request)
    }
}

/// Value of the header `Range`.
impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Between(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

pub(crate) fn escape(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

pub(crate) fn head(request: Builder) -> Result<Parts, RequestError> {
    Ok(request.body(())?.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::tests::bucket;

    const KEY: &str =
        "0190b3a0-0000-7000-8000-00000000000a/0190b3a0-0000-7000-8000-00000000000b/thumb.1";

    fn header<'a>(request: &'a Request<()>, name: &str) -> &'a str {
        request
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn a_put_signs_all_headers_that_bind_the_body() {
        let key = KEY.parse().unwrap();
        let mut put = Put {
            key: &key,
            content_type: "image/webp",
            content_length: 3,
            sha256: Some([1; 32]),
            cache_control: Some("private"),
            if_absent: true,
        };
        let request = bucket(&[])
            .unwrap()
            .put(&put, Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            request.uri().to_string(),
            format!("https://prints.s3.example/{KEY}")
        );
        for (name, expected) in [
            ("content-type", "image/webp"),
            ("content-length", "3"),
            ("cache-control", "private"),
            ("if-none-match", "*"),
            (
                "x-amz-checksum-sha256",
                "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            ),
            ("x-amz-content-sha256", &"01".repeat(32)),
            ("x-amz-date", "19700101T000000Z"),
        ] {
            assert_eq!(header(&request, name), expected, "{name}");
        }
        assert!(header(&request, "authorization").contains(
            "SignedHeaders=cache-control;content-length;content-type;host;if-none-match;\
             x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date,"
        ));

        put.sha256 = None;
        let request = bucket(&[])
            .unwrap()
            .put(&put, Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(header(&request, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
        assert_eq!(header(&request, "x-amz-checksum-sha256"), "");
    }

    #[test]
    fn a_delete_request_has_an_explicit_length_of_zero() {
        let key = KEY.parse().unwrap();
        let request = bucket(&[])
            .unwrap()
            .delete(&key, Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(request.method(), Method::DELETE);
        assert_eq!(header(&request, "content-length"), "0");
    }

    #[test]
    fn an_invalid_header_value_is_refused() {
        let put = Put {
            key: &KEY.parse().unwrap(),
            content_type: "image/webp\r\nx-amz-acl: public-read",
            content_length: 0,
            sha256: None,
            cache_control: None,
            if_absent: false,
        };
        let refused = bucket(&[]).unwrap().put(&put, Timestamp::UNIX_EPOCH);
        assert!(matches!(refused, Err(RequestError::Header(_))));
    }

    #[test]
    fn ranges_and_lists_have_the_syntax_of_s3() {
        let bucket = bucket(&[("S3_ENDPOINT", "http://[::1]:1")]).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        for (range, expected) in [
            (Range::Between(2, 5), "bytes=2-5"),
            (Range::From(2), "bytes=2-"),
            (Range::Last(2), "bytes=-2"),
        ] {
            let request = bucket.get(&KEY.parse().unwrap(), Some(range), now).unwrap();
            assert_eq!(header(&request, "range"), expected);
        }
        let list = List {
            prefix: "a/&b",
            continuation: Some("1+/="),
            max_keys: Some(7),
        };
        assert_eq!(
            bucket.list(&list, now).unwrap().uri().to_string(),
            "http://[::1]:1/prints?list-type=2&prefix=a%2F%26b&continuation-token=1%2B%2F%3D&max-keys=7"
        );
    }
}
