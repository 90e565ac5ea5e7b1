//! Which prints are wanted.

use crate::format::Format;

/// A print that is wanted: at most so large, in this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    name: String,
    long_side: u16,
    encoding: Encoding,
}

/// How a print is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG, progressive from 1,000 pixels on; lossless WebP where the picture has transparency, which JPEG
    /// lacks.
    Jpeg {
        /// As libjpeg counts it, 1 to 100.
        quality: u8,
    },
    /// PNG.
    Png,
    /// Lossy WebP, transparency included.
    WebP {
        /// As libwebp counts it, 1 to 100.
        quality: u8,
    },
    /// Lossless WebP.
    WebPLossless,
}

/// Why a variant can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariant {
    /// Not `name:long side:format` or `name:long side:format:quality`.
    #[error("a variant is name:long side:format, and perhaps :quality")]
    Shape,
    /// Its name isn't 1 to 32 of `a-z`, `0-9` and `-`.
    #[error("a variant's name has 1 to 32 letters from a to z, digits and hyphens")]
    Name,
    /// Its long side is none.
    #[error("a variant's long side is from 1 to {} pixels", Variant::LONG_SIDE_MAX)]
    LongSide,
    /// Its format isn't written.
    #[error("a variant's format is jpeg, png, webp or webp-lossless")]
    Encoding,
    /// Its quality is none.
    #[error("a variant's quality is from 1 to 100, and only jpeg and webp have one")]
    Quality,
    /// Two of one name.
    #[error("two variants have the same name")]
    Twice,
}

impl Variant {
    /// The longest side that any format here can have (WebP's: RFC 9649, 2.7.1.1), in pixels.
    pub const LONG_SIDE_MAX: u16 = 16383;

    /// A variant. Neither side will be longer than `long_side` pixels, nor than the picture's.
    ///
    /// # Errors
    /// When the name, the side or the quality isn't one.
    pub fn new(
        name: impl Into<String>,
        long_side: u16,
        encoding: Encoding,
    ) -> Result<Self, InvalidVariant> {
        let name = name.into();
        if !(1..=32).contains(&name.len())
            || !name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        {
            return Err(InvalidVariant::Name);
        }
        if !(1..=Self::LONG_SIDE_MAX).contains(&long_side) {
            return Err(InvalidVariant::LongSide);
        }
        if let Encoding::Jpeg { quality } | Encoding::WebP { quality } = encoding
            && !(1..=100).contains(&quality)
        {
            return Err(InvalidVariant::Quality);
        }
        Ok(Self {
            name,
            long_side,
            encoding,
        })
    }

    /// Reads `name:long side:format` or `name:long side:format:quality`.
    ///
    /// # Errors
    /// When it is neither, or one of its parts isn't one.
    pub fn parse(text: &str) -> Result<Self, InvalidVariant> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, long_side, format, quality) = match *parts.as_slice() {
            [name, long_side, format] => (name, long_side, format, None),
            [name, long_side, format, quality] => (name, long_side, format, Some(quality)),
            _ => return Err(InvalidVariant::Shape),
        };
        let quality = quality
            .map(|quality| quality.parse().map_err(|_| InvalidVariant::Quality))
            .transpose()?;
        let encoding = match (format, quality) {
            ("jpeg", quality) => Encoding::Jpeg {
                quality: quality.unwrap_or(Encoding::JPEG_QUALITY),
            },
            ("webp", quality) => Encoding::WebP {
                quality: quality.unwrap_or(Encoding::WEBP_QUALITY),
            },
            ("png", None) => Encoding::Png,
            ("webp-lossless", None) => Encoding::WebPLossless,
            ("png" | "webp-lossless", Some(_)) => return Err(InvalidVariant::Quality),
            _ => return Err(InvalidVariant::Encoding),
        };
        let long_side = long_side.parse().map_err(|_| InvalidVariant::LongSide)?;
        Self::new(name, long_side, encoding)
    }

    /// Reads a list, each as [`Variant::parse`] does; the names must differ. An empty list is that of
    /// [`Variant::defaults`].
    ///
    /// # Errors
    /// When one isn't a variant, or two have one name.
    pub fn parse_all<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, InvalidVariant> {
        let variants = texts
            .into_iter()
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        for (index, variant) in variants.iter().enumerate() {
            if variants[..index]
                .iter()
                .any(|other| other.name == variant.name)
            {
                return Err(InvalidVariant::Twice);
            }
        }
        Ok(if variants.is_empty() {
            Self::defaults()
        } else {
            variants
        })
    }

    /// What is printed unless something else is asked for: `thumb` (320 pixels) and `small` (640) as
    /// WebP, `display` (1600) and `large` (2048) as JPEG.
    pub fn defaults() -> Vec<Self> {
        let webp = Encoding::WebP {
            quality: Encoding::WEBP_QUALITY,
        };
        let jpeg = Encoding::Jpeg {
            quality: Encoding::JPEG_QUALITY,
        };
        [
            ("thumb", 320, webp),
            ("small", 640, webp),
            ("display", 1600, jpeg),
            ("large", 2048, jpeg),
        ]
        .map(|(name, long_side, encoding)| Self {
            name: name.to_owned(),
            long_side,
            encoding,
        })
        .to_vec()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long its longer side may be, in pixels.
    pub fn long_side(&self) -> u16 {
        self.long_side
    }

    /// How it is written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The size of this print of a picture of that size, which it never exceeds; the shape stays, and
    /// no side vanishes.
    pub(crate) fn size(&self, width: u32, height: u32) -> (u32, u32) {
        let (long, short) = (width.max(height), width.min(height));
        let long_side = u32::from(self.long_side);
        if long <= long_side {
            return (width, height);
        }
        // Rounded to the nearest; the result is no longer than `long_side`, so it fits.
        let scaled =
            (u64::from(short) * u64::from(long_side) * 2 + u64::from(long)) / (u64::from(long) * 2);
        let short_side = u32::try_from(scaled).unwrap_or(long_side).max(1);
        if width >= height {
            (long_side, short_side)
        } else {
            (short_side, long_side)
        }
    }
}

