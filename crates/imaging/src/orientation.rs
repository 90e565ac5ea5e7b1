//! EXIF orientation, and the rotation or reflection that makes an image upright.

use crate::bitmap::Bitmap;

/// Transformation that makes a stored image upright: EXIF tag 0x0112 (CIPA DC-008, 4.6.5.1.6). Rotations
/// are clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Orientation {
    #[default]
    Normal = 1,
    FlipHorizontal = 2,
    Rotate180 = 3,
    FlipVertical = 4,
    Transpose = 5,
    Rotate90 = 6,
    Transverse = 7,
    Rotate270 = 8,
}

impl Orientation {
    /// Maps the tag's value; invalid values mean [`Normal`](Self::Normal).
    pub(crate) fn from_exif(value: u32) -> Self {
        match value {
            2 => Self::FlipHorizontal,
            3 => Self::Rotate180,
            4 => Self::FlipVertical,
            5 => Self::Transpose,
            6 => Self::Rotate90,
            7 => Self::Transverse,
            8 => Self::Rotate270,
            _ => Self::Normal,
        }
    }

    /// Anticlockwise quarter turns, followed by a horizontal reflection if `mirrored`.
    pub(crate) fn from_rotation(quarter_turns: u8, mirrored: bool) -> Self {
        match (quarter_turns % 4, mirrored) {
            (0, false) => Self::Normal,
            (1, false) => Self::Rotate270,
            (2, false) => Self::Rotate180,
            (_, false) => Self::Rotate90,
            (0, true) => Self::FlipHorizontal,
            (1, true) => Self::Transpose,
            (2, true) => Self::FlipVertical,
            (_, true) => Self::Transverse,
        }
    }

    /// Converts the stored size to the displayed size, and the reverse.
    pub(crate) fn size(self, width: u32, height: u32) -> (u32, u32) {
        if self.swaps_axes() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Returns the image upright.
    pub(crate) fn apply(self, bitmap: Bitmap) -> Bitmap {
        match bitmap.channels().count() {
            1 => self.apply_to::<1>(bitmap),
            3 => self.apply_to::<3>(bitmap),
            _ => self.apply_to::<4>(bitmap),
        }
    }

    fn swaps_axes(self) -> bool {
        self as u8 >= Self::Transpose as u8
    }

    fn apply_to<const CHANNELS: usize>(self, bitmap: Bitmap) -> Bitmap {
        if self == Self::Normal {
            return bitmap;
        }
        let (width, height) = (bitmap.width() as usize, bitmap.height() as usize);
        let (source, _) = bitmap.pixels().as_chunks::<CHANNELS>();
        let mut output: Vec<[u8; CHANNELS]> = Vec::with_capacity(source.len());
        let rows = source.chunks_exact(width);
        match self {
            Self::Normal => {}
            Self::FlipHorizontal => rows.for_each(|row| output.extend(row.iter().rev())),
            Self::Rotate180 => output.extend(source.iter().rev()),
            Self::FlipVertical => rows.rev().for_each(|row| output.extend(row)),
            Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270 => {
                let from_bottom = matches!(self, Self::Rotate90 | Self::Transverse);
                let from_right = matches!(self, Self::Transverse | Self::Rotate270);
                output.resize(source.len(), [0; CHANNELS]);
                // Works in tiles, so that the rows read and the columns written stay in the cache. Every
                // index is within the image.
                const TILE: usize = 32;
                for top in (0..height).step_by(TILE) {
                    for left in (0..width).step_by(TILE) {
                        for column in left..width.min(left + TILE) {
                            let to = if from_right {
                                width - 1 - column
                            } else {
                                column
                            };
                            for row in top..height.min(top + TILE) {
                                let at = if from_bottom { height - 1 - row } else { row };
                                output[to * height + at] = source[row * width + column];
                            }
                        }
                    }
                }
            }
        }
        let (width, height) = self.size(bitmap.width(), bitmap.height());
        let pixels = output.into_flattened();
        // The number of pixels hasn't changed, so this can't fail.
        Bitmap::new(width, height, bitmap.channels(), pixels).unwrap_or(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Channels;

    #[test]
    fn all_eight_orientations_become_upright() {
        // The image `ab/cd/ef` as stored in each orientation.
        for (value, width, stored) in [
            (1, 2, "abcdef"),
            (2, 2, "badcfe"),
            (3, 2, "fedcba"),
            (4, 2, "efcdab"),
            (5, 3, "acebdf"),
            (6, 3, "bdface"),
            (7, 3, "fdbeca"),
            (8, 3, "ecafdb"),
        ] {
            let orientation = Orientation::from_exif(value);
            let height = 6 / width;
            let bitmap = Bitmap::new(width, height, Channels::Grey, stored.into()).unwrap();
            let shown = orientation.apply(bitmap);
            assert_eq!((shown.width(), shown.height()), (2, 3), "{value}");
            assert_eq!(shown.pixels(), b"abcdef", "{value}");
        }
    }

    #[test]
    fn channels_of_a_pixel_stay_together() {
        let bitmap = Bitmap::new(2, 1, Channels::Rgb, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let shown = Orientation::Rotate180.apply(bitmap);
        assert_eq!(shown.pixels(), [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn an_invalid_value_means_normal() {
        assert_eq!(Orientation::from_exif(0), Orientation::Normal);
        assert_eq!(Orientation::from_exif(9), Orientation::Normal);
    }
}
