//! PNG decoding. Palettes and low bit depths are expanded; 16 bits per channel are reduced to 8.

use std::io::Cursor;

use png::{ColorType, DecodeOptions, Decoder, Limits, Transformations};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::format::Format;

pub(super) fn decode(file: &[u8]) -> Result<Bitmap, Error> {
    let broken = |error: png::DecodingError| Error::broken(Format::Png, error);
    let incomplete = || Error::broken(Format::Png, "its image data is incomplete");
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    // The header was checked against the limits.
    decoder.set_limits(Limits { bytes: usize::MAX });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(broken)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or_else(incomplete)?];
    let info = reader.next_frame(&mut pixels).map_err(broken)?;
    let (channels, pixels) = match info.color_type {
        ColorType::Grayscale => (Channels::Grey, pixels),
        ColorType::Rgb | ColorType::Indexed => (Channels::Rgb, pixels),
        ColorType::Rgba => (Channels::Rgba, pixels),
        ColorType::GrayscaleAlpha => {
            let (greys, _) = pixels.as_chunks::<2>();
            let pixels = greys.iter().flat_map(|[y, a]| [*y, *y, *y, *a]).collect();
            (Channels::Rgba, pixels)
        }
    };
    Bitmap::new(info.width, info.height, channels, pixels).ok_or_else(incomplete)
}
