//! The response body: JSON, then the variants (`multipart/mixed`, RFC 2046, 5.1).

use bytes::Bytes;
use serde::Serialize;
use tirage_imaging::{Metadata, Position, Processed, Variant};
use tirage_problem::{Kind, Problem};

/// Content of the JSON part.
#[derive(Serialize)]
struct Description<'p> {
    format: tirage_imaging::Format,
    content_type: &'static str,
    width: u32,
    height: u32,
    sha256: String,
    /// Length of the original in bytes.
    bytes: usize,
    metadata: &'p Metadata,
    position: Option<Position>,
    variants: Vec<VariantPart<'p>>,
}

#[derive(Serialize)]
struct VariantPart<'p> {
    name: &'p str,
    content_type: &'static str,
    width: u32,
    height: u32,
    bytes: usize,
    sha256: String,
}

/// Returns the parts of the response for an original of `bytes` bytes.
pub(crate) fn write(
    processed: Processed,
    bytes: usize,
    boundary: &str,
) -> Result<Vec<Bytes>, Problem> {
    let description = Description {
        format: processed.metadata.format,
        content_type: processed.metadata.format.media_type(),
        width: processed.metadata.width,
        height: processed.metadata.height,
        sha256: hex::encode(processed.sha256),
        bytes,
        metadata: &processed.metadata,
        position: processed.position,
        variants: processed.variants.iter().map(VariantPart::new).collect(),
    };
    let json = serde_json::to_vec(&description).map_err(|error| {
        eprintln!("serialising the metadata failed: {error}");
        Problem::new(Kind::INTERNAL)
    })?;
    let mut parts = vec![
        format!(
            "--{boundary}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            json.len()
        )
        .into(),
        json.into(),
    ];
    for variant in processed.variants {
        parts.push(
            format!(
                "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
                 Content-Disposition: attachment; name=\"{}\"\r\n\r\n",
                variant.format.media_type(),
                variant.file.len(),
                variant.name,
            )
            .into(),
        );
        parts.push(variant.file.into());
    }
    parts.push(format!("\r\n--{boundary}--\r\n").into());
    Ok(parts)
}

impl<'p> VariantPart<'p> {
    fn new(variant: &'p Variant) -> Self {
        Self {
            name: &variant.name,
            content_type: variant.format.media_type(),
            width: variant.width,
            height: variant.height,
            bytes: variant.file.len(),
            sha256: hex::encode(variant.sha256),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tirage_imaging::{Limits, process};

    use super::*;

    #[test]
    fn parts_have_their_lengths_and_the_order_of_the_list() {
        // One black pixel.
        let file =
            b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
        let variants =
            tirage_imaging::VariantSpec::parse_all(["b:9:png", "a:9:webp-lossless"]).unwrap();
        let processed = process(file, &variants, &Limits::default()).unwrap();
        let files: Vec<_> = processed
            .variants
            .iter()
            .map(|variant| variant.file.clone())
            .collect();
        let response = write(processed, file.len(), "XYZ").unwrap().concat();

        let mut rest = response.as_slice();
        let mut contents = Vec::new();
        while let Some(start) = rest.strip_prefix(b"--XYZ\r\n") {
            let end = start
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .unwrap();
            let head = std::str::from_utf8(&start[..end]).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .unwrap();
            let content = &start[end + 4..];
            let (content, after) = content.split_at(length.parse().unwrap());
            contents.push((head.to_owned(), content.to_vec()));
            rest = after.strip_prefix(b"\r\n").unwrap();
        }
        assert_eq!(rest, b"--XYZ--\r\n");

        assert_eq!(contents.len(), 3);
        let json: Value = serde_json::from_slice(&contents[0].1).unwrap();
        assert_eq!(json["format"], "gif");
        assert_eq!(json["content_type"], "image/gif");
        assert_eq!((&json["width"], &json["height"]), (&1.into(), &1.into()));
        assert_eq!(json["bytes"], file.len());
        assert_eq!(json["position"], Value::Null);
        assert_eq!(json["metadata"]["frames"], 1);
        for (index, name) in ["b", "a"].into_iter().enumerate() {
            let (head, content) = &contents[index + 1];
            let variant = &json["variants"][index];
            assert_eq!(variant["name"], name);
            assert_eq!(content, &files[index]);
            assert_eq!(variant["bytes"], content.len());
            assert_eq!(variant["sha256"].as_str().unwrap().len(), 64);
            assert!(head.contains(&format!("name=\"{name}\"")));
            assert!(head.contains(variant["content_type"].as_str().unwrap()));
        }
    }
}
