//! Format of a file, by its first bytes, and the task that the format needs.

use tirage_jobs::Kind as TaskKind;
use tirage_problem::{Kind as ProblemKind, Problem};

/// Number of bytes that are examined. The signature at the highest offset, that of tar, ends before it.
pub(super) const START_LENGTH: u16 = 512;

/// Content types that a step reads, with the task for that step. A new step is a new line.
const TASKS: &[(&str, TaskKind)] = &[
    ("image/avif", TaskKind::Photo),
    ("image/gif", TaskKind::Photo),
    ("image/jpeg", TaskKind::Photo),
    ("image/png", TaskKind::Photo),
    ("image/webp", TaskKind::Photo),
];

/// The content types of [`TASKS`], for people.
const READABLE: &str = "JPEG, PNG, WebP, GIF and AVIF images can be read";

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) kind: MediaKind,
    /// Content type (RFC 6838).
    pub(super) content_type: &'static str,
}

/// Kind of a media item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaKind {
    Photo,
    Document,
    Video,
    Other,
}

impl MediaKind {
    pub(super) const ALL: [Self; 4] = [Self::Photo, Self::Document, Self::Video, Self::Other];

    /// Name in JSON and in the database.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Document => "document",
            Self::Video => "video",
            Self::Other => "other",
        }
    }
}

impl Signature {
    /// Recognises a file by its first [`START_LENGTH`] bytes.
    pub(super) fn of(start: &[u8]) -> Self {
        let of = |kind, content_type| Self { kind, content_type };
        if is_svg(start) {
            return of(MediaKind::Document, "image/svg+xml");
        }
        if is_avif(start) {
            return of(MediaKind::Photo, "image/avif");
        }
        let Some(found) = infer::get(start) else {
            return of(MediaKind::Other, UNKNOWN);
        };
        let kind = match found.matcher_type() {
            infer::MatcherType::Image => MediaKind::Photo,
            infer::MatcherType::Video => MediaKind::Video,
            infer::MatcherType::Doc => MediaKind::Document,
            _ if found.mime_type() == "application/pdf" => MediaKind::Document,
            _ => MediaKind::Other,
        };
        of(kind, found.mime_type())
    }

    /// The task that this format needs.
    ///
    /// # Errors
    /// The problem to record on the media item, if no step reads the format.
    pub(super) fn task(self) -> Result<TaskKind, Problem> {
        let task = TASKS
            .iter()
            .find(|(content_type, _)| *content_type == self.content_type);
        if let Some((_, task)) = task {
            return Ok(*task);
        }
        let detail = match self.content_type {
            UNKNOWN => format!("The format of this file is unknown. {READABLE}."),
            "image/heif" => format!("HEIC images are not read yet. {READABLE}."),
            content_type => format!("Files of type {content_type} are not read yet. {READABLE}."),
        };
        Err(Problem::new(ProblemKind::UNSUPPORTED_FORMAT).detail(detail))
    }
}

/// Content type of a file that no signature matches.
const UNKNOWN: &str = "application/octet-stream";

/// `true` for a document whose first element is `svg`. SVG has no magic number.
fn is_svg(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"))
}

