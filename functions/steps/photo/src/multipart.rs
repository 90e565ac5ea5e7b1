//! The answer: JSON, then the prints (RFC 2046, 5.1).

use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;
use tirage_imaging::{Metadata, Position, Print, Prints, Sha256Sum};
use tirage_problem::{Kind, Problem};

/// What the first part says.
#[derive(Serialize)]
struct Description<'p> {
    format: tirage_imaging::Format,
    content_type: &'static str,
    width: u32,
    height: u32,
    sha256: String,
    /// The length of the file.
    bytes: usize,
    metadata: &'p Metadata,
    position: Option<Position>,
    variants: Vec<Variant<'p>>,
}

#[derive(Serialize)]
struct Variant<'p> {
    name: &'p str,
    content_type: &'static str,
    width: u32,
    height: u32,
    bytes: usize,
    sha256: String,
}

/// The pieces of the answer for a file of `bytes` bytes.
pub(crate) fn write(prints: Prints, bytes: usize, boundary: &str) -> Result<Vec<Bytes>, Problem> {
    let description = Description {
        format: prints.metadata.format,
        content_type: prints.metadata.format.media_type(),
        width: prints.metadata.width,
        height: prints.metadata.height,
        sha256: hexadecimal(&prints.sha256),
        bytes,
        metadata: &prints.metadata,
        position: prints.position,
        variants: prints.variants.iter().map(Variant::of).collect(),
    };
    let json = serde_json::to_vec(&description).map_err(|error| {
        eprintln!("cannot write the answer: {error}");
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
    for print in prints.variants {
        parts.push(
            format!(
                "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
                 Content-Disposition: attachment; name=\"{}\"\r\n\r\n",
                print.format.media_type(),
                print.file.len(),
                print.name,
            )
            .into(),
        );
        parts.push(print.file.into());
    }
    parts.push(format!("\r\n--{boundary}--\r\n").into());
    Ok(parts)
}

impl<'p> Variant<'p> {
    fn of(print: &'p Print) -> Self {
        Self {
            name: &print.name,
            content_type: print.format.media_type(),
            width: print.width,
            height: print.height,
            bytes: print.file.len(),
            sha256: hexadecimal(&print.sha256),
        }
    }
}

fn hexadecimal(sum: &Sha256Sum) -> String {
    sum.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to memory doesn't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tirage_imaging::{Limits, print};

    use super::*;

    #[test]
    fn parts_have_their_lengths_and_follow_the_list() {
        // One black pixel.
        let file =
            b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
        let variants =
            tirage_imaging::Variant::parse_all(["b:9:png", "a:9:webp-lossless"]).unwrap();
        let prints = print(file, &variants, &Limits::default()).unwrap();
        let files: Vec<_> = prints
            .variants
            .iter()
            .map(|print| print.file.clone())
            .collect();
        let answer = write(prints, file.len(), "XYZ").unwrap().concat();

        let mut rest = answer.as_slice();
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
