//! Detection of a file's format from its first bytes. File names and declared media types are ignored.

use std::fmt;

use serde::Serialize;

use crate::error::Error;

/// A supported image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG (ITU-T T.81, T.871).
    Jpeg,
    /// PNG (<https://www.w3.org/TR/png-3/>).
    Png,
    /// WebP (RFC 9649).
    WebP,
    /// GIF (<https://www.w3.org/Graphics/GIF/spec-gif89a.txt>).
    Gif,
    /// AVIF (<https://aomediacodec.github.io/av1-avif/>).
    Avif,
}

/// A format that is recognised, so that the error can name it, but not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsupportedFormat {
    /// HEIC and its variants: HEVC in ISO/IEC 23008-12.
    Heic,
    /// JPEG XL (ISO/IEC 18181).
    JpegXl,
    /// JPEG 2000 (ITU-T T.800).
    Jpeg2000,
    /// TIFF, and raw formats based on it.
    Tiff,
    /// Scalable Vector Graphics.
    Svg,
    /// PDF.
    Pdf,
    /// MP4, QuickTime and other ISO base media files.
    Mp4,
    /// Windows bitmaps.
    Bmp,
}

impl Format {
    /// Detects the format of a file from its first bytes.
    ///
    /// # Errors
    /// [`Error::UnsupportedFormat`] for a recognised format that isn't supported, [`Error::NotAnImage`] for
    /// any other.
    pub fn detect(file: &[u8]) -> Result<Self, Error> {
        match file {
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Self::Png),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Ok(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Self::Gif),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => detect_isobmff(file),
            _ => {
                Err(UnsupportedFormat::detect(file)
                    .map_or(Error::NotAnImage, Error::UnsupportedFormat))
            }
        }
    }

    /// Media type (<https://www.iana.org/assignments/media-types>).
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
        }
    }
}

impl UnsupportedFormat {
    fn detect(file: &[u8]) -> Option<Self> {
        match file {
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some(Self::JpegXl),
            [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
                Some(Self::Jpeg2000)
            }
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Self::Bmp),
            _ if is_svg(file) => Some(Self::Svg),
            _ => None,
        }
    }
}

/// Detects the format of an ISO base media file (ISO/IEC 14496-12, 4.3) by its major and compatible brands.
fn detect_isobmff(file: &[u8]) -> Result<Format, Error> {
    const HEIF: [&[u8]; 10] = [
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    ];
    let length = file
        .first_chunk()
        .map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let content = file.get(8..length.min(file.len())).unwrap_or_default();
    let brands = || content.chunks_exact(4);
    if brands().any(|brand| brand == b"avif" || brand == b"avis") {
        Ok(Format::Avif)
    } else if brands().any(|brand| HEIF.contains(&brand)) {
        Err(Error::UnsupportedFormat(UnsupportedFormat::Heic))
    } else {
        Err(Error::UnsupportedFormat(UnsupportedFormat::Mp4))
    }
}

/// `true` if a text starts with the element `svg`, after an optional XML declaration, comments and doctype.
fn is_svg(file: &[u8]) -> bool {
    const SVG_PREFIX_BYTES: usize = 4096;
    let start = &file[..file.len().min(SVG_PREFIX_BYTES)];
    let start = String::from_utf8_lossy(start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start));
    let start = start.trim_start();
    start.starts_with("<svg")
        || ((start.starts_with("<?xml") || start.starts_with("<!")) && start.contains("<svg"))
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
        })
    }
}

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Heic => "HEIC",
            Self::JpegXl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Tiff => "TIFF",
            Self::Svg => "SVG",
            Self::Pdf => "PDF",
            Self::Mp4 => "MP4",
            Self::Bmp => "BMP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_detected_by_their_first_bytes() {
        for (start, format) in [
            (&b"\xff\xd8\xff\xe0"[..], Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0", Format::Png),
            (b"RIFF\0\0\0\0WEBPVP8 ", Format::WebP),
            (b"GIF89a\x01\0", Format::Gif),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", Format::Avif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", Format::Avif),
        ] {
            assert_eq!(Format::detect(start), Ok(format));
        }
    }

    #[test]
    fn unsupported_formats_are_named() {
        for (start, foreign) in [
            (
                &b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..],
                UnsupportedFormat::Heic,
            ),
            (
                b"\0\0\0\x18ftypisom\0\0\0\0mp41avc1",
                UnsupportedFormat::Mp4,
            ),
            (b"\xff\x0a\0\0", UnsupportedFormat::JpegXl),
            (b"\0\0\0\x0cJXL \r\n\x87\n", UnsupportedFormat::JpegXl),
            (b"II*\0\x08\0\0\0", UnsupportedFormat::Tiff),
            (b"MM\0*\0\0\0\x08", UnsupportedFormat::Tiff),
            (b"%PDF-1.7", UnsupportedFormat::Pdf),
            (b"\xef\xbb\xbf <svg xmlns=''>", UnsupportedFormat::Svg),
            (
                b"<?xml version='1.0'?>\n<!-- x --><svg>",
                UnsupportedFormat::Svg,
            ),
        ] {
            let error = Format::detect(start).unwrap_err();
            assert_eq!(error, Error::UnsupportedFormat(foreign));
            assert!(error.to_string().ends_with("is not supported yet"));
        }
        for start in [
            &b""[..],
            b"\xff\xd8",
            b"hello",
            b"<?xml?><html>",
            b"\0\0\0\x18ft",
        ] {
            assert_eq!(Format::detect(start), Err(Error::NotAnImage));
        }
    }
}
