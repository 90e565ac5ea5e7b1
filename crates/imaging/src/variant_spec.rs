//! Specification of a variant: name, size and encoding.

use crate::format::Format;

/// Specification of a variant. Values are always valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantSpec {
    name: String,
    long_side: u16,
    encoding: Encoding,
}

/// Encoding of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG, progressive from 1,000 pixels on. An image with transparency, which JPEG lacks, becomes
    /// lossless WebP instead.
    Jpeg {
        /// Quality on libjpeg's scale, 1 to 100.
        quality: u8,
    },
    /// PNG.
    Png,
    /// Lossy WebP, with transparency.
    WebP {
        /// Quality on libwebp's scale, 1 to 100.
        quality: u8,
    },
    /// Lossless WebP.
    WebPLossless,
}

/// Reason why a variant's specification is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariantSpec {
    /// Not `name:long side:format` or `name:long side:format:quality`.
    #[error("invalid variant: expected name:long side:format or name:long side:format:quality")]
    Syntax,
    /// The name isn't 1 to 32 characters of `a-z`, `0-9` and `-`.
    #[error("invalid variant name: expected 1 to 32 of a-z, 0-9 and '-'")]
    Name,
    /// The long side is out of range.
    #[error(
        "invalid long side of a variant: expected 1 to {} pixels",
        VariantSpec::LONG_SIDE_MAX
    )]
    LongSide,
    /// The format isn't supported for writing.
    #[error("invalid format of a variant: expected jpeg, png, webp or webp-lossless")]
    Encoding,
    /// The quality is out of range, or the format is lossless.
    #[error("invalid quality of a variant: expected 1 to 100, with jpeg or webp only")]
    Quality,
    /// Two variants have the same name.
    #[error("two variants have the same name")]
    DuplicateName,
}

impl VariantSpec {
    /// Upper bound on the long side in pixels: WebP's limit, the lowest of all formats (RFC 9649, 2.7.1.1).
    pub const LONG_SIDE_MAX: u16 = 16383;

    /// Specifies a variant whose longer side has at most `long_side` pixels. Images are never enlarged.
    ///
    /// # Errors
    /// If the name, the long side or the quality is invalid.
    pub fn new(
        name: impl Into<String>,
        long_side: u16,
        encoding: Encoding,
    ) -> Result<Self, InvalidVariantSpec> {
        let name = name.into();
        if !(1..=32).contains(&name.len())
            || !name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        {
            return Err(InvalidVariantSpec::Name);
        }
        if !(1..=Self::LONG_SIDE_MAX).contains(&long_side) {
            return Err(InvalidVariantSpec::LongSide);
        }
        if let Encoding::Jpeg { quality } | Encoding::WebP { quality } = encoding
            && !(1..=100).contains(&quality)
        {
            return Err(InvalidVariantSpec::Quality);
        }
        Ok(Self {
            name,
            long_side,
            encoding,
        })
    }

