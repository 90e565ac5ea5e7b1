//! Pixels out of files.
//!
//! JPEG is made as small as is wanted while it is decoded. Others come out whole.

mod avif;
mod gif;
mod jpeg;
mod png;
mod webp;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::header::jpeg::Frame;
use crate::header::{Header, Layout};

/// How a picture will be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// By what its blocks are made smaller meanwhile: 1, 2, 4 or 8.
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
        let with_alpha = if header.alpha {
            Channels::Rgba
        } else {
            Channels::Rgb
        };
        let stored = u64::from(header.width) * u64::from(header.height);
        let whole = |channels, bytes_per_pixel| Self {
            reduction: 1,
            width: header.width,
            height: header.height,
            channels,
            memory: stored * bytes_per_pixel,
        };
        let bytes = with_alpha.count() as u64;
        match &header.layout {
            Layout::Jpeg(frame) => Self::of_jpeg(header, frame, width, height),
            Layout::Png { bytes_per_pixel } => whole(with_alpha, (*bytes_per_pixel).into()),
            Layout::WebP { lossy } => whole(with_alpha, bytes + if *lossy { 3 } else { 4 }),
            Layout::Gif => whole(Channels::Rgba, 5),
            // Colours and opacity, each decoded and filtered, with what the decoder remembers.
            Layout::Avif(_) => whole(
                with_alpha,
                bytes + if header.bit_depth > 8 { 16 } else { 8 },
            ),
        }
    }

    fn of_jpeg(header: &Header, frame: &Frame, width: u32, height: u32) -> Self {
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

/// The pixels of a file; of an animation, its first frame. Turned and coloured as they are stored.
///
/// # Errors
/// When the file is broken, or uses what isn't supported.
pub(crate) fn decode(file: &[u8], header: &Header, plan: Plan) -> Result<Bitmap, Error> {
    match &header.layout {
        Layout::Jpeg(frame) => jpeg::decode(file, frame, (header.width, header.height), plan),
        Layout::Png { .. } => png::decode(file),
        Layout::WebP { .. } => webp::decode(file),
        Layout::Gif => gif::decode(file),
        Layout::Avif(item) => avif::decode(item, header),
    }
}
