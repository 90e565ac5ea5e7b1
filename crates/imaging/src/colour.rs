//! Conversion to sRGB by the embedded ICC profile or AVIF's code points.
//!
//! An image without a profile is assumed to be sRGB, or uncalibrated inks if it is CMYK. A profile that is
//! invalid or for another colour space is ignored, because an image in slightly wrong colours is better
//! than an error.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients,
    ProfileText, TransferCharacteristics, TransformOptions,
};

use crate::bitmap::{Bitmap, Channels};

/// Colour profile of an image (ICC.1:2022).
pub(crate) struct Profile {
    parsed: Option<ColorProfile>,
    description: Option<String>,
}

impl Profile {
    /// Parses an ICC profile. An invalid one is treated as absent.
    pub(crate) fn parse(bytes: Option<&[u8]>) -> Self {
        let parsed = bytes.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
        Self {
            description: parsed.as_ref().and_then(description),
            parsed,
        }
    }

    /// Builds the profile for the code points of ITU-T H.273.
    pub(crate) fn from_cicp(primaries: u8, transfer: u8) -> Self {
        let code_points = || {
            Some(CicpProfile {
                color_primaries: CicpColorPrimaries::try_from(primaries).ok()?,
                transfer_characteristics: TransferCharacteristics::try_from(transfer).ok()?,
                matrix_coefficients: MatrixCoefficients::Identity,
                full_range: true,
            })
        };
        Self {
            // 2 is "unspecified", which is treated as sRGB.
            parsed: code_points()
                .filter(|_| primaries != 2 && transfer != 2)
                .map(ColorProfile::new_from_cicp),
            description: None,
        }
    }

    /// Description text of the profile.
    pub(crate) fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Converts to sRGB. The result is never CMYK.
    pub(crate) fn to_srgb(&self, bitmap: Bitmap) -> Bitmap {
        let channels = bitmap.channels();
        let transformed = self
            .parsed
            .as_ref()
            .filter(|profile| profile.color_space == colour_space(channels))
            .and_then(|profile| transform(profile, &bitmap));
        match transformed {
            Some(transformed) => transformed,
            None if channels == Channels::Cmyk => cmyk_to_rgb(&bitmap).unwrap_or(bitmap),
            None => bitmap,
        }
    }
}

fn colour_space(channels: Channels) -> DataColorSpace {
    match channels {
        Channels::Grey => DataColorSpace::Gray,
        Channels::Rgb | Channels::Rgba => DataColorSpace::Rgb,
        Channels::Cmyk => DataColorSpace::Cmyk,
    }
}

fn transform(profile: &ColorProfile, bitmap: &Bitmap) -> Option<Bitmap> {
    let (from, to, channels) = match bitmap.channels() {
        Channels::Grey => (Layout::Gray, Layout::Rgb, Channels::Rgb),
        Channels::Rgb => (Layout::Rgb, Layout::Rgb, Channels::Rgb),
        Channels::Rgba => (Layout::Rgba, Layout::Rgba, Channels::Rgba),
        Channels::Cmyk => (Layout::Rgba, Layout::Rgb, Channels::Rgb),
    };
    let transform = profile
        .create_transform_8bit(
            from,
            &ColorProfile::new_srgb(),
            to,
            TransformOptions::default(),
        )
        .ok()?;
    let apply = |source: &[u8]| {
        let pixels = source.len() / bitmap.channels().count();
        let mut target = vec![0; pixels * channels.count()];
        transform.transform(source, &mut target).ok()?;
        Some(target)
    };
    if let Some(samples) = sample_colours(bitmap.channels())
        && is_identity(&samples, &apply(&samples)?)
    {
        return None;
    }
    Bitmap::new(
        bitmap.width(),
        bitmap.height(),
        channels,
        apply(bitmap.pixels())?,
    )
}

/// A grid of colours over the whole RGB cube. It shows what the profile does before every pixel is
/// converted.
fn sample_colours(channels: Channels) -> Option<Vec<u8>> {
    let steps = || (0..=255_u8).step_by(15);
    let colours =
        steps().flat_map(move |r| steps().flat_map(move |g| steps().map(move |b| [r, g, b])));
    match channels {
        Channels::Rgb => Some(colours.flatten().collect()),
        Channels::Rgba => Some(colours.flat_map(|[r, g, b]| [r, g, b, 255]).collect()),
        Channels::Grey | Channels::Cmyk => None,
    }
}

/// `true` if no value changes by more than 1: the profile is sRGB in effect.
fn is_identity(before: &[u8], after: &[u8]) -> bool {
    before.iter().zip(after).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Converts CMYK to RGB without a profile: each ink absorbs its share of the light.
fn cmyk_to_rgb(bitmap: &Bitmap) -> Option<Bitmap> {
    let product = |ink: u8, black: u8| {
        let light = u16::from(255 - ink) * u16::from(255 - black);
        // At most 255.
        ((light + 127) / 255) as u8
    };
    let pixels = bitmap
        .four_channel_pixels()
        .iter()
        .flat_map(|&[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| product(ink, black))
        })
        .collect();
    Bitmap::new(bitmap.width(), bitmap.height(), Channels::Rgb, pixels)
}

fn description(profile: &ColorProfile) -> Option<String> {
    /// Upper bound on a description's length.
    const CHARACTERS_MAX: usize = 200;
    let text = match profile.description.as_ref()? {
        ProfileText::PlainString(text) => text.clone(),
        ProfileText::Localizable(texts) => texts
            .iter()
            .find(|text| text.language == "en")
            .or_else(|| texts.first())?
            .value
            .clone(),
        ProfileText::Description(text) => {
            if text.ascii_string.is_empty() {
                text.unicode_string.clone()
            } else {
                text.ascii_string.clone()
            }
        }
    };
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    let text: String = text.chars().take(CHARACTERS_MAX).collect();
    (!text.is_empty()).then_some(text)
}