    /// Parses `name:long side:format` or `name:long side:format:quality`.
    ///
    /// # Errors
    /// If the syntax or one of the parts is invalid.
    pub fn parse(text: &str) -> Result<Self, InvalidVariantSpec> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, long_side, format, quality) = match *parts.as_slice() {
            [name, long_side, format] => (name, long_side, format, None),
            [name, long_side, format, quality] => (name, long_side, format, Some(quality)),
            _ => return Err(InvalidVariantSpec::Syntax),
        };
        let quality = quality
            .map(|quality| quality.parse().map_err(|_| InvalidVariantSpec::Quality))
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
            ("png" | "webp-lossless", Some(_)) => return Err(InvalidVariantSpec::Quality),
            _ => return Err(InvalidVariantSpec::Encoding),
        };
        let long_side = long_side
            .parse()
            .map_err(|_| InvalidVariantSpec::LongSide)?;
        Self::new(name, long_side, encoding)
    }

    /// Parses a list of specifications, as [`VariantSpec::parse`] does. An empty list gives
    /// [`VariantSpec::defaults`].
    ///
    /// # Errors
    /// If a specification is invalid, or two have the same name.
    pub fn parse_all<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, InvalidVariantSpec> {
        let variants = texts
            .into_iter()
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        for (index, variant) in variants.iter().enumerate() {
            if variants[..index]
                .iter()
                .any(|other| other.name == variant.name)
            {
                return Err(InvalidVariantSpec::DuplicateName);
            }
        }
        Ok(if variants.is_empty() {
            Self::defaults()
        } else {
            variants
        })
    }

    /// Default variants: `thumb` (320 pixels) and `small` (640) as WebP, `display` (1600) and `large`
    /// (2048) as JPEG.
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

    /// Name of the variant.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Upper bound on the longer side in pixels.
    pub fn long_side(&self) -> u16 {
        self.long_side
    }

    /// Encoding of the variant.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Size of the variant for an image of the given size. Never exceeds the image, keeps its aspect ratio,
    /// and is at least 1 pixel in each direction.
    pub(crate) fn size(&self, width: u32, height: u32) -> (u32, u32) {
        let (long, short) = (width.max(height), width.min(height));
        let long_side = u32::from(self.long_side);
        if long <= long_side {
            return (width, height);
        }
        // Rounded to nearest. At most `long_side`, so it fits.
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
    /// Default quality of JPEG.
    pub const JPEG_QUALITY: u8 = 80;
    /// Default quality of lossy WebP.
    pub const WEBP_QUALITY: u8 = 75;

    /// File format.
    pub fn format(self) -> Format {
        match self {
            Self::Jpeg { .. } => Format::Jpeg,
            Self::Png => Format::Png,
            Self::WebP { .. } | Self::WebPLossless => Format::WebP,
        }
    }

    /// Encoding that replaces this one for an image with transparency.
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
    fn variants_are_parsed() {
        assert_eq!(
            VariantSpec::parse("thumb:320:webp:70"),
            VariantSpec::new("thumb", 320, Encoding::WebP { quality: 70 })
        );
        assert_eq!(
            VariantSpec::parse("a-1:16383:png"),
            VariantSpec::new("a-1", 16383, Encoding::Png)
        );
        assert_eq!(
            VariantSpec::parse("x:1:jpeg").unwrap().encoding(),
            Encoding::Jpeg { quality: 80 }
        );
        let long_name = format!("{}:1:png", "x".repeat(33));
        for (text, invalid) in [
            ("", InvalidVariantSpec::Syntax),
            ("a:1", InvalidVariantSpec::Syntax),
            ("a:1:jpeg:1:1", InvalidVariantSpec::Syntax),
            (":1:png", InvalidVariantSpec::Name),
            ("A:1:png", InvalidVariantSpec::Name),
            (&long_name, InvalidVariantSpec::Name),
            ("a:0:png", InvalidVariantSpec::LongSide),
            ("a:16384:png", InvalidVariantSpec::LongSide),
            ("a:-1:png", InvalidVariantSpec::LongSide),
            ("a:1:gif", InvalidVariantSpec::Encoding),
            ("a:1:jpeg:0", InvalidVariantSpec::Quality),
            ("a:1:jpeg:101", InvalidVariantSpec::Quality),
            ("a:1:png:80", InvalidVariantSpec::Quality),
        ] {
            assert_eq!(VariantSpec::parse(text), Err(invalid), "{text}");
        }
    }

    #[test]
    fn names_are_unique_and_an_empty_list_gives_the_defaults() {
        assert_eq!(
            VariantSpec::parse_all(["a:1:png", "a:2:png"]),
            Err(InvalidVariantSpec::DuplicateName)
        );
        assert_eq!(VariantSpec::parse_all([]), Ok(VariantSpec::defaults()));
    }

    #[test]
    fn a_variant_keeps_the_aspect_ratio_and_is_never_larger() {
        let size = |long_side, width, height| {
            VariantSpec::new("x", long_side, Encoding::Png)
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
