//! What a picture says about itself before its pixels: enough to refuse it, to describe it, and to plan
//! its prints. Nothing here takes memory in proportion to what a header claims.

pub(crate) mod avif;
mod gif;
pub(crate) mod jpeg;
mod png;
mod webp;

use crate::error::Error;
use crate::format::Format;
use crate::limits::Limits;
use crate::orientation::Orientation;

/// What a picture says about itself.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    /// As it is stored, in pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 1 unless it is an animation.
    pub(crate) frames: u32,
    /// Of all frames together.
    pub(crate) pixels: u64,
    /// Whether it can have transparency.
    pub(crate) alpha: bool,
    /// Bits of each channel of a pixel.
    pub(crate) bit_depth: u8,
    /// Set where the container says it; otherwise EXIF does.
    pub(crate) orientation: Option<Orientation>,
    /// A TIFF structure (CIPA DC-008, 4.5.2).
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) icc: Option<Vec<u8>>,
    pub(crate) layout: Layout,
}

/// What the formats say that only their own decoder needs.
#[derive(Debug)]
pub(crate) enum Layout {
    Jpeg(jpeg::Frame),
    Png { bytes_per_pixel: u8 },
    WebP { lossy: bool },
    Gif,
    Avif(avif::Item),
}

impl Header {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When the file is no picture, of no format that is read, broken, or has too many pixels.
    pub(crate) fn read(file: &[u8], limits: &Limits) -> Result<Self, Error> {
        let format = Format::of(file)?;
        let header = match format {
            Format::Jpeg => jpeg::read(file),
            Format::Png => png::read(file, limits),
            Format::WebP => webp::read(file),
            Format::Gif => gif::read(file),
            Format::Avif => avif::read(file),
        }?;
        if header.width == 0 || header.height == 0 {
            return Err(Error::broken(format, "it has no pixels"));
        }
        limits.check_pixels(header.pixels)?;
        Ok(header)
    }
}

/// The pixels of that many frames of this size.
fn pixels(width: u32, height: u32, frames: u32) -> u64 {
    (u64::from(width) * u64::from(height)).saturating_mul(u64::from(frames.max(1)))
}

/// The longest profile or EXIF that is looked at, in bytes.
const METADATA_MAX: usize = 8 << 20;
