//! What is known of an object without fetching it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};

use crate::requests::CHECKSUM_SHA256;
use crate::xml::AnswerError;

/// From the headers that answer HEAD or GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its size in bytes (of the part, in an answer to a range).
    pub size: u64,
    /// Its media type, if it has one.
    pub content_type: Option<String>,
    /// Which version of it this is, in quotes as sent.
    pub etag: Option<String>,
    /// Its SHA-256, where the service has it for the object as a whole.
    pub sha256: Option<[u8; 32]>,
    /// What caches may do with it.
    pub cache_control: Option<String>,
}

impl ObjectInfo {
    /// Reads the headers of an answer that is a success.
    ///
    /// # Errors
    /// When there is no length among them.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, AnswerError> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let size = text(CONTENT_LENGTH.as_str())
            .and_then(|length| length.parse().ok())
            .ok_or(AnswerError::Missing("Content-Length"))?;
        // An object that was uploaded in parts has a hash of hashes, which ends in `-<parts>`.
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
    fn headers_are_read() {
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
    fn a_hash_of_parts_is_no_hash_of_the_object() {
        let parts = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=-2";
        let info = ObjectInfo::from_headers(&headers(&[
            ("content-length", "0"),
            ("x-amz-checksum-sha256", parts),
        ]));
        assert_eq!(info.unwrap().sha256, None);
        assert!(ObjectInfo::from_headers(&HeaderMap::new()).is_err());
    }
}
