//! Files out of pixels. What is written says nothing but the picture: no EXIF, no profile, no comment.

mod jpeg;

use std::io::Cursor;

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::variant::Encoding;

/// The picture as a file.
///
/// # Errors
/// [`Error::Encoder`]; a picture that is no larger than a variant has none.
pub(crate) fn encode(bitmap: &Bitmap, encoding: Encoding) -> Result<Vec<u8>, Error> {
    match encoding {
        Encoding::Jpeg { quality } => jpeg::encode(bitmap, quality),
        Encoding::Png => png(bitmap),
        Encoding::WebP { quality } => webp(bitmap, quality),
        Encoding::WebPLossless => webp_lossless(bitmap),
    }
}

/// What writing takes at most, in bytes for each pixel: while it is done, and as a file that is kept. It
/// is grain that takes most, which no codec can foresee; photos take a fraction of it.
pub(crate) fn memory_per_pixel(encoding: Encoding) -> (u64, u64) {
    match encoding {
        // Coefficients of two bytes, and symbols of four that are counted before they are written.
        Encoding::Jpeg { quality } if jpeg::has_full_colour(quality) => (27, 3),
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
        // What the encoder makes of grey alone has less contrast.
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

/// How hard the encoder tries, 0 to 6.
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
