//! Pictures: what they are, and prints of them.
//!
//! [`print`] takes the bytes of a file and answers with its prints, each a file of its own, and with what
//! is known about it. The picture is decoded once, for all of them.
//!
//! - What a file is, its bytes say, not its name.
//! - Prints are upright, in sRGB, never larger than the picture, and carry no metadata.
//! - What a picture would take is known from its header, and refused before it is taken ([`Limits`]).
//! - Whatever the bytes, the answer is prints or an [`Error`] for people to read; nothing panics.
//! - The same bytes and the same build give the same prints. Builds for different processors may differ
//!   in the last bit of a pixel.
//! - No I/O, no threads, no clock, no randomness. Builds natively and for `wasm32-wasip2`, where
//!   `+simd128` makes it several times faster.
//!
//! Read are JPEG, PNG, WebP, GIF (the first frame) and AVIF; written are JPEG, PNG and WebP.

mod bitmap;
mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod header;
mod jpeg;
mod likeness;
mod limits;
mod metadata;
mod orientation;
mod print;
mod resize;
mod variant;
mod vector;

pub use error::Error;
pub use format::{Foreign, Format};
pub use limits::Limits;
pub use metadata::{Camera, Metadata, Position, Taken};
pub use print::{Print, Prints, Sha256Sum, print};
pub use variant::{Encoding, InvalidVariant, Variant};
