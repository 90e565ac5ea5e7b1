//! Parser of `multipart/mixed` (RFC 2046, section 5.1).
//!
//! A body without its closing boundary is truncated and refused, so that half an output is never taken for
//! a whole one.

use bytes::Bytes;
use memchr::memmem;

/// Parses the boundary in a content type.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';');
    if !parameters
        .next()?
        .trim()
        .eq_ignore_ascii_case("multipart/mixed")
    {
        return None;
    }
    let boundary = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Splits a body into the contents of its parts, without their headers; `None` if the body is truncated.
pub(crate) fn split(body: &Bytes, boundary: &str) -> Option<Vec<Bytes>> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter may begin the body, without a line break before it.
    let first = delimiter.trim_start().as_bytes();
    let mut position = match body.starts_with(first) {
        true => first.len(),
        false => finder.find(body)? + delimiter.len(),
    };
    let mut parts = Vec::new();
    loop {
        let rest = body.get(position..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let end = position + finder.find(rest)?;
        parts.push(content(&body.slice(position..end))?);
        position = end + delimiter.len();
    }
}

/// Content of a part. The part begins after its boundary: rest of that line, headers, empty line, content.
fn content(part: &Bytes) -> Option<Bytes> {
    // Without headers, the line break of the boundary is the first half of the empty line.
    let begin = memmem::find(part, b"\r\n\r\n")? + 4;
    Some(part.slice(begin..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(body: &'static str) -> Option<Vec<Bytes>> {
        split(&Bytes::from_static(body.as_bytes()), "b")
    }

    #[test]
    fn the_content_type_has_the_boundary() {
        assert_eq!(boundary("multipart/mixed; boundary=abc").unwrap(), "abc");
        assert_eq!(
            boundary("Multipart/Mixed; x=y; Boundary=\"a b\"").unwrap(),
            "a b"
        );
        for none in [
            "multipart/form-data; boundary=a",
            "multipart/mixed",
            "multipart/mixed; boundary=",
        ] {
            assert_eq!(boundary(none), None, "{none}");
        }
    }

    #[test]
    fn parts_are_separated_by_boundaries() {
        let parts = split_text(
            "--b\r\nContent-Type: a/b\r\n\r\none\r\n--b\r\n\r\n\r\n--b\r\nX: y\r\n\r\ntwo\r\nlines\r\n--b--\r\n",
        );
        assert_eq!(parts.unwrap(), ["one", "", "two\r\nlines"]);
        assert_eq!(
            split_text("preamble\r\n--b--").unwrap(),
            Vec::<Bytes>::new()
        );
    }

    #[test]
    fn a_truncated_body_is_refused() {
        let whole = "--b\r\nA: b\r\n\r\none\r\n--b--";
        assert!(split_text(whole).is_some());
        for length in 0..whole.len() {
            let cut = whole.get(..length).unwrap();
            assert_eq!(
                split(&Bytes::from_static(cut.as_bytes()), "b"),
                None,
                "{cut:?}"
            );
        }
    }
}
