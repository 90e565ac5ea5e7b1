//! Smaller pictures, by Lanczos' filter with three lobes, as sharp makes them.
//!
//! Values are averaged as they are stored, as browsers, sharp and cameras do, not as light; colours are
//! weighted by their opacity.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;

/// The picture in this size.
///
/// # Errors
/// None that the arguments could cause; the library has some.
pub(crate) fn resize(source: &Bitmap, width: u32, height: u32) -> Result<Bitmap, Error> {
    resize_by(FilterType::Lanczos3, source, width, height)
}

/// The picture in this much smaller size, each pixel the mean of those that it covers. That is blurred
/// and aliased, and takes a third of the time.
///
/// # Errors
/// As [`resize`].
pub(crate) fn average(source: &Bitmap, width: u32, height: u32) -> Result<Bitmap, Error> {
    resize_by(FilterType::Box, source, width, height)
}

fn resize_by(
    filter: FilterType,
    source: &Bitmap,
    width: u32,
    height: u32,
) -> Result<Bitmap, Error> {
    let pixel = match source.channels() {
        Channels::Grey => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U8x4,
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(source.channels() == Channels::Rgba);
    let failed = |error: &dyn std::fmt::Display| Error::Encoder(error.to_string());
    let view = ImageRef::new(source.width(), source.height(), source.pixels(), pixel)
        .map_err(|error| failed(&error))?;
    let mut resized = Image::new(width, height, pixel);
    Resizer::new()
        .resize(&view, &mut resized, &options)
        .map_err(|error| failed(&error))?;
    Bitmap::new(width, height, source.channels(), resized.into_vec())
        .ok_or_else(|| failed(&"its size changed"))
}
