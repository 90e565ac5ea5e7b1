//! PNG's chunks up to the pixels.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits};

use crate::error::Error;
use crate::format::Format;
use crate::header::{Header, Layout, METADATA_MAX, pixels};

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let broken = |error: png::DecodingError| Error::broken(Format::Png, error);
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    // A line of pixels counts as well; which lines are too long is for our own limits to say.
    decoder.set_limits(Limits {
        bytes: METADATA_MAX + LINE_MAX,
    });
    // Before what follows, which takes memory for a line.
    let first = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (first.width, first.height);
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
        layout: Layout::Png {
            bytes_per_pixel: if info.bit_depth == BitDepth::Sixteen {
                colours * 2
            } else {
                colours
            },
        },
    })
}

/// The longest line of pixels that can stand within the limit on pixels: one of 2³¹ pixels can't.
const LINE_MAX: usize = 1 << 30;