impl Encoding {
    /// The quality of JPEG where none is asked for.
    pub const JPEG_QUALITY: u8 = 80;
    /// The quality of lossy WebP where none is asked for.
    pub const WEBP_QUALITY: u8 = 75;

    /// The format that comes of it.
    pub fn format(self) -> Format {
        match self {
            Self::Jpeg { .. } => Format::Jpeg,
            Self::Png => Format::Png,
            Self::WebP { .. } | Self::WebPLossless => Format::WebP,
        }
    }

    /// What takes its place where the picture has transparency.
    pub(crate) fn with_transparency(self) -> Self {
        match self {
            Self::Jpeg { .. } => Self::WebPLossless,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_read_from_text() {
        assert_eq!(
            Variant::parse("thumb:320:webp:70"),
            Variant::new("thumb", 320, Encoding::WebP { quality: 70 })
        );
        assert_eq!(
            Variant::parse("a-1:16383:png"),
            Variant::new("a-1", 16383, Encoding::Png)
        );
        assert_eq!(
            Variant::parse("x:1:jpeg").unwrap().encoding(),
            Encoding::Jpeg { quality: 80 }
        );
        let long_name = format!("{}:1:png", "x".repeat(33));
        for (text, invalid) in [
            ("", InvalidVariant::Shape),
            ("a:1", InvalidVariant::Shape),
            ("a:1:jpeg:1:1", InvalidVariant::Shape),
            (":1:png", InvalidVariant::Name),
            ("A:1:png", InvalidVariant::Name),
            (&long_name, InvalidVariant::Name),
            ("a:0:png", InvalidVariant::LongSide),
            ("a:16384:png", InvalidVariant::LongSide),
            ("a:-1:png", InvalidVariant::LongSide),
            ("a:1:gif", InvalidVariant::Encoding),
            ("a:1:jpeg:0", InvalidVariant::Quality),
            ("a:1:jpeg:101", InvalidVariant::Quality),
            ("a:1:png:80", InvalidVariant::Quality),
        ] {
            assert_eq!(Variant::parse(text), Err(invalid), "{text}");
        }
    }

    #[test]
    fn names_differ_and_none_is_the_defaults() {
        assert_eq!(
            Variant::parse_all(["a:1:png", "a:2:png"]),
            Err(InvalidVariant::Twice)
        );
        assert_eq!(Variant::parse_all([]), Ok(Variant::defaults()));
    }

    #[test]
    fn a_print_keeps_the_shape_and_is_never_larger() {
        let size = |long_side, width, height| {
            Variant::new("x", long_side, Encoding::Png)
                .unwrap()
                .size(width, height)
        };
        assert_eq!(size(720, 2725, 2225), (720, 588));
        assert_eq!(size(720, 2225, 2725), (588, 720));
        assert_eq!(size(320, 100, 50), (100, 50));
        assert_eq!(size(320, 320, 320), (320, 320));
        assert_eq!(size(10, 65_535, 1), (10, 1));
    }
}
