//! Description of a file that a client is going to upload.

use serde::Deserialize;
use tirage_guest::digest::parse_sha256;
use tirage_problem::{Kind, Place, Problem};

/// JSON body of `POST /api/media`, before validation.
#[derive(Debug, Deserialize)]
pub(super) struct AnnouncementBody {
    filename: String,
    content_type: String,
    size: u64,
    #[serde(default)]
    sha256: Option<String>,
}

/// A valid announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) filename: String,
    pub(super) content_type: String,
    /// In bytes, at least 1.
    pub(super) size: u64,
    pub(super) sha256: Option<[u8; 32]>,
}

const MAX_FILENAME_CHARACTERS: usize = 255;
const MAX_CONTENT_TYPE_BYTES: usize = 127;

impl Announcement {
    /// Validates a body.
    ///
    /// # Errors
    /// 400 with every invalid field; 413 for more than `max_bytes`.
    pub(super) fn parse(body: AnnouncementBody, max_bytes: u64) -> Result<Self, Problem> {
        let mut problem = Problem::new(Kind::INVALID_INPUT);
        let mut refuse = |pointer, detail: String| {
            problem = problem.clone().field(Place::Pointer(pointer), detail);
        };
        let filename = filename(&body.filename);
        if filename.is_none() {
            refuse(
                "#/filename",
                format!(
                    "Filename must have 1 to {MAX_FILENAME_CHARACTERS} characters and no control characters"
                ),
            );
        }
        let content_type = content_type(&body.content_type);
        if content_type.is_none() {
            refuse(
                "#/content_type",
                "Content type must have the form type/subtype, such as image/jpeg".to_owned(),
            );
        }
        if body.size == 0 {
            refuse("#/size", "Size must be at least 1 byte".to_owned());
        }
        let sha256 = body.sha256.as_deref().map(parse_sha256);
        if sha256 == Some(None) {
            refuse(
                "#/sha256",
                "SHA-256 must be 64 hexadecimal digits".to_owned(),
            );
        }
        let (Some(filename), Some(content_type), 1.., Some(sha256)) = (
            filename,
            content_type,
            body.size,
            sha256.map_or(Some(None), |sha256| sha256.map(Some)),
        ) else {
            return Err(problem);
        };
        if body.size > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(Self {
            filename,
            content_type,
            size: body.size,
            sha256,
        })
    }
}

/// 413 that names the limit.
pub(super) fn too_large(max_bytes: u64) -> Problem {
    Problem::new(Kind::BODY_TOO_LARGE).field(
        Place::Pointer("#/size"),
        format!("A file may have at most {max_bytes} bytes"),
    )
}

/// Validates a filename and drops its folders: some clients send a path.
pub(super) fn filename(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next()?.trim();
    let fits = (1..=MAX_FILENAME_CHARACTERS).contains(&name.chars().count());
    (fits && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// Validates a content type (RFC 9110, section 8.3.1): `type/subtype`, with parameters in ASCII.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Result<Announcement, Problem> {
        Announcement::parse(serde_json::from_value(value).unwrap(), 100)
    }

    #[test]
    fn a_valid_announcement_is_normalised() {
        let new = parse(json!({
            "filename": "C:\\photos\\Sommer 2026.JPG",
            "content_type": "Image/JPEG",
            "size": 100,
            "sha256": "00FF".repeat(16),
        }))
        .unwrap();
        assert_eq!(new.filename, "Sommer 2026.JPG");
        assert_eq!(new.content_type, "image/jpeg");
        assert_eq!(hex::encode(new.sha256.unwrap()), "00ff".repeat(16));
    }

    #[test]
    fn every_invalid_field_is_named() {
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
    fn a_file_beyond_the_limit_is_too_large() {
        let problem =
            parse(json!({"filename": "a", "content_type": "a/b", "size": 101})).unwrap_err();
        assert_eq!(problem.kind(), Kind::BODY_TOO_LARGE);
    }

    #[test]
    fn unsafe_filenames_and_content_types_are_refused() {
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
