//! Processing of one image: from the file to its variants, metadata and placeholders.
//!
//! The image is decoded once, at the size of the largest variant where the format allows it (JPEG). Each
//! smaller variant is resized from the next larger one. Limits are checked before the memory is
//! allocated.

use std::cmp::Reverse;

use sha2::{Digest, Sha256};

use crate::bitmap::{Bitmap, Channels};
use crate::colour::Profile;
use crate::decode::{Plan, decode};
use crate::encode::{encode, memory_per_pixel};
use crate::error::Error;
use crate::exif::Tags;
use crate::format::Format;
use crate::header::avif::AvifImage;
use crate::header::{FormatInfo, Header};
use crate::limits::Limits;
use crate::metadata::{Metadata, Position};
use crate::orientation::Orientation;
use crate::placeholder::Placeholders;
use crate::resize::resize;
use crate::variant_spec::{Encoding, VariantSpec};

/// The result of processing an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    /// Metadata and placeholders.
    pub metadata: Metadata,
    /// GPS position. Private: keep it apart from `metadata`.
    pub position: Option<Position>,
    /// SHA-256 of the original file.
    pub sha256: Sha256Sum,
    /// The variants, in the order of the request.
    pub variants: Vec<Variant>,
}

/// A resized image as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Name from the [`VariantSpec`].
    pub name: String,
    /// File format; it differs from the requested one where that lacks transparency.
    pub format: Format,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// SHA-256 of `file`.
    pub sha256: Sha256Sum,
    /// Content of the file.
    pub file: Vec<u8>,
}

/// A SHA-256 digest (FIPS 180-4).
pub type Sha256Sum = [u8; 32];

/// Decodes an image and creates its variants.
///
/// # Errors
/// If the file isn't a supported image, is broken, or exceeds `limits`; see [`Error`].
pub fn process(file: &[u8], specs: &[VariantSpec], limits: &Limits) -> Result<Processed, Error> {
    limits.check_file(file.len() as u64)?;
    let mut header = Header::read(file, limits)?;
    let tags = Tags::parse(header.exif.take());
    let orientation = header.orientation.unwrap_or_else(|| tags.orientation());
    let (width, height) = orientation.size(header.width, header.height);
    let size = |spec: &VariantSpec| spec.size(width, height);
    let largest = specs
        .iter()
        .max_by_key(|spec| spec.long_side())
        .map_or((1, 1), size);
    let (stored_width, stored_height) = orientation.size(largest.0, largest.1);
    let plan = Plan::new(&header, stored_width, stored_height);
    let outputs = specs.iter().map(|spec| {
        let (width, height) = size(spec);
        let encoding = match spec.encoding() {
            encoding if header.alpha => encoding.with_transparency(),
            encoding => encoding,
        };
        (u64::from(width) * u64::from(height), encoding)
    });
    limits.check_memory(estimated_memory(
        file,
        &plan,
        (stored_width, stored_height),
        outputs,
    ))?;

    let profile = profile(&mut header);
    let decoded = decode(file, &header, plan)?;
    let mut source = normalise(
        decoded,
        (stored_width, stored_height),
        orientation,
        &profile,
    )?;
    let transparency = source.has_transparency();
    if !transparency {
        source = source.without_alpha();
    }

    // Largest first, because each variant is resized from the one before.
    let mut order: Vec<_> = specs.iter().enumerate().collect();
    order.sort_by_key(|(_, spec)| Reverse(spec.long_side()));
    let mut variants = Vec::with_capacity(order.len());
    for (index, spec) in order {
        let (width, height) = size(spec);
        if (width, height) != (source.width(), source.height()) {
            source = resize(&source, width, height)?;
        }
        let encoding = if transparency {
            spec.encoding().with_transparency()
        } else {
            spec.encoding()
        };
        let file = encode(&source, encoding)?;
        let variant = Variant {
            name: spec.name().to_owned(),
            format: encoding.format(),
            width,
            height,
            sha256: Sha256::digest(&file).into(),
            file,
        };
        variants.push((index, variant));
    }
    variants.sort_by_key(|(index, _)| *index);

    // The smallest variant has enough detail for the placeholders.
    let placeholders = Placeholders::new(&source)?;
    Ok(Processed {
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
            blurhash: placeholders.blurhash,
            thumbhash: placeholders.thumbhash,
        },
        position: tags.position(),
        sha256: Sha256::digest(file).into(),
        variants: variants.into_iter().map(|(_, variant)| variant).collect(),
    })
}

/// Takes the colour profile out of the header: an ICC profile, or else the code points of AVIF's `nclx`.
fn profile(header: &mut Header) -> Profile {
    match (header.icc.take(), &header.info) {
        (
            None,
            FormatInfo::Avif(AvifImage {
                nclx: Some(nclx), ..
            }),
        ) => Profile::from_cicp(nclx.primaries, nclx.transfer),
        (icc, _) => Profile::parse(icc.as_deref()),
    }
}

/// Resizes the decoded image to the largest variant, then applies the orientation and converts to sRGB.
///
/// Resizing comes first, because the other two steps cost less on fewer pixels.
fn normalise(
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

/// Upper bound on the memory of the whole processing, in bytes. `outputs` has the number of pixels and the
/// encoding of each variant.
fn estimated_memory(
    file: &[u8],
    plan: &Plan,
    (width, height): (u32, u32),
    outputs: impl Iterator<Item = (u64, Encoding)>,
) -> u64 {
    /// Code, tables, stacks and the codecs' own buffers.
    const BASE: u64 = 8 << 20;
    let channels = plan.channels.count() as u64;
    let source = u64::from(plan.width) * u64::from(plan.height) * channels;
    let largest = u64::from(width) * u64::from(height);
    // Output of the resampling filter's horizontal pass.
    let intermediate = u64::from(width) * u64::from(plan.height) * channels;
    // Premultiplying by alpha copies the source.
    let premultiplied = if plan.channels == Channels::Rgba {
        source
    } else {
        0
    };
    let resizing = source + premultiplied + intermediate + largest * channels;
    let (mut encoding, mut files) = (0, 0);
    for (pixels, format) in outputs {
        let (working, kept) = memory_per_pixel(format);
        encoding = encoding.max(pixels * working);
        files += pixels * kept;
    }
    // Rotating and resizing hold the pixels twice.
    let rendering = largest * 2 * 4 + encoding;
    BASE + file.len() as u64 + files + plan.memory.max(resizing).max(rendering)
}
