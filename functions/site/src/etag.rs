//! Strong entity tags, computed from the content of files.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use http::header::GetAll;
use sha2::{Digest, Sha256};
use spin_sdk::wasip3::filesystem::types::ErrorCode;

use crate::files::{File, Version};

/// Tags of the files that this instance has read, so that it reads each file once for its tag.
static KNOWN: Mutex<BTreeMap<String, (Version, HeaderValue)>> = Mutex::new(BTreeMap::new());

/// Returns the tag of a file: the first 16 bytes of its SHA-256, in hexadecimal.
///
/// # Errors
/// When the file can't be read.
pub(crate) async fn tag(file: &File) -> Result<HeaderValue, ErrorCode> {
    if let Some((version, tag)) = known().get(file.path())
        && *version == file.version()
    {
        return Ok(tag.clone());
    }
    let mut hash = Sha256::new();
    file.read(|chunk| hash.update(chunk)).await?;
    let tag = header(hash);
    known().insert(file.path().to_owned(), (file.version(), tag.clone()));
    Ok(tag)
}

/// `true` if If-None-Match contains this tag (RFC 9110, 13.1.2, by weak comparison).
pub(crate) fn matches(if_none_match: GetAll<'_, HeaderValue>, tag: &HeaderValue) -> bool {
    if_none_match
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| {
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag
        })
}

fn known() -> std::sync::MutexGuard<'static, BTreeMap<String, (Version, HeaderValue)>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header(hash: Sha256) -> HeaderValue {
    let hexadecimal = hex::encode(&hash.finalize()[..16]);
    #[expect(clippy::expect_used, reason = "hexadecimal digits between quotes")]
    HeaderValue::try_from(format!("\"{hexadecimal}\"")).expect("a tag is a valid header")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn a_tag_is_quoted_and_depends_on_the_content() {
        let tag_of = |content: &str| header(Sha256::new_with_prefix(content));
        assert_eq!(tag_of("abc"), "\"ba7816bf8f01cfea414140de5dae2223\"");
        assert_ne!(tag_of("abc"), tag_of("abd"));
    }

    #[test]
    fn if_none_match_matches_the_tag() {
        let tag = HeaderValue::from_static("\"x\"");
        let matches = |values: &[&'static str]| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (IF_NONE_MATCH, HeaderValue::from_static(value)))
                .collect();
            matches(headers.get_all(IF_NONE_MATCH), &tag)
        };
        assert!(matches(&["\"x\""]));
        assert!(matches(&["W/\"x\""]));
        assert!(matches(&["\"y\", \"x\""]));
        assert!(matches(&["*"]));
        assert!(!matches(&[]));
        assert!(!matches(&["\"y\"", "x", ""]));
    }
}
