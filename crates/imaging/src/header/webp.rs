//! WebP headers: the chunks of the RIFF container (RFC 9649, 2).

use std::io::Cursor;

use image_webp::WebPDecoder;

use crate::error::Error;
use crate::format::Format;
use crate::header::{FormatInfo, Header, METADATA_MAX, pixels};

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let mut decoder =
        WebPDecoder::new(Cursor::new(file)).map_err(|error| Error::broken(Format::WebP, error))?;
    decoder.set_memory_limit(METADATA_MAX);
    let (width, height) = decoder.dimensions();
    let frames = if decoder.is_animated() {
        decoder.num_frames()
    } else {
        1
    };
    Ok(Header {
        format: Format::WebP,
        width,
        height,
        frames,
        pixels: pixels(width, height, frames),
        alpha: decoder.has_alpha(),
        bit_depth: 8,
        orientation: None,
        exif: decoder.exif_metadata().ok().flatten(),
        icc: decoder.icc_profile().ok().flatten(),
        info: FormatInfo::WebP {
            lossy: decoder.is_lossy(),
        },
    })
}
