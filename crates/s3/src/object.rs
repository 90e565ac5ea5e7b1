//! Properties of an object, from response headers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};

use crate::requests::CHECKSUM_SHA256;
use crate::xml::ResponseError;

/// Headers of a response to HEAD or GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes; in the response to a range request, size of the range.
    pub size: u64,
    /// Content type.
    pub content_type: Option<String>,
    /// Entity tag, with its quotes.
    pub etag: Option<String>,
    /// SHA-256 of the whole object, if the service stores it.
    pub sha256: Option<[u8; 32]>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

impl ObjectInfo {
    /// Parses the headers of a successful response.
    ///
    /// # Errors
    /// [`ResponseError::Missing`] without a length.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ResponseError> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let size = text(CONTENT_LENGTH.as_str())
            .and_then(|length| length.parse().ok())
            .ok_or(ResponseError::Missing("Content-Length"))?;
        // An object uploaded in parts has a hash of hashes, which ends in `-<parts>`.
        let sha256 = text(CHECKSUM_SHA256)
            .and_then(|hash| BASE64_STANDARD.decode(hash).ok())
            .and_then(|hash| hash.try_into().ok());
        Ok(Self {
            size,
            content_type: text(CONTENT_TYPE.as_str()).map(str::to_owned),
            etag: text(ETAG.as_str()).map(str::to_owned),
            sha256,
            cache_control: text(CACHE_CONTROL.as_str()).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn headers_are_parsed() {
        let info = ObjectInfo::from_headers(&headers(&[
            ("content-length", "12"),
            ("content-type", "image/png"),
            ("etag", "\"abc\""),
            (
                "x-amz-checksum-sha256",
                "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            ),
        ]));
        assert_eq!(
            info.unwrap(),
            ObjectInfo {
                size: 12,
                content_type: Some("image/png".to_owned()),
                etag: Some("\"abc\"".to_owned()),
                sha256: Some([1; 32]),
                cache_control: None,
            }
        );
    }

    #[test]
    fn a_hash_of_parts_is_not_the_hash_of_the_object() {
        let parts = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=-2";
        let info = ObjectInfo::from_headers(&headers(&[
            ("content-length", "0"),
            ("x-amz-checksum-sha256", parts),
        ]));
        assert_eq!(info.unwrap().sha256, None);
        assert!(ObjectInfo::from_headers(&HeaderMap::new()).is_err());
    }
}
