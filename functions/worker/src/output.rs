//! The output of a step: variants, metadata and position, parsed and validated.
//!
//! A deployment may use its own step, so every value that the tables of `migrations/0002_media.sql` restrict is
//! validated here.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use tirage_guest::digest::parse_sha256;
use tirage_s3::VariantName;

use crate::error::Failure;

/// Output of a step.
#[derive(Debug)]
pub(crate) struct Output {
    /// Content type of the original.
    pub(crate) content_type: String,
    /// SHA-256 of the original, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) metadata: Value,
    pub(crate) position: Option<Value>,
    pub(crate) variants: Vec<OutputVariant>,
}

/// A variant in the output of a step.
#[derive(Debug)]
pub(crate) struct OutputVariant {
    pub(crate) name: VariantName,
    pub(crate) content_type: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// SHA-256 of `bytes`, as the step states it.
    pub(crate) digest: [u8; 32],
    pub(crate) bytes: Bytes,
}

/// The first part of the output.
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
    variants: Vec<VariantDescription>,
}

#[derive(Deserialize)]
struct VariantDescription {
    name: String,
    content_type: String,
    width: u32,
    height: u32,
    bytes: usize,
    sha256: String,
}

/// Parses the parts of an output: JSON first, then one part per variant.
///
/// # Errors
/// [`Failure::invalid_output`].
pub(crate) fn parse(parts: Vec<Bytes>) -> Result<Output, Failure> {
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| invalid("no parts"))?;
    let description: Description =
        serde_json::from_slice(&first).map_err(Failure::invalid_output)?;
    if parts.len() != description.variants.len() {
        return Err(invalid("another number of variants than described"));
    }
    let variants = description
        .variants
        .into_iter()
        .zip(parts)
        .map(|(description, bytes)| variant(description, bytes))
        .collect::<Result<_, _>>()?;
    digest(&description.sha256).ok_or_else(|| invalid("invalid SHA-256 of the original"))?;
    Ok(Output {
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

fn variant(description: VariantDescription, bytes: Bytes) -> Result<OutputVariant, Failure> {
    if bytes.len() != description.bytes {
        return Err(invalid("a variant has another length than described"));
    }
    if bytes.is_empty() {
        return Err(invalid("a variant is empty"));
    }
    if ![description.width, description.height]
        .into_iter()
        .all(is_side)
    {
        return Err(invalid("invalid width or height of a variant"));
    }
    Ok(OutputVariant {
        name: description.name.parse().map_err(Failure::invalid_output)?,
        content_type: content_type(description.content_type)?,
        width: description.width,
        height: description.height,
        digest: digest(&description.sha256)
            .ok_or_else(|| invalid("invalid SHA-256 of a variant"))?,
        bytes,
    })
}

/// `true` if the table `variant` accepts the width or height: an `integer` from 1.
fn is_side(pixels: u32) -> bool {
    pixels > 0 && i32::try_from(pixels).is_ok()
}

/// Validates a content type, which becomes a header.
fn content_type(text: String) -> Result<String, Failure> {
    match !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(text),
        false => Err(invalid("invalid content type")),
    }
}

/// Removes NUL characters, which files may contain and Postgres can't store
/// (<https://www.postgresql.org/docs/current/datatype-json.html>).
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

/// Adds format, width and height to the metadata.
fn metadata(metadata: Value, format: &str, width: u32, height: u32) -> Value {
    let Value::Object(mut fields) = metadata else {
        return metadata;
    };
    fields.insert("format".to_owned(), format.into());
    fields.insert("width".to_owned(), width.into());
    fields.insert("height".to_owned(), height.into());
    Value::Object(fields)
}

/// Parses a SHA-256 in lower case, as the database stores it.
fn digest(text: &str) -> Option<[u8; 32]> {
    let is_lower_case = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lower_case.then(|| parse_sha256(text)).flatten()
}

fn invalid(reason: &str) -> Failure {
    Failure::invalid_output(reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn output(bytes: usize, sha256: &str) -> Vec<Bytes> {
        let description = json!({
            "format": "jpeg", "content_type": "image/jpeg", "width": 40, "height": 30,
            "bytes": 9, "sha256": "a".repeat(64), "metadata": {"frames": 1}, "position": null,
            "variants": [{"name": "thumb", "content_type": "image/webp", "width": 4, "height": 3,
                "bytes": bytes, "sha256": sha256}],
        });
        vec![description.to_string().into(), Bytes::from_static(b"print")]
    }

    #[test]
    fn an_output_is_parsed() {
        let output = parse(output(5, &"0f".repeat(32))).unwrap();
        assert_eq!(output.variants[0].bytes, "print");
        assert_eq!(output.variants[0].digest, [15; 32]);
        assert_eq!(
            output.metadata,
            json!({"frames": 1, "format": "jpeg", "width": 40, "height": 30})
        );
        assert_eq!(output.position, None);
    }

    #[test]
    fn nul_characters_are_removed() {
        let value = json!({"a\0": ["\0b\0", {"c": "\0"}], "d": 1});
        assert_eq!(storable(value), json!({"a": ["b", {"c": ""}], "d": 1}));
    }

    #[test]
    fn a_contradictory_output_is_a_failure() {
        let mut too_few = output(5, &"0f".repeat(32));
        too_few.pop();
        for bad in [
            output(6, &"0f".repeat(32)),
            output(5, "0f"),
            too_few,
            Vec::new(),
        ] {
            assert!(parse(bad).is_err());
        }
    }

    #[test]
    fn values_that_no_table_accepts_are_failures() {
        let with = |pointer: &str, value: Value| {
            let mut parts = output(5, &"0f".repeat(32));
            let mut description: Value = serde_json::from_slice(&parts[0]).unwrap();
            *description.pointer_mut(pointer).unwrap() = value;
            parts[0] = description.to_string().into();
            parse(parts)
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
            assert!(with(pointer, value.clone()).is_err(), "{pointer} {value}");
        }
    }
}
