//! The step's answer, taken apart: prints, and what is known of the photo.
//!
//! Whoever made it, nothing gets past here that `migrations/0002_media.sql` lets no table hold.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::outcome::{Failure, Interruption};

/// What a step made.
#[derive(Debug)]
pub(crate) struct Prints {
    /// The original's media type.
    pub(crate) content_type: String,
    /// The original's hash, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) metadata: Value,
    pub(crate) position: Option<Value>,
    pub(crate) variants: Vec<Print>,
}

/// A print.
#[derive(Debug)]
pub(crate) struct Print {
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) sha256: String,
    pub(crate) digest: [u8; 32],
    pub(crate) bytes: Bytes,
}

/// The first part of the answer.
#[derive(Deserialize)]
struct Description {
    format: String,
    content_type: String,
    width: u32,
    height: u32,
    sha256: String,
    metadata: Value,
    #[serde(default)]
    position: Option<Value>,
    variants: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    content_type: String,
    width: u32,
    height: u32,
    bytes: usize,
    sha256: String,
}

/// Reads the parts of an answer.
///
/// # Errors
/// A failure of the step.
pub(crate) fn prints(parts: Vec<Bytes>) -> Result<Prints, Interruption> {
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| bad("it has no parts"))?;
    let description: Description =
        serde_json::from_slice(&first).map_err(|error| bad(error.to_string()))?;
    if parts.len() != description.variants.len() {
        return Err(bad("it has another number of prints than it says"));
    }
    let variants = description
        .variants
        .into_iter()
        .zip(parts)
        .map(|(described, bytes)| print(described, bytes))
        .collect::<Result<_, _>>()?;
    digest(&description.sha256).ok_or_else(|| bad("the file's hash is none"))?;
    Ok(Prints {
        content_type: content_type(description.content_type)?,
        sha256: description.sha256,
        metadata: metadata(
            storable(description.metadata),
            &description.format,
            description.width,
            description.height,
        ),
        position: description
            .position
            .filter(|position| !position.is_null())
            .map(storable),
        variants,
    })
}

fn print(described: Described, bytes: Bytes) -> Result<Print, Interruption> {
    if bytes.len() != described.bytes {
        return Err(bad("a print has another length than it says"));
    }
    if bytes.is_empty() {
        return Err(bad("a print is empty"));
    }
    if !is_name(&described.name) {
        return Err(bad("a print's name is none"));
    }
    if ![described.width, described.height].into_iter().all(is_side) {
        return Err(bad("a print's size in pixels is none"));
    }
    Ok(Print {
        digest: digest(&described.sha256).ok_or_else(|| bad("a print's hash is none"))?,
        name: described.name,
        content_type: content_type(described.content_type)?,
        width: described.width,
        height: described.height,
        sha256: described.sha256,
        bytes,
    })
}

/// As the table of prints has them.
fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// As the table of prints has them: what the database calls an integer, from 1.
fn is_side(pixels: u32) -> bool {
    pixels > 0 && i32::try_from(pixels).is_ok()
}

/// What storage and clients are told of the bytes, which is in a header.
fn content_type(text: String) -> Result<String, Interruption> {
    match !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(text),
        false => Err(bad("a content type is none")),
    }
}

/// What the database can store: its texts hold no NUL
/// (<https://www.postgresql.org/docs/current/datatype-json.html>), and files contain anything.
pub(crate) fn storable(mut value: Value) -> Value {
    match &mut value {
        Value::String(text) => text.retain(|character| character != '\0'),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = storable(item.take())),
        Value::Object(fields) => {
            let taken = std::mem::take(fields);
            fields.extend(taken.into_iter().map(|(mut name, value)| {
                name.retain(|character| character != '\0');
                (name, storable(value))
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    value
}

/// Size and format stand with the rest of what is known.
fn metadata(metadata: Value, format: &str, width: u32, height: u32) -> Value {
    let Value::Object(mut fields) = metadata else {
        return metadata;
    };
    fields.insert("format".to_owned(), format.into());
    fields.insert("width".to_owned(), width.into());
    fields.insert("height".to_owned(), height.into());
    Value::Object(fields)
}

/// 32 bytes in hexadecimal, in small letters as the database has it.
fn digest(hexadecimal: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: [u8; 64] = hexadecimal.as_bytes().try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(digest)
}

/// The step's answer can't be used.
pub(crate) fn bad(reason: impl AsRef<str>) -> Interruption {
    Interruption::Failed(Failure::bad_answer(reason.as_ref()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(bytes: usize, sha256: &str) -> Vec<Bytes> {
        let description = json!({
            "format": "jpeg", "content_type": "image/jpeg", "width": 40, "height": 30,
            "bytes": 9, "sha256": "a".repeat(64), "metadata": {"frames": 1}, "position": null,
            "variants": [{"name": "thumb", "content_type": "image/webp", "width": 4, "height": 3,
                "bytes": bytes, "sha256": sha256}],
        });
        vec![description.to_string().into(), Bytes::from_static(b"print")]
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let prints = prints(answer(5, &"0f".repeat(32))).unwrap();
        assert_eq!(prints.variants[0].bytes, "print");
        assert_eq!(prints.variants[0].digest, [15; 32]);
        assert_eq!(
            prints.metadata,
            json!({"frames": 1, "format": "jpeg", "width": 40, "height": 30})
        );
        assert_eq!(prints.position, None);
    }

    #[test]
    fn nothing_is_stored_that_cannot_be() {
        let value = json!({"a\0": ["\0b\0", {"c": "\0"}], "d": 1});
        assert_eq!(storable(value), json!({"a": ["b", {"c": ""}], "d": 1}));
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_a_failure() {
        let mut too_few = answer(5, &"0f".repeat(32));
        too_few.pop();
        for bad in [
            answer(6, &"0f".repeat(32)),
            answer(5, "0f"),
            too_few,
            Vec::new(),
        ] {
            assert!(matches!(prints(bad), Err(Interruption::Failed(_))));
        }
    }

    #[test]
    fn what_no_table_takes_is_a_failure() {
        let with = |pointer: &str, value: Value| {
            let mut parts = answer(5, &"0f".repeat(32));
            let mut description: Value = serde_json::from_slice(&parts[0]).unwrap();
            *description.pointer_mut(pointer).unwrap() = value;
            parts[0] = description.to_string().into();
            prints(parts)
        };
        assert!(with("/variants/0/name", json!("a-1")).is_ok());
        for (pointer, value) in [
            ("/variants/0/name", json!("Thumb")),
            ("/variants/0/name", json!("thumb\n")),
            ("/variants/0/name", json!("")),
            ("/variants/0/name", json!("a".repeat(33))),
            ("/variants/0/width", json!(0)),
            ("/variants/0/height", json!(1_u32 << 31)),
            ("/variants/0/content_type", json!("image/\0")),
            ("/variants/0/sha256", json!("0F".repeat(32))),
            ("/variants/0/sha256", json!("+f".repeat(32))),
            ("/variants/0/sha256", json!("é".repeat(32))),
            ("/content_type", json!("")),
            ("/sha256", json!("A".repeat(64))),
        ] {
            let made = with(pointer, value.clone());
            assert!(
                matches!(made, Err(Interruption::Failed(_))),
                "{pointer} {value}"
            );
        }
    }
}
