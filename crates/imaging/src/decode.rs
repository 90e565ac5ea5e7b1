//! Pixels out of files.
//!
//! JPEG is made smaller while it is decoded, where that is enough for what is wanted: by 2, 4 or 8, as
//! long as no side becomes shorter than wanted.

mod avif;
mod gif;
mod jpeg;
mod png;
mod webp;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::header::{Header, Layout};

/// How a picture will be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// By what it is made smaller meanwhile: 1, 2, 4 or 8.
    pub(crate) reduction: u32,
    /// What comes out.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: Channels,
    /// The memory that decoding takes, in bytes, what comes out included.
    pub(crate) memory: u64,
}

impl Plan {
    /// How to decode a picture of which a print of `width` by `height` pixels, as stored, is the largest
    /// wanted.
    pub(crate) fn new(header: &Header, width: u32, height: u32) -> Self {
        let reduction = match header.layout {
            // The decoder reduces all planes alike, and colours are stored at half size as a rule: where it
            // reduces much, twice the size is left for them. (libvips leaves as much, for the filter.)
            Layout::Jpeg(_) => [(8, 2), (4, 2), (2, 1)]
                .into_iter()
                .find(|(reduction, left)| {
                    header.width / reduction >= width * left
                        && header.height / reduction >= height * left
                })
                .map_or(1, |(reduction, _)| reduction),
            _ => 1,
        };
        let stored = u64::from(header.width) * u64::from(header.height);
        let (out_width, out_height) = (
            header.width.div_ceil(reduction),
            header.height.div_ceil(reduction),
        );
        let out = u64::from(out_width) * u64::from(out_height);
        let (channels, memory) = match &header.layout {
            Layout::Jpeg(frame) => {
                let channels = match frame.components.len() {
                    1 => Channels::Grey,
                    4 => Channels::Cmyk,
                    _ => Channels::Rgb,
                };
                (channels, jpeg::memory(frame, stored, out))
            }
            Layout::Png { bytes_per_pixel } => (
                if header.alpha {
                    Channels::Rgba
                } else {
                    Channels::Rgb
                },
                stored * u64::from(*bytes_per_pixel),
            ),
            Layout::WebP { lossy } => {
                let channels = if header.alpha {
                    Channels::Rgba
                } else {
                    Channels::Rgb
                };
                let planes = if *lossy { 3 } else { 4 };
                (channels, stored * (channels.count() as u64 + planes))
            }
            Layout::Gif => (Channels::Rgba, stored * 5),
            Layout::Avif(_) => {
                let channels = if header.alpha {
                    Channels::Rgba
                } else {
                    Channels::Rgb
                };
                // Colours and opacity, each decoded and filtered, with what the decoder remembers.
                let sample = if header.bit_depth > 8 { 2 } else { 1 };
                (channels, stored * (channels.count() as u64 + 8 * sample))
            }
        };
        Self {
            reduction,
            width: out_width,
            height: out_height,
            channels,
            memory,
        }
    }
}

/// The pixels of a file; of an animation, its first frame. Turned and coloured as they are stored.
///
/// # Errors
/// When the file is broken, or uses what isn't supported.
pub(crate) fn decode(file: &[u8], header: &Header, plan: Plan) -> Result<Bitmap, Error> {
    match &header.layout {
        Layout::Jpeg(frame) => jpeg::decode(file, frame, plan),
        Layout::Png { .. } => png::decode(file),
        Layout::WebP { .. } => webp::decode(file),
        Layout::Gif => gif::decode(file),
        Layout::Avif(item) => avif::decode(item, header),
    }
}
