//! Entity tags: a strong one for each file, made of its content.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use http::header::GetAll;
use sha2::{Digest, Sha256};
use spin_sdk::wasip3::filesystem::types::ErrorCode;

use crate::files::{File, Version};

/// Tags of the files that this instance has read, so that each is read for its tag but once.
static KNOWN: Mutex<BTreeMap<String, (Version, HeaderValue)>> = Mutex::new(BTreeMap::new());

/// The tag of a file: the start of its SHA-256, in hexadecimal.
///
/// # Errors
/// When the file can't be read.
pub(crate) async fn of(file: &File) -> Result<HeaderValue, ErrorCode> {
    if let Some((version, tag)) = known().get(file.path())
        && *version == file.version()
    {
        return Ok(tag.clone());
    }
    let mut hash = Sha256::new();
    file.read(|chunk| hash.update(chunk)).await?;
    let tag = tag(hash);
    known().insert(file.path().to_owned(), (file.version(), tag.clone()));
    Ok(tag)
}

/// Whether `If-None-Match` names this tag (RFC 9110, 13.1.2; weak comparison, as it says there).
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

fn tag(hash: Sha256) -> HeaderValue {
    let hexadecimal: String = hash
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
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
        let tag_of = |content: &str| tag(Sha256::new_with_prefix(content));
        assert_eq!(tag_of("abc"), "\"ba7816bf8f01cfea414140de5dae2223\"");
        assert_ne!(tag_of("abc"), tag_of("abd"));
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
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
