//! From a file to its prints.

use std::cmp::Reverse;

use sha2::{Digest, Sha256};

use crate::bitmap::{Bitmap, Channels};
use crate::colour::Profile;
use crate::decode::{Plan, decode};
use crate::encode::{encode, memory_per_pixel};
use crate::error::Error;
use crate::exif::Tags;
use crate::format::Format;
use crate::header::avif::Item;
use crate::header::{Header, Layout};
use crate::likeness::Likeness;
use crate::limits::Limits;
use crate::metadata::{Metadata, Position};
use crate::orientation::Orientation;
use crate::resize::resize;
use crate::variant::{Encoding, Variant};

/// A picture, printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Prints {
    /// What is known about it.
    pub metadata: Metadata,
    /// Where it was taken: not for everybody.
    pub position: Option<Position>,
    /// SHA-256 of the file.
    pub sha256: Sha256Sum,
    /// The prints, in the order in which they were asked for.
    pub variants: Vec<Print>,
}

/// A print of a picture: a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    /// What the variant is called.
    pub name: String,
    /// What it is.
    pub format: Format,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// SHA-256 of the file.
    pub sha256: Sha256Sum,
    /// The file.
    pub file: Vec<u8>,
}

/// A SHA-256 (FIPS 180-4).
pub type Sha256Sum = [u8; 32];

/// Prints a picture in every variant.
///
/// # Errors
/// When the file is no picture, is broken, or would take more than `limits`; see [`Error`].
pub fn print(file: &[u8], variants: &[Variant], limits: &Limits) -> Result<Prints, Error> {
    limits.check_file(file.len() as u64)?;
    let mut header = Header::read(file, limits)?;
    let tags = Tags::read(header.exif.take());
    let orientation = header.orientation.unwrap_or_else(|| tags.orientation());
    let (width, height) = orientation.size(header.width, header.height);
    let size = |variant: &Variant| variant.size(width, height);
    let largest = variants
        .iter()
        .max_by_key(|variant| variant.long_side())
        .map_or((1, 1), size);
    let (stored_width, stored_height) = orientation.size(largest.0, largest.1);
    let plan = Plan::new(&header, stored_width, stored_height);
    let wanted = variants.iter().map(|variant| {
        let (width, height) = size(variant);
        let encoding = match variant.encoding() {
            encoding if header.alpha => encoding.with_transparency(),
            encoding => encoding,
        };
        (u64::from(width) * u64::from(height), encoding)
    });
    limits.check_memory(memory(file, &plan, (stored_width, stored_height), wanted))?;

    let profile = profile(&mut header);
    let decoded = decode(file, &header, plan)?;
    let mut source = develop(
        decoded,
        (stored_width, stored_height),
        orientation,
        &profile,
    )?;
    let transparency = source.has_transparency();
    if !transparency {
        source = source.without_alpha();
    }

    // Large ones first: a smaller one is made of the one before.
    let mut order: Vec<_> = variants.iter().enumerate().collect();
    order.sort_by_key(|(_, variant)| Reverse(variant.long_side()));
    let mut prints = Vec::with_capacity(order.len());
    for (index, variant) in order {
        let (width, height) = size(variant);
        if (width, height) != (source.width(), source.height()) {
            source = resize(&source, width, height)?;
        }
        let encoding = if transparency {
            variant.encoding().with_transparency()
        } else {
            variant.encoding()
        };
        let file = encode(&source, encoding)?;
        let print = Print {
            name: variant.name().to_owned(),
            format: encoding.format(),
            width,
            height,
            sha256: Sha256::digest(&file).into(),
            file,
        };
        prints.push((index, print));
    }
    prints.sort_by_key(|(index, _)| *index);

    let likeness = Likeness::of(&source)?;
    Ok(Prints {
        metadata: Metadata {
            format: header.format,
            width,
            height,
            stored_width: header.width,
            stored_height: header.height,
            frames: header.frames,
            transparency,
            bit_depth: header.bit_depth,
            profile: profile.description().map(str::to_owned),
            camera: tags.camera(),
            blurhash: likeness.blurhash,
            thumbhash: likeness.thumbhash,
        },
        position: tags.position(),
        sha256: Sha256::digest(file).into(),
        variants: prints.into_iter().map(|(_, print)| print).collect(),
    })
}

fn profile(header: &mut Header) -> Profile {
    match (header.icc.take(), &header.layout) {
        (
            None,
            Layout::Avif(Item {
                coding: Some(coding),
                ..
            }),
        ) => Profile::of_code_points(coding.primaries, coding.transfer),
        (icc, _) => Profile::read(icc.as_deref()),
    }
}

/// The largest print's pixels: small, upright and in sRGB, in that order, because turning and colouring
/// cost less when there is less to turn and to colour.
fn develop(
    decoded: Bitmap,
    (width, height): (u32, u32),
    orientation: Orientation,
    profile: &Profile,
) -> Result<Bitmap, Error> {
    let resized = if (width, height) == (decoded.width(), decoded.height()) {
        decoded
    } else {
        let resized = resize(&decoded, width, height)?;
        drop(decoded);
        resized
    };
    Ok(profile.to_srgb(orientation.apply(resized)))
}

/// What the whole work takes, in bytes, reckoned generously; `prints` are pixels and encodings.
fn memory(
    file: &[u8],
    plan: &Plan,
    (width, height): (u32, u32),
    prints: impl Iterator<Item = (u64, Encoding)>,
) -> u64 {
    /// Code, tables, stacks, buffers of codecs.
    const BASE: u64 = 8 << 20;
    let channels = plan.channels.count() as u64;
    let source = u64::from(plan.width) * u64::from(plan.height) * channels;
    let largest = u64::from(width) * u64::from(height);
    // The filter's first pass, across.
    let between = u64::from(width) * u64::from(plan.height) * channels;
    // Weighting by opacity copies the source.
    let weighted = if plan.channels == Channels::Rgba {
        source
    } else {
        0
    };
    let resizing = source + weighted + between + largest * channels;
    let (mut writing, mut files) = (0, 0);
    for (pixels, encoding) in prints {
        let (working, kept) = memory_per_pixel(encoding);
        writing = writing.max(pixels * working);
        files += pixels * kept;
    }
    // The pixels twice while they are turned or resized.
    let printing = largest * 2 * 4 + writing;
    BASE + file.len() as u64 + files + plan.memory.max(resizing).max(printing)
}
