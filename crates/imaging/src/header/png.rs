//! PNG headers: the chunks before the image data.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder};

use crate::error::Error;
use crate::format::Format;
use crate::header::{FormatInfo, Header, METADATA_MAX, pixels};
use crate::limits::Limits;

pub(super) fn read(file: &[u8], limits: &Limits) -> Result<Header, Error> {
    let broken = |error: png::DecodingError| Error::broken(Format::Png, error);
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    let first = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (first.width, first.height);
    // The decoder allocates some rows from here on.
    limits.check_pixels(pixels(width, height, 1))?;
    let lines = u64::from(width) * LINES * PIXEL_MAX;
    limits.check_memory(lines)?;
    let bytes = METADATA_MAX.saturating_add(usize::try_from(lines).unwrap_or(usize::MAX));
    decoder.set_limits(png::Limits { bytes });
    let reader = decoder.read_info().map_err(broken)?;
    let info = reader.info();
    let frames = info
        .animation_control
        .map_or(1, |control| control.num_frames);
    let alpha = info.trns.is_some()
        || matches!(info.color_type, ColorType::Rgba | ColorType::GrayscaleAlpha);
    let colours = match info.color_type {
        ColorType::Grayscale if !alpha => 1,
        ColorType::Rgb | ColorType::Indexed if !alpha => 3,
        _ => 4,
    };
    Ok(Header {
        format: Format::Png,
        width,
        height,
        frames,
        pixels: pixels(width, height, frames),
        alpha,
        bit_depth: match (info.color_type, info.bit_depth) {
            (ColorType::Indexed, _) => 8,
            (_, depth) => depth as u8,
        },
        orientation: None,
        exif: info.exif_metadata.as_deref().map(<[u8]>::to_vec),
        icc: info.icc_profile.as_deref().map(<[u8]>::to_vec),
        info: FormatInfo::Png {
            bytes_per_pixel: if info.bit_depth == BitDepth::Sixteen {
                colours * 2
            } else {
                colours
            },
        },
    })
}

/// Number of rows that the decoder buffers.
const LINES: u64 = 3;
/// Upper bound on the bytes per pixel: four channels of 16 bits.
const PIXEL_MAX: u64 = 8;
