//! What a file is, by its first bytes.

/// How many bytes are looked at. A tar's mark, the last of those that are known, ends before this.
pub(super) const LOOKED_AT: u16 = 512;

/// What the bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// `photo`, `document`, `video` or `other`.
    pub(super) kind: &'static str,
    /// The media type (RFC 6838).
    pub(super) content_type: &'static str,
}

impl Signature {
    /// What a file is that begins like this.
    pub(super) fn of(start: &[u8]) -> Self {
        if is_svg(start) {
            return Self {
                kind: "document",
                content_type: "image/svg+xml",
            };
        }
        let Some(found) = infer::get(start) else {
            return Self {
                kind: "other",
                content_type: "application/octet-stream",
            };
        };
        let kind = match found.matcher_type() {
            infer::MatcherType::Image => "photo",
            infer::MatcherType::Video => "video",
            infer::MatcherType::Doc => "document",
            _ if found.mime_type() == "application/pdf" => "document",
            _ => "other",
        };
        Self {
            kind,
            content_type: found.mime_type(),
        }
    }
}

/// SVG has no magic number: it is text with this element first, after XML's preliminaries.
fn is_svg(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_begin_with() {
        // 24 bytes: length, `ftyp`, brand, version, compatible brands.
        let isobmff =
            |brand: &[u8; 4]| [b"\0\0\0\x18ftyp", &brand[..], b"\0\0\0\0", brand, b"mif1"].concat();
        for (start, kind, content_type) in [
            (
                b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(),
                "photo",
                "image/jpeg",
            ),
            (
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
                "photo",
                "image/png",
            ),
            (b"RIFF\0\0\0\0WEBPVP8 ".to_vec(), "photo", "image/webp"),
            (b"GIF89a".to_vec(), "photo", "image/gif"),
            (isobmff(b"avif"), "photo", "image/avif"),
            (isobmff(b"heic"), "photo", "image/heif"),
            (isobmff(b"mp42"), "video", "video/mp4"),
            (b"%PDF-1.7".to_vec(), "document", "application/pdf"),
            (
                b"<?xml version='1.0'?>\n<svg xmlns=''>".to_vec(),
                "document",
                "image/svg+xml",
            ),
            (b"PK\x03\x04".to_vec(), "other", "application/zip"),
            (b"hello".to_vec(), "other", "application/octet-stream"),
            (Vec::new(), "other", "application/octet-stream"),
        ] {
            let expected = Signature { kind, content_type };
            assert_eq!(Signature::of(&start), expected, "{content_type}");
        }
    }
}
