//! Colours as sRGB, whatever profile they came with.
//!
//! What has no profile is taken for sRGB, and for plain inks if it is CMYK. A profile that can't be read,
//! or is for another kind of pixel, counts as none: wrong colours are better than no picture.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients,
    ProfileText, TransferCharacteristics, TransformOptions,
};

use crate::bitmap::{Bitmap, Channels};

/// The colour profile of a picture (ICC.1:2022).
pub(crate) struct Profile {
    parsed: Option<ColorProfile>,
    description: Option<String>,
}

impl Profile {
    /// Reads a profile; one that can't be read is none.
    pub(crate) fn read(bytes: Option<&[u8]>) -> Self {
        let parsed = bytes.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
        Self {
            description: parsed.as_ref().and_then(description),
            parsed,
        }
    }

    /// The profile that code points of ITU-T H.273 stand for.
    pub(crate) fn of_code_points(primaries: u8, transfer: u8) -> Self {
        let code_points = || {
            Some(CicpProfile {
                color_primaries: CicpColorPrimaries::try_from(primaries).ok()?,
                transfer_characteristics: TransferCharacteristics::try_from(transfer).ok()?,
                matrix_coefficients: MatrixCoefficients::Identity,
                full_range: true,
            })
        };
        Self {
            // 2 is "unspecified", and what is unspecified is sRGB.
            parsed: code_points()
                .filter(|_| primaries != 2 && transfer != 2)
                .map(ColorProfile::new_from_cicp),
            description: None,
        }
    }

    /// What it calls itself.
    pub(crate) fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The picture in sRGB; never in CMYK.
    pub(crate) fn to_srgb(&self, bitmap: Bitmap) -> Bitmap {
        let channels = bitmap.channels();
        let transformed = self
            .parsed
            .as_ref()
            .filter(|profile| profile.color_space == space(channels))
            .and_then(|profile| transform(profile, &bitmap));
        match transformed {
            Some(transformed) => transformed,
            None if channels == Channels::Cmyk => plain_inks(&bitmap).unwrap_or(bitmap),
            None => bitmap,
        }
    }
}

fn space(channels: Channels) -> DataColorSpace {
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
    if let Some(samples) = samples(bitmap.channels())
        && is_the_same(&samples, &apply(&samples)?)
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

/// Colours from all over the cube, to see what a profile does before it is done to every pixel.
fn samples(channels: Channels) -> Option<Vec<u8>> {
    let steps = || (0..=255_u8).step_by(15);
    let colours =
        steps().flat_map(move |r| steps().flat_map(move |g| steps().map(move |b| [r, g, b])));
    match channels {
        Channels::Rgb => Some(colours.flatten().collect()),
        Channels::Rgba => Some(colours.flat_map(|[r, g, b]| [r, g, b, 255]).collect()),
        Channels::Grey | Channels::Cmyk => None,
    }
}

/// Whether nobody could tell these colours apart: the profile is sRGB under whatever name.
fn is_the_same(before: &[u8], after: &[u8]) -> bool {
    before.iter().zip(after).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Inks that each take their share of white light, for want of a profile.
fn plain_inks(bitmap: &Bitmap) -> Option<Bitmap> {
    let product = |ink: u8, black: u8| {
        let light = u16::from(255 - ink) * u16::from(255 - black);
        // At most 255.
        ((light + 127) / 255) as u8
    };
    let pixels = bitmap
        .quadruples()
        .iter()
        .flat_map(|&[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| product(ink, black))
        })
        .collect();
    Bitmap::new(bitmap.width(), bitmap.height(), Channels::Rgb, pixels)
}

fn description(profile: &ColorProfile) -> Option<String> {
    /// Longer ones say nothing more.
    const LONGEST: usize = 200;
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
    let text: String = text.chars().take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}
