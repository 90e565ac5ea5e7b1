//! Resizing with a Lanczos filter of three lobes, the default of sharp.
//!
//! Values are averaged in gamma-encoded form, not in linear light, as browsers, sharp and cameras do.
//! Colours are weighted by alpha.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;

/// Resizes with the Lanczos filter.
///
/// # Errors
/// [`Error::Encoder`] if the library fails, which these arguments can't cause.
pub(crate) fn resize(source: &Bitmap, width: u32, height: u32) -> Result<Bitmap, Error> {
    resize_by(FilterType::Lanczos3, source, width, height)
}

/// Shrinks with a box filter: each pixel is the mean of those that it covers.
///
/// Blurrier than [`resize`] and aliased, but takes a third of the time.
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
        .ok_or_else(|| failed(&"the resized image has an unexpected length"))
}