/// `true` for an ISOBMFF file (ISO/IEC 14496-12) with a brand of AVIF, major or compatible. `infer` misses
/// the file if it also has a brand of HEIC, or more brands than fit into `start`.
fn is_avif(start: &[u8]) -> bool {
    let Some((length, rest)) = start.split_first_chunk() else {
        return false;
    };
    let end = (u32::from_be_bytes(*length) as usize).min(start.len());
    let brands = start.get(8..end).unwrap_or_default().chunks_exact(4);
    rest.starts_with(b"ftyp")
        && brands
            .into_iter()
            .any(|brand| brand == b"avif" || brand == b"avis")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box `ftyp`: length, type, major brand, version, compatible brands.
    fn ftyp(major: &[u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
        let length = u32::try_from(16 + 4 * compatible.len()).unwrap();
        let mut start = length.to_be_bytes().to_vec();
        start.extend_from_slice(b"ftyp");
        start.extend_from_slice(major);
        start.extend_from_slice(&[0; 4]);
        for brand in compatible {
            start.extend_from_slice(*brand);
        }
        start
    }

    #[test]
    fn each_format_has_its_kind_and_task() {
        use MediaKind::{Document, Other, Photo, Video};
        let many = [b"mif1"; 200];
        for (start, kind, content_type, is_read) in [
            (
                b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(),
                Photo,
                "image/jpeg",
                true,
            ),
            (b"\xff\xd8\xff".to_vec(), Photo, "image/jpeg", true),
            (
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
                Photo,
                "image/png",
                true,
            ),
            (b"RIFF\0\0\0\0WEBPVP8 ".to_vec(), Photo, "image/webp", true),
            (b"GIF87a".to_vec(), Photo, "image/gif", true),
            (b"GIF89a".to_vec(), Photo, "image/gif", true),
            (ftyp(b"avif", &[b"mif1"]), Photo, "image/avif", true),
            (ftyp(b"avis", &[b"msf1"]), Photo, "image/avif", true),
            (
                ftyp(b"mif1", &[b"heic", b"avif"]),
                Photo,
                "image/avif",
                true,
            ),
            (
                ftyp(b"avif", &many)[..512].to_vec(),
                Photo,
                "image/avif",
                true,
            ),
            (ftyp(b"heic", &[b"mif1"]), Photo, "image/heif", false),
            (
                b"\0\0\0\x0cJXL \r\n\x87\n\0".to_vec(),
                Photo,
                "image/jxl",
                false,
            ),
            (b"II*\0\x08\0\0\0\0\0".to_vec(), Photo, "image/tiff", false),
            (ftyp(b"mp42", &[b"mp42"]), Video, "video/mp4", false),
            (b"%PDF-1.7".to_vec(), Document, "application/pdf", false),
            (
                b"<?xml version='1.0'?>\n<svg xmlns=''>".to_vec(),
                Document,
                "image/svg+xml",
                false,
            ),
            (b"PK\x03\x04".to_vec(), Other, "application/zip", false),
            // A JPEG after other bytes is not a JPEG.
            (
                b"\0\xff\xd8\xff\xe0\0\x10JFIF".to_vec(),
                Other,
                UNKNOWN,
                false,
            ),
            (b"hello".to_vec(), Other, UNKNOWN, false),
            (b"\0\0\0\x18".to_vec(), Other, UNKNOWN, false),
            (Vec::new(), Other, UNKNOWN, false),
        ] {
            let signature = Signature::of(&start);
            assert_eq!(signature, Signature { kind, content_type }, "{start:?}");
            assert_eq!(signature.task().is_ok(), is_read, "{content_type}");
        }
    }

    /// The step must get every file that it can read.
    #[test]
    fn every_format_of_the_photo_step_needs_the_photo_task() {
        for start in [
            b"\xff\xd8\xff".to_vec(),
            b"\x89PNG\r\n\x1a\n".to_vec(),
            b"RIFF\xff\xff\xff\xffWEBP".to_vec(),
            b"GIF87a".to_vec(),
            b"GIF89a".to_vec(),
            ftyp(b"avif", &[]),
            ftyp(b"avis", &[]),
            ftyp(b"mif1", &[b"avif"]),
            ftyp(b"heic", &[b"avif"]),
            ftyp(b"mp42", &[b"isom", b"avis"]),
        ] {
            let format = tirage_imaging::Format::detect(&start).unwrap();
            let signature = Signature::of(&start);
            assert_eq!(signature.content_type, format.media_type());
            assert_eq!(signature.task().unwrap(), TaskKind::Photo, "{start:?}");
        }
    }

    #[test]
    fn the_failure_says_what_can_be_read() {
        let detail = |start: &[u8]| {
            let problem = Signature::of(start).task().unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::UNSUPPORTED_FORMAT);
            problem.to_document()["detail"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            detail(&ftyp(b"heic", &[b"mif1"])),
            "HEIC images are not read yet. JPEG, PNG, WebP, GIF and AVIF images can be read."
        );
        assert!(
            detail(b"%PDF-1.7").starts_with("Files of type application/pdf are not read yet. ")
        );
        assert!(detail(b"hello").starts_with("The format of this file is unknown. "));
    }
}
