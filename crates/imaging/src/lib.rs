//! Image processing: detects an image's format, reads its metadata and creates resized variants.
//!
//! [`process`] takes the bytes of a file and returns its variants, metadata and placeholders (blurhash and
//! thumbhash). It decodes the image once for all variants.
//!
//! - The format is detected from the content, not from the file name.
//! - Variants are upright, in sRGB, never larger than the original, and carry no metadata.
//! - Size and memory are estimated from the header and checked against [`Limits`] before the memory is
//!   allocated.
//! - Any input gives a result or an [`Error`] whose message suits the file's owner. No input causes a
//!   panic.
//! - The same bytes and the same build give the same variants. Builds for different processors may differ
//!   in the last bit of a sample.
//! - No I/O, threads, clock or randomness. Builds natively and for `wasm32-wasip2`, where `+simd128` makes
//!   it several times faster.
//!
//! Reads JPEG, PNG, WebP, GIF (first frame) and AVIF. Writes JPEG, PNG and WebP.

mod bitmap;
mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod header;
mod jpeg;
mod limits;
mod metadata;
mod orientation;
mod placeholder;
mod process;
mod resize;
mod variant_spec;
mod vector;

pub use error::Error;
pub use format::{Format, UnsupportedFormat};
pub use limits::Limits;
pub use metadata::{Camera, CaptureTime, Metadata, Position};
pub use process::{Processed, Sha256Sum, Variant, process};
pub use variant_spec::{Encoding, InvalidVariantSpec, VariantSpec};
