//! How a picture has to be turned to stand upright.

use crate::bitmap::Bitmap;

/// How the stored rows and columns are to be shown: tag 0x0112 of EXIF (CIPA DC-008, 4.6.5.1.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Orientation {
    #[default]
    Upright = 1,
    FlippedSideways = 2,
    UpsideDown = 3,
    FlippedUpsideDown = 4,
    Transposed = 5,
    TurnedRight = 6,
    Transversed = 7,
    TurnedLeft = 8,
}

impl Orientation {
    /// Upright for a value that has no meaning.
    pub(crate) fn from_exif(value: u32) -> Self {
        match value {
            2 => Self::FlippedSideways,
            3 => Self::UpsideDown,
            4 => Self::FlippedUpsideDown,
            5 => Self::Transposed,
            6 => Self::TurnedRight,
            7 => Self::Transversed,
            8 => Self::TurnedLeft,
            _ => Self::Upright,
        }
    }

    /// The orientation that mirrors about the vertical axis where `flipped`, after `quarter_turns` to the
    /// left.
    pub(crate) fn from_turns(quarter_turns: u8, flipped: bool) -> Self {
        match (quarter_turns % 4, flipped) {
            (0, false) => Self::Upright,
            (1, false) => Self::TurnedLeft,
            (2, false) => Self::UpsideDown,
            (_, false) => Self::TurnedRight,
            (0, true) => Self::FlippedSideways,
            (1, true) => Self::Transposed,
            (2, true) => Self::FlippedUpsideDown,
            (_, true) => Self::Transversed,
        }
    }

    /// The size as shown of a picture that is stored in this size, and the other way round.
    pub(crate) fn size(self, width: u32, height: u32) -> (u32, u32) {
        if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The picture as it is to be shown.
    pub(crate) fn apply(self, bitmap: Bitmap) -> Bitmap {
        match bitmap.channels().count() {
            1 => self.apply_to::<1>(bitmap),
            3 => self.apply_to::<3>(bitmap),
            _ => self.apply_to::<4>(bitmap),
        }
    }

    fn swaps_sides(self) -> bool {
        self as u8 >= Self::Transposed as u8
    }

    fn apply_to<const CHANNELS: usize>(self, bitmap: Bitmap) -> Bitmap {
        if self == Self::Upright {
            return bitmap;
        }
        let (width, height) = (bitmap.width() as usize, bitmap.height() as usize);
        let (source, _) = bitmap.pixels().as_chunks::<CHANNELS>();
        let mut turned: Vec<[u8; CHANNELS]> = Vec::with_capacity(source.len());
        let rows = source.chunks_exact(width);
        match self {
            Self::Upright => {}
            Self::FlippedSideways => rows.for_each(|row| turned.extend(row.iter().rev())),
            Self::UpsideDown => turned.extend(source.iter().rev()),
            Self::FlippedUpsideDown => rows.rev().for_each(|row| turned.extend(row)),
            Self::Transposed | Self::TurnedRight | Self::Transversed | Self::TurnedLeft => {
                let from_below = matches!(self, Self::TurnedRight | Self::Transversed);
                let from_right = matches!(self, Self::Transversed | Self::TurnedLeft);
                turned.resize(source.len(), [0; CHANNELS]);
                // Every index is that of a row and a column within the picture. In tiles, so that neither the rows that are read nor those that are written leave the
                // cache.
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
                                let at = if from_below { height - 1 - row } else { row };
                                turned[to * height + at] = source[row * width + column];
                            }
                        }
                    }
                }
            }
        }
        let (width, height) = self.size(bitmap.width(), bitmap.height());
        let pixels = turned.into_flattened();
        // As many pixels as before, so it is one.
        Bitmap::new(width, height, bitmap.channels(), pixels).unwrap_or(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Channels;

    #[test]
    fn all_eight_come_upright() {
        // How `ab/cd/ef` is stored in each orientation.
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
    fn a_pixel_stays_together() {
        let bitmap = Bitmap::new(2, 1, Channels::Rgb, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let shown = Orientation::UpsideDown.apply(bitmap);
        assert_eq!(shown.pixels(), [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn a_meaningless_value_is_upright() {
        assert_eq!(Orientation::from_exif(0), Orientation::Upright);
        assert_eq!(Orientation::from_exif(9), Orientation::Upright);
    }
}
