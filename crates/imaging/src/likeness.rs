//! Blurred likenesses of a few bytes, shown while a picture loads.

use crate::bitmap::Bitmap;
use crate::error::Error;
use crate::resize::average;

/// Likenesses of a picture.
pub(crate) struct Likeness {
    pub(crate) blurhash: String,
    pub(crate) thumbhash: String,
}

/// Both keep a few waves across the picture: more pixels than this on a side change nothing that can be
/// seen, and cost as much time as a small print. (A thumbhash may be made of 100 at most.)
const LONG_SIDE: u32 = 32;

impl Likeness {
    /// The likenesses of a picture, of which a small print will do.
    pub(crate) fn of(bitmap: &Bitmap) -> Result<Self, Error> {
        let long = bitmap.width().max(bitmap.height());
        let side = |side: u32| (side * LONG_SIDE).div_ceil(long).max(1);
        let shrunk;
        let small = if long > LONG_SIDE {
            shrunk = average(bitmap, side(bitmap.width()), side(bitmap.height()))?;
            &shrunk
        } else {
            bitmap
        };
        let rgba = small.to_rgba();
        let (width, height) = (small.width(), small.height());
        let (across, down) = if width >= height { (4, 3) } else { (3, 4) };
        let blurhash = blurhash::encode(across, down, width, height, &rgba)
            .map_err(|error| Error::Encoder(error.to_string()))?;
        let thumbhash = thumbhash::rgba_to_thumb_hash(width as usize, height as usize, &rgba);
        Ok(Self {
            blurhash,
            thumbhash: base64(&thumbhash),
        })
    }
}

/// RFC 4648, 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = (0..3).fold(0_usize, |bits, index| {
                bits << 8 | usize::from(chunk.get(index).copied().unwrap_or(0))
            });
            [18, 12, 6, 0]
                .into_iter()
                .enumerate()
                .map(move |(index, shift)| {
                    if index > chunk.len() {
                        '='
                    } else {
                        char::from(ALPHABET[bits >> shift & 63])
                    }
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Channels;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe\xfd", "//79"),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn likenesses_are_of_the_picture() {
        let of = |pixel: [u8; 3], width, height| {
            let pixels = pixel.repeat((width * height) as usize);
            let bitmap = Bitmap::new(width, height, Channels::Rgb, pixels).unwrap();
            Likeness::of(&bitmap).unwrap()
        };
        assert_eq!(of([255, 0, 0], 8, 8).blurhash.len(), 4 + 2 * 12);
        assert_ne!(
            of([255, 0, 0], 8, 8).blurhash,
            of([0, 0, 255], 8, 8).blurhash
        );
        assert_ne!(
            of([9, 9, 9], 300, 200).thumbhash,
            of([9, 9, 9], 200, 300).thumbhash
        );
        // Thin beyond measure, and a single pixel.
        of([1, 2, 3], 5000, 1);
        of([1, 2, 3], 1, 1);
    }
}
