//! JPEG (ITU-T T.81) with Huffman tables of its own, progressive or sequential, with colours at half the
//! size below quality 90.
//!
//! A picture becomes planes ([`planes`]), these become blocks of coefficients ([`transform`]), and these
//! scans, whose symbols are counted before their codes are chosen ([`scan`], [`huffman`]).

mod huffman;
mod planes;
mod scan;
mod transform;

#[cfg(test)]
mod tests;

use huffman::Tokens;
use planes::{Plane, Planes};
use scan::{Coder, Scan};
use transform::{Blocks, Transform};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::jpeg::{Block, ZIGZAG};

/// The longer side from which on a picture is progressive. A smaller one arrives at once, and would only
/// take longer to write and to read.
const PROGRESSIVE_FROM: u32 = 1000;

/// Whether colours have the size of the picture at this quality, or else half of it.
pub(super) fn has_full_colour(quality: u8) -> bool {
    quality >= 90
}

/// The picture as a file.
///
/// # Errors
/// [`Error::Encoder`] for a side of more than 65,535 pixels.
pub(super) fn encode(bitmap: &Bitmap, quality: u8) -> Result<Vec<u8>, Error> {
    let has_colour = bitmap.channels() != Channels::Grey;
    if bitmap.width().max(bitmap.height()) < PROGRESSIVE_FROM {
        encode_as(0xc0, Scan::sequential(has_colour), bitmap, quality)
    } else {
        encode_as(0xc2, Scan::progressive(has_colour), bitmap, quality)
    }
}

/// The picture in these scans, with this marker for their kind (T.81, table B.1).
fn encode_as(kind: u8, scans: Vec<Scan>, bitmap: &Bitmap, quality: u8) -> Result<Vec<u8>, Error> {
    let side = |side: u32| u16::try_from(side).map_err(|error| Error::Encoder(error.to_string()));
    let size = (side(bitmap.width())?, side(bitmap.height())?);
    let reduction = if has_full_colour(quality) { 1 } else { 2 };
    let steps = [
        quantisation(&BRIGHTNESS, quality),
        quantisation(&COLOUR, quality),
    ];
    let transforms = steps.each_ref().map(Transform::new);
    let mut planes = Planes::new(bitmap, reduction);
    let mut components: Vec<Component> = (0..)
        .zip(planes.planes())
        .map(|(index, plane)| Component::new(index, plane, bitmap))
        .collect();

    let mut file = File(vec![0xff, 0xd8]);
    // JFIF 1.01, and pixels as high as wide (T.871, 10.1).
    file.segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (selector, steps) in (0..).zip(&steps).take(components.len().min(2)) {
        let mut content = vec![selector];
        // At most 255.
        content.extend(steps.iter().map(|&step| step as u8));
        file.segment(0xdb, &content);
    }
    file.frame(kind, size, &components);

    // What one scan codes need not be kept for the next.
    let mut only = match scans.as_slice() {
        [scan] => Some(Coder::new(scan)),
        _ => None,
    };
    while let Some(planes) = planes.advance() {
        for (component, plane) in components.iter_mut().zip(planes) {
            transforms[usize::from(component.table)].add(plane, &mut component.blocks);
        }
        if let Some(coder) = &mut only {
            coder.add(&components);
            for component in &mut components {
                component.blocks.clear();
            }
        }
    }
    if let Some(coder) = only {
        file.scan(&scans[0], &components, &coder.finish());
    } else {
        for scan in &scans {
            let mut coder = Coder::new(scan);
            coder.add(&components);
            file.scan(scan, &components, &coder.finish());
        }
    }
    file.0.extend([0xff, 0xd9]);
    Ok(file.0)
}

/// A component of the picture.
struct Component {
    /// How many of its blocks are coded together, across and down.
    sampling: usize,
    /// Its blocks, without those that only fill up units.
    blocks_across: usize,
    blocks_down: usize,
    /// Those that are there.
    blocks: Blocks,
    /// 0 for brightness, 1 for colour: its tables.
    table: u8,
}

impl Component {
    fn new(index: u8, plane: &Plane, bitmap: &Bitmap) -> Self {
        let blocks = |side: u32| (side as usize).div_ceil(plane.reduction).div_ceil(8);
        Self {
            sampling: plane.sampling,
            blocks_across: blocks(bitmap.width()),
            blocks_down: blocks(bitmap.height()),
            blocks: Blocks::new(plane.width / 8),
            table: index.min(1),
        }
    }
}

/// A file that grows.
struct File(Vec<u8>);

impl File {
    /// A marker and what belongs to it; at most 65,533 bytes.
    fn segment(&mut self, marker: u8, content: &[u8]) {
        self.0.extend([0xff, marker]);
        self.0.extend((content.len() as u16 + 2).to_be_bytes());
        self.0.extend(content);
    }

    /// The frame header (T.81, B.2.2).
    fn frame(&mut self, kind: u8, (width, height): (u16, u16), components: &[Component]) {
        let mut content = vec![8];
        content.extend(height.to_be_bytes());
        content.extend(width.to_be_bytes());
        content.push(components.len() as u8);
        for (identifier, component) in (1..).zip(components) {
            let sampling = component.sampling as u8;
            content.extend([identifier, sampling << 4 | sampling, component.table]);
        }
        self.segment(kind, &content);
    }

    /// A scan with its tables (T.81, B.2.3 and B.2.4.2).
    fn scan(&mut self, scan: &Scan, components: &[Component], tokens: &Tokens) {
        let codes = tokens.codes();
        for (selector, code) in codes.iter().enumerate() {
            if let Some(code) = code {
                // Two tables for means, then two for details.
                let mut content = vec![((selector as u8 / 2) << 4) | (selector as u8 % 2)];
                content.extend(code.counts);
                content.extend(&code.symbols);
                self.segment(0xc4, &content);
            }
        }
        let mut content = vec![scan.components.len() as u8];
        for &component in &scan.components {
            let table = components[component].table;
            content.extend([component as u8 + 1, table << 4 | table]);
        }
        content.extend([
            scan.first as u8,
            scan.last as u8,
            (scan.high << 4 | scan.low) as u8,
        ]);
        self.segment(0xda, &content);
        tokens.write(&codes, &mut self.0);
    }
}

/// The steps of coefficients, in the order of storage, scaled to the quality as libjpeg does it.
fn quantisation(table: &Block<u8>, quality: u8) -> Block<u16> {
    let quality = u16::from(quality.clamp(1, 100));
    let percent = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    ZIGZAG.map(|place| {
        let step = u32::from(table[usize::from(place)]) * u32::from(percent);
        // At most 255.
        ((step + 50) / 100).clamp(1, 255) as u16
    })
}

/// T.81, table K.1.
#[rustfmt::skip]
const BRIGHTNESS: Block<u8> = [
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
];

/// T.81, table K.2.
#[rustfmt::skip]
const COLOUR: Block<u8> = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];
