//! Uncompressed images in memory: 8 bits per channel, rows without padding.

/// Channels of a pixel, one byte each. Alpha is straight, not premultiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Grey,
    Rgb,
    Rgba,
    /// Inks, where 255 is full coverage.
    Cmyk,
}

impl Channels {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// An image: rows of pixels without padding. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    width: u32,
    height: u32,
    channels: Channels,
    pixels: Vec<u8>,
}

impl Bitmap {
    /// Returns `None` unless both sides are positive and `pixels` has exactly the length that they imply.
    pub(crate) fn new(
        width: u32,
        height: u32,
        channels: Channels,
        pixels: Vec<u8>,
    ) -> Option<Self> {
        (width > 0 && height > 0 && Self::byte_count(width, height, channels)? == pixels.len())
            .then_some(Self {
                width,
                height,
                channels,
                pixels,
            })
    }

    /// Length of the pixels in bytes, or `None` if it overflows `usize`.
    pub(crate) fn byte_count(width: u32, height: u32, channels: Channels) -> Option<usize> {
        usize::try_from(width)
            .ok()?
            .checked_mul(usize::try_from(height).ok()?)?
            .checked_mul(channels.count())
    }

    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn channels(&self) -> Channels {
        self.channels
    }

    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// `true` if any pixel isn't fully opaque.
    pub(crate) fn has_transparency(&self) -> bool {
        self.channels == Channels::Rgba
            && self
                .four_channel_pixels()
                .iter()
                .any(|[.., alpha]| *alpha != 255)
    }

    /// Drops the alpha channel. Only for an image without transparency.
    pub(crate) fn without_alpha(self) -> Self {
        if self.channels != Channels::Rgba {
            return self;
        }
        Self {
            channels: Channels::Rgb,
            pixels: self
                .four_channel_pixels()
                .iter()
                .flat_map(|&[r, g, b, _]| [r, g, b])
                .collect(),
            ..self
        }
    }

    /// Pixels of an image with four channels.
    pub(crate) fn four_channel_pixels(&self) -> &[[u8; 4]] {
        self.pixels.as_chunks().0
    }

    /// Converts to RGBA. CMYK is returned unchanged.
    pub(crate) fn to_rgba(&self) -> Vec<u8> {
        match self.channels {
            Channels::Grey => self.pixels.iter().flat_map(|&y| [y, y, y, 255]).collect(),
            Channels::Rgb => self
                .pixels
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|&[r, g, b]| [r, g, b, 255])
                .collect(),
            Channels::Rgba | Channels::Cmyk => self.pixels.clone(),
        }
    }
}
