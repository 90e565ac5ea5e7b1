//! Decoding of every supported format into a [`Bitmap`].
//!
//! JPEG is scaled to the requested size while it is decoded. The other formats are decoded at full size.

mod avif;
mod gif;
mod jpeg;
mod png;
mod webp;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::header::jpeg::Frame;
use crate::header::{FormatInfo, Header};

/// Parameters and cost of decoding an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Denominator of the DCT scaling of JPEG: 1, 2, 4 or 8. Always 1 for other formats.
    pub(crate) reduction: u32,
    /// Width of the decoded image in pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: Channels,
    /// Upper bound on the memory for decoding in bytes, including the result.
    pub(crate) memory: u64,
}

impl Plan {
    /// Plans the decoding of an image whose largest variant has `width` by `height` pixels, before the
    /// orientation is applied.
    pub(crate) fn new(header: &Header, width: u32, height: u32) -> Self {
        let with_alpha = if header.alpha {
            Channels::Rgba
        } else {
            Channels::Rgb
        };
        let stored = u64::from(header.width) * u64::from(header.height);
        let full_size = |channels, bytes_per_pixel| Self {
            reduction: 1,
            width: header.width,
            height: header.height,
            channels,
            memory: stored * bytes_per_pixel,
        };
        let bytes = with_alpha.count() as u64;
        match &header.info {
            FormatInfo::Jpeg(frame) => Self::for_jpeg(header, frame, width, height),
            FormatInfo::Png { bytes_per_pixel } => full_size(with_alpha, (*bytes_per_pixel).into()),
            FormatInfo::WebP { lossy } => full_size(with_alpha, bytes + if *lossy { 3 } else { 4 }),
            FormatInfo::Gif => full_size(Channels::Rgba, 5),
            // Colour and alpha, each decoded and filtered, with the decoder's reference frames.
            FormatInfo::Avif(_) => full_size(
                with_alpha,
                bytes + if header.bit_depth > 8 { 16 } else { 8 },
            ),
        }
    }

    fn for_jpeg(header: &Header, frame: &Frame, width: u32, height: u32) -> Self {
        let is_enough = |reduction: &u32| {
            header.width / reduction >= width && header.height / reduction >= height
        };
        let plan = Self {
            reduction: [8, 4, 2].into_iter().find(is_enough).unwrap_or(1),
            width,
            height,
            channels: match frame.components.len() {
                1 => Channels::Grey,
                4 => Channels::Cmyk,
                _ => Channels::Rgb,
            },
            memory: 0,
        };
        Self {
            memory: jpeg::memory(frame, (header.width, header.height), plan),
            ..plan
        }
    }
}

/// Decodes the image, or the first frame of an animation. Neither orientation nor colour profile is
/// applied.
///
/// # Errors
/// If the file is broken or uses an unsupported feature.
pub(crate) fn decode(file: &[u8], header: &Header, plan: Plan) -> Result<Bitmap, Error> {
    match &header.info {
        FormatInfo::Jpeg(frame) => jpeg::decode(file, frame, (header.width, header.height), plan),
        FormatInfo::Png { .. } => png::decode(file),
        FormatInfo::WebP { .. } => webp::decode(file),
        FormatInfo::Gif => gif::decode(file),
        FormatInfo::Avif(image) => avif::decode(image, header),
    }
}
