//! WebP decoding, lossy and lossless. Of an animation, the first frame.

use std::io::Cursor;

use image_webp::WebPDecoder;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::format::Format;

pub(super) fn decode(file: &[u8]) -> Result<Bitmap, Error> {
    let broken = |error: image_webp::DecodingError| Error::broken(Format::WebP, error);
    let incomplete = || Error::broken(Format::WebP, "its image data is incomplete");
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or_else(incomplete)?];
    decoder.read_image(&mut pixels).map_err(broken)?;
    let channels = if decoder.has_alpha() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    Bitmap::new(width, height, channels, pixels).ok_or_else(incomplete)
}
