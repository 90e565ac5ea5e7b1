//! Placeholders: blurred previews of a few bytes (blurhash and thumbhash), shown while an image loads.

use crate::bitmap::Bitmap;
use crate::error::Error;
use crate::resize::average;

/// The placeholders of an image.
pub(crate) struct Placeholders {
    pub(crate) blurhash: String,
    pub(crate) thumbhash: String,
}

/// Longer side, in pixels, of the image that placeholders are computed from.
///
/// Both encode a few low frequencies only, so more pixels change nothing visible and cost as much time as a
/// small variant. (`thumbhash` accepts at most 100.)
const LONG_SIDE_MAX: u32 = 32;

impl Placeholders {
    /// Computes the placeholders of an image, of which a small variant is enough.
    pub(crate) fn new(bitmap: &Bitmap) -> Result<Self, Error> {
        let long = bitmap.width().max(bitmap.height());
        let side = |side: u32| (side * LONG_SIDE_MAX).div_ceil(long).max(1);
        let shrunk;
        let small = if long > LONG_SIDE_MAX {
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

/// Encodes base64 with padding (RFC 4648, 4).
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
    fn base64_matches_rfc_4648() {
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
    fn placeholders_depend_on_the_image() {
        let of = |pixel: [u8; 3], width, height| {
            let pixels = pixel.repeat((width * height) as usize);
            let bitmap = Bitmap::new(width, height, Channels::Rgb, pixels).unwrap();
            Placeholders::new(&bitmap).unwrap()
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
        // An extreme aspect ratio, and a single pixel.
        of([1, 2, 3], 5000, 1);
        of([1, 2, 3], 1, 1);
    }
}
