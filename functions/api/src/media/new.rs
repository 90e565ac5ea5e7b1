//! What a client says about a file before it is there.

use serde::Deserialize;
use tirage_problem::{Kind, Place, Problem};

/// The body of `POST /api/media`, as it comes.
#[derive(Debug, Deserialize)]
pub(super) struct Announced {
    filename: String,
    content_type: String,
    size: u64,
    #[serde(default)]
    sha256: Option<String>,
}

/// A file that may be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewMedia {
    pub(super) filename: String,
    pub(super) content_type: String,
    /// In bytes, at least 1.
    pub(super) size: u64,
    pub(super) sha256: Option<[u8; 32]>,
}

const MAX_FILENAME_CHARACTERS: usize = 255;
const MAX_CONTENT_TYPE_BYTES: usize = 127;

impl NewMedia {
    /// # Errors
    /// 400 that names each field that is wrong; 413 for more than `max_bytes`.
    pub(super) fn parse(announced: Announced, max_bytes: u64) -> Result<Self, Problem> {
        let mut problem = Problem::new(Kind::INVALID_INPUT);
        let mut refuse = |pointer, detail: String| {
            problem = problem.clone().field(Place::Pointer(pointer), detail);
        };
        let filename = filename(&announced.filename);
        if filename.is_none() {
            refuse(
                "#/filename",
                format!(
                    "Filename must have 1 to {MAX_FILENAME_CHARACTERS} characters, none of them a control character"
                ),
            );
        }
        let content_type = content_type(&announced.content_type);
        if content_type.is_none() {
            refuse(
                "#/content_type",
                "Content type must be like image/jpeg".to_owned(),
            );
        }
        if announced.size == 0 {
            refuse("#/size", "Size must be at least 1 byte".to_owned());
        }
        let sha256 = announced.sha256.as_deref().map(digest);
        if sha256 == Some(None) {
            refuse(
                "#/sha256",
                "SHA-256 must be 64 hexadecimal digits".to_owned(),
            );
        }
        let (Some(filename), Some(content_type), 1.., Some(sha256)) = (
            filename,
            content_type,
            announced.size,
            sha256.map_or(Some(None), |digest| digest.map(Some)),
        ) else {
            return Err(problem);
        };
        if announced.size > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(Self {
            filename,
            content_type,
            size: announced.size,
            sha256,
        })
    }
}

/// 413, with the limit.
pub(super) fn too_large(max_bytes: u64) -> Problem {
    Problem::new(Kind::BODY_TOO_LARGE).field(
        Place::Pointer("#/size"),
        format!("A file may have at most {max_bytes} bytes"),
    )
}

/// The last part of a name that may be a path; browsers and cameras send all kinds.
pub(super) fn filename(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next()?.trim();
    let fits = (1..=MAX_FILENAME_CHARACTERS).contains(&name.chars().count());
    (fits && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// `type/subtype`, with parameters if they are plain (RFC 9110, 8.3.1).
pub(super) fn content_type(text: &str) -> Option<String> {
    let text = text.trim();
    let (kind, subtype) = text.split(';').next()?.trim().split_once('/')?;
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (is_token(kind) && is_token(subtype) && is_plain && text.len() <= MAX_CONTENT_TYPE_BYTES)
        .then(|| text.to_ascii_lowercase())
}

/// 32 bytes in hexadecimal.
pub(super) fn digest(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        let pair = hexadecimal.get(2 * index..2 * index + 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

/// The opposite of [`digest`].
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<NewMedia, Problem> {
        NewMedia::parse(serde_json::from_value(value).unwrap(), 100)
    }

    #[test]
    fn what_is_right_is_taken() {
        let new = parse(json!({
            "filename": "C:\\photos\\Sommer 2026.JPG",
            "content_type": "Image/JPEG",
            "size": 100,
            "sha256": "00FF".repeat(16),
        }))
        .unwrap();
        assert_eq!(new.filename, "Sommer 2026.JPG");
        assert_eq!(new.content_type, "image/jpeg");
        assert_eq!(hexadecimal(&new.sha256.unwrap()), "00ff".repeat(16));
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let problem = parse(json!({
            "filename": "photos/", "content_type": "jpeg", "size": 0, "sha256": "é".repeat(32),
        }))
        .unwrap_err();
        assert_eq!(problem.kind(), Kind::INVALID_INPUT);
        let response = problem.into_response(None);
        let document: Value = serde_json::from_slice(response.body()).unwrap();
        let named: Vec<_> = document["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(
            named,
            ["#/filename", "#/content_type", "#/size", "#/sha256"]
        );
    }

    #[test]
    fn more_than_the_limit_is_too_large() {
        let problem =
            parse(json!({"filename": "a", "content_type": "a/b", "size": 101})).unwrap_err();
        assert_eq!(problem.kind(), Kind::BODY_TOO_LARGE);
    }

    #[test]
    fn names_and_types_that_would_harm_are_refused() {
        for name in ["", " ", "a\nb", "a/", &"x".repeat(256)] {
            assert_eq!(filename(name), None, "{name:?}");
        }
        assert_eq!(filename("../../etc/passwd").as_deref(), Some("passwd"));
        for text in [
            "",
            "image",
            "image/",
            "/jpeg",
            "image/jp eg",
            "a/b\r\nx: y",
            "a/é",
        ] {
            assert_eq!(content_type(text), None, "{text:?}");
        }
        assert!(content_type("text/plain; charset=utf-8").is_some());
    }
}
