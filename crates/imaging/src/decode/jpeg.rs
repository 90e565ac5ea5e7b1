//! JPEG.

use std::io::Cursor;

use jpeg_decoder::{Decoder, PixelFormat};

use crate::bitmap::{Bitmap, Channels};
use crate::decode::Plan;
use crate::error::Error;
use crate::format::Format;
use crate::header::jpeg::Frame;

pub(super) fn decode(file: &[u8], frame: &Frame, plan: Plan) -> Result<Bitmap, Error> {
    let broken = |error: jpeg_decoder::Error| Error::broken(Format::Jpeg, error);
    let mut decoder = Decoder::new(Cursor::new(file));
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let (width, height) = decoder
        .scale(side(plan.width), side(plan.height))
        .map_err(broken)?;
    let mut pixels = decoder.decode().map_err(broken)?;
    let channels = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => Channels::Grey,
        Some(PixelFormat::CMYK32) => Channels::Cmyk,
        _ => Channels::Rgb,
    };
    // The decoder takes inks for inverted, as Adobe writes them; others don't.
    if channels == Channels::Cmyk && frame.adobe_transform.is_none() {
        for ink in &mut pixels {
            *ink = !*ink;
        }
    }
    Bitmap::new(width.into(), height.into(), channels, pixels)
        .ok_or_else(|| Error::broken(Format::Jpeg, "its pixels are incomplete"))
}

/// The memory that decoding takes.
pub(super) fn memory(frame: &Frame, stored: u64, out: u64) -> u64 {
    // Planes, and the pixels that are put together from them.
    let pixels = frame.samples(out) + out * frame.components.len() as u64;
    if frame.progressive {
        // All coefficients, of two bytes each.
        pixels + frame.samples(stored) * 2
    } else {
        pixels
    }
}
