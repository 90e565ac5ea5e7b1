//! Pixels in memory.

/// What a pixel is made of; one byte each, transparency not multiplied into the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Grey,
    Rgb,
    Rgba,
    /// 255 is all of an ink.
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

/// Pixels, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    width: u32,
    height: u32,
    channels: Channels,
    pixels: Vec<u8>,
}

impl Bitmap {
    /// A picture of these pixels; none if they are not as many as it has.
    pub(crate) fn new(
        width: u32,
        height: u32,
        channels: Channels,
        pixels: Vec<u8>,
    ) -> Option<Self> {
        (width > 0 && height > 0 && Self::length(width, height, channels)? == pixels.len())
            .then_some(Self {
                width,
                height,
                channels,
                pixels,
            })
    }

    /// The bytes of a picture, if the machine can count them.
    pub(crate) fn length(width: u32, height: u32, channels: Channels) -> Option<usize> {
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

    /// Whether any pixel is transparent, even slightly.
    pub(crate) fn has_transparency(&self) -> bool {
        self.channels == Channels::Rgba && self.quadruples().iter().any(|[.., alpha]| *alpha != 255)
    }

    /// The same without its alpha channel. Only for a picture without transparency.
    pub(crate) fn without_alpha(self) -> Self {
        if self.channels != Channels::Rgba {
            return self;
        }
        Self {
            channels: Channels::Rgb,
            pixels: self
                .quadruples()
                .iter()
                .flat_map(|&[r, g, b, _]| [r, g, b])
                .collect(),
            ..self
        }
    }

    /// The pixels of a picture that has four channels.
    pub(crate) fn quadruples(&self) -> &[[u8; 4]] {
        self.pixels.as_chunks().0
    }

    /// Red, green, blue and alpha of each pixel.
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
