//! Encoding of a [`Bitmap`] as JPEG, PNG or WebP. Files contain only the image: no EXIF, profile or
//! comment.

mod jpeg;

use std::io::Cursor;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::variant_spec::Encoding;

/// Encodes the image.
///
/// # Errors
/// [`Error::Encoder`] if the encoder fails. Images within
/// [`VariantSpec::LONG_SIDE_MAX`](crate::VariantSpec::LONG_SIDE_MAX) don't cause that.
pub(crate) fn encode(bitmap: &Bitmap, encoding: Encoding) -> Result<Vec<u8>, Error> {
    match encoding {
        Encoding::Jpeg { quality } => jpeg::encode(bitmap, quality),
        Encoding::Png => png(bitmap),
        Encoding::WebP { quality } => webp(bitmap, quality),
        Encoding::WebPLossless => webp_lossless(bitmap),
    }
}

/// Upper bounds on the memory of encoding, in bytes per pixel: while encoding, and of the file.
///
/// They hold for noise, the worst case for every codec; photos need a fraction.
pub(crate) fn memory_per_pixel(encoding: Encoding) -> (u64, u64) {
    match encoding {
        // Coefficients take two bytes, and tokens four: they are counted before they are written.
        Encoding::Jpeg { quality } if jpeg::has_full_chroma(quality) => (27, 3),
        Encoding::Jpeg { .. } => (10, 1),
        Encoding::WebP { .. } => (8, 2),
        Encoding::Png | Encoding::WebPLossless => (8, 4),
    }
}

fn failed(error: impl ToString) -> Error {
    Error::Encoder(error.to_string())
}

fn png(bitmap: &Bitmap) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut file), bitmap.width(), bitmap.height());
    encoder.set_color(match bitmap.channels() {
        Channels::Grey => png::ColorType::Grayscale,
        Channels::Rgb => png::ColorType::Rgb,
        Channels::Rgba | Channels::Cmyk => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(bitmap.pixels()).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

fn webp(bitmap: &Bitmap, quality: u8) -> Result<Vec<u8>, Error> {
    let config = zenwebp::EncoderConfig::new()
        .quality(quality.into())
        .method(WEBP_METHOD);
    let (width, height) = (bitmap.width(), bitmap.height());
    let from_grey;
    let encoder = match bitmap.channels() {
        // The encoder's own greyscale input gives less contrast.
        Channels::Grey => {
            from_grey = bitmap.to_rgba();
            zenwebp::Encoder::new_rgba(&from_grey, width, height)
        }
        Channels::Rgb => zenwebp::Encoder::new_rgb(bitmap.pixels(), width, height),
        Channels::Rgba | Channels::Cmyk => {
            zenwebp::Encoder::new_rgba(bitmap.pixels(), width, height)
        }
    };
    encoder.config(config).encode().map_err(failed)
}

/// Effort of the WebP encoder, 0 (fast) to 6 (small).
const WEBP_METHOD: u8 = 4;

fn webp_lossless(bitmap: &Bitmap) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let colour = match bitmap.channels() {
        Channels::Grey => image_webp::ColorType::L8,
        Channels::Rgb => image_webp::ColorType::Rgb8,
        Channels::Rgba | Channels::Cmyk => image_webp::ColorType::Rgba8,
    };
    image_webp::WebPEncoder::new(&mut file)
        .encode(bitmap.pixels(), bitmap.width(), bitmap.height(), colour)
        .map_err(failed)?;
    Ok(file)
}
