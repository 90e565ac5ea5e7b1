//! Parsing of headers: everything that is known about an image before its pixels are decoded.
//!
//! The header is enough to check the limits, to describe the image and to plan its decoding. Parsing never
//! allocates memory in proportion to what a header claims.

pub(crate) mod avif;
mod gif;
mod isobmff;
pub(crate) mod jpeg;
mod png;
mod webp;

use crate::error::Error;
use crate::format::Format;
use crate::limits::Limits;
use crate::orientation::Orientation;

/// Properties of an image.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    /// Width in pixels as stored, before the orientation is applied.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Number of frames; 1 unless the image is an animation.
    pub(crate) frames: u32,
    /// Number of pixels of all frames.
    pub(crate) pixels: u64,
    /// `true` if the image has an alpha channel or transparent colours.
    pub(crate) alpha: bool,
    /// Bits per channel.
    pub(crate) bit_depth: u8,
    /// Orientation from the container (AVIF). If absent, EXIF's applies.
    pub(crate) orientation: Option<Orientation>,
    /// EXIF as a TIFF structure (CIPA DC-008, 4.5.2).
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) icc: Option<Vec<u8>>,
    pub(crate) info: FormatInfo,
}

/// Properties that only the format's own decoder needs.
#[derive(Debug)]
pub(crate) enum FormatInfo {
    Jpeg(jpeg::Frame),
    Png { bytes_per_pixel: u8 },
    WebP { lossy: bool },
    Gif,
    Avif(avif::AvifImage),
}

impl Header {
    /// Parses the header of a file.
    ///
    /// # Errors
    /// If the file isn't a supported image, is broken, or has more pixels than the limit.
    pub(crate) fn read(file: &[u8], limits: &Limits) -> Result<Self, Error> {
        let format = Format::detect(file)?;
        let header = match format {
            Format::Jpeg => jpeg::read(file),
            Format::Png => png::read(file, limits),
            Format::WebP => webp::read(file),
            Format::Gif => gif::read(file),
            Format::Avif => avif::read(file),
        }?;
        if header.width == 0 || header.height == 0 {
            return Err(Error::broken(format, "its width or height is 0"));
        }
        limits.check_pixels(header.pixels)?;
        Ok(header)
    }
}

/// Number of pixels of all frames.
fn pixels(width: u32, height: u32, frames: u32) -> u64 {
    (u64::from(width) * u64::from(height)).saturating_mul(u64::from(frames.max(1)))
}

/// Upper bound on the length of a colour profile or EXIF, in bytes.
const METADATA_MAX: usize = 8 << 20;
