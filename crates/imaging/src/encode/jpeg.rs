//! JPEG encoding (ITU-T T.81): sequential or progressive, with optimised Huffman tables, and 4:2:0 chroma
//! subsampling below quality 90.
//!
//! The image is split into component planes ([`planes`]), transformed to quantised coefficients ([`fdct`])
//! and coded in scans ([`scan`]). The symbols of a scan are counted before its codes are chosen
//! ([`huffman`]).

mod fdct;
mod huffman;
mod planes;
mod scan;

#[cfg(test)]
mod tests;

use fdct::{Blocks, ForwardDct};
use huffman::Tokens;
use planes::{Plane, Planes};
use scan::{Scan, ScanEncoder};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::jpeg::{Block, ZIGZAG, marker};

/// Long side in pixels from which an image is encoded progressively. A smaller one loads in one go, and
/// would only take longer to encode and decode.
const PROGRESSIVE_FROM: u32 = 1000;

/// `true` if chroma isn't subsampled at this quality.
pub(super) fn has_full_chroma(quality: u8) -> bool {
    quality >= 90
}

/// Encodes the image.
///
/// # Errors
/// [`Error::Encoder`] for a side of more than 65,535 pixels.
pub(super) fn encode(bitmap: &Bitmap, quality: u8) -> Result<Vec<u8>, Error> {
    let has_colour = bitmap.channels() != Channels::Grey;
    if bitmap.width().max(bitmap.height()) < PROGRESSIVE_FROM {
        encode_as(marker::SOF0, Scan::sequential(has_colour), bitmap, quality)
    } else {
        encode_as(marker::SOF2, Scan::progressive(has_colour), bitmap, quality)
    }
}

/// Encodes the image in the given scans. `kind` is the marker of the frame header: SOF0, SOF1 or SOF2
/// (T.81, table B.1).
fn encode_as(kind: u8, scans: Vec<Scan>, bitmap: &Bitmap, quality: u8) -> Result<Vec<u8>, Error> {
    let side = |side: u32| u16::try_from(side).map_err(|error| Error::Encoder(error.to_string()));
    let size = (side(bitmap.width())?, side(bitmap.height())?);
    let subsampling = if has_full_chroma(quality) { 1 } else { 2 };
    let quantisation_tables = [quantisation(&LUMA, quality), quantisation(&CHROMA, quality)];
    let fdcts = quantisation_tables.each_ref().map(ForwardDct::new);
    let mut planes = Planes::new(bitmap, subsampling);
    let mut components: Vec<Component> = (0..)
        .zip(planes.planes())
        .map(|(index, plane)| Component::new(index, plane, bitmap))
        .collect();

    let mut file = File(vec![0xff, marker::SOI]);
    // JFIF 1.01 with square pixels (T.871, 10.1).
    file.segment(marker::APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (selector, table) in (0..)
        .zip(&quantisation_tables)
        .take(components.len().min(2))
    {
        let mut content = vec![selector];
        // At most 255.
        content.extend(table.iter().map(|&step| step as u8));
        file.segment(marker::DQT, &content);
    }
    file.frame(kind, size, &components);

    // A single scan is encoded MCU row by MCU row, and its coefficients are dropped.
    let mut only = match scans.as_slice() {
        [scan] => Some(ScanEncoder::new(scan)),
        _ => None,
    };
    while let Some(planes) = planes.advance() {
        for (component, plane) in components.iter_mut().zip(planes) {
            fdcts[usize::from(component.table)].add_blocks(plane, &mut component.blocks);
        }
        if let Some(encoder) = &mut only {
            encoder.add_blocks(&components);
            for component in &mut components {
                component.blocks.clear();
            }
        }
    }
    if let Some(encoder) = only {
        file.scan(&scans[0], &components, &encoder.finish());
    } else {
        for scan in &scans {
            let mut encoder = ScanEncoder::new(scan);
            encoder.add_blocks(&components);
            file.scan(scan, &components, &encoder.finish());
        }
    }
    file.0.extend([0xff, marker::EOI]);
    Ok(file.0)
}

/// Component of the image.
struct Component {
    /// Sampling factor, horizontal and vertical.
    sampling: usize,
    /// Blocks of the component, without those that only complete MCUs.
    blocks_across: usize,
    blocks_down: usize,
    /// Coefficients: of the whole image, or of one MCU row if there is a single scan.
    blocks: Blocks,
    /// Selector of the tables: 0 for luma, 1 for chroma.
    table: u8,
}

impl Component {
    fn new(index: u8, plane: &Plane, bitmap: &Bitmap) -> Self {
        let blocks = |side: u32| (side as usize).div_ceil(plane.subsampling).div_ceil(8);
        Self {
            sampling: plane.sampling,
            blocks_across: blocks(bitmap.width()),
            blocks_down: blocks(bitmap.height()),
            blocks: Blocks::new(plane.width / 8),
            table: index.min(1),
        }
    }
}

/// Output file.
struct File(Vec<u8>);

impl File {
    /// Appends a marker segment of at most 65,533 bytes.
    fn segment(&mut self, marker: u8, content: &[u8]) {
        self.0.extend([0xff, marker]);
        self.0.extend((content.len() as u16 + 2).to_be_bytes());
        self.0.extend(content);
    }

    /// Appends the frame header (T.81, B.2.2).
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

    /// Appends a scan after its Huffman tables (T.81, B.2.3 and B.2.4.2).
    fn scan(&mut self, scan: &Scan, components: &[Component], tokens: &Tokens) {
        let tables = tokens.huffman_tables();
        for (selector, table) in tables.iter().enumerate() {
            if let Some(table) = table {
                // Two DC tables, then two AC tables.
                let mut content = vec![((selector as u8 / 2) << 4) | (selector as u8 % 2)];
                content.extend(table.counts);
                content.extend(&table.symbols);
                self.segment(marker::DHT, &content);
            }
        }
        let mut content = vec![scan.components.len() as u8];
        for &component in &scan.components {
            let table = components[component].table;
            content.extend([component as u8 + 1, table << 4 | table]);
        }
        content.extend([
            scan.spectral_start as u8,
            scan.spectral_end as u8,
            (scan.approximation_high << 4 | scan.approximation_low) as u8,
        ]);
        self.segment(marker::SOS, &content);
        tokens.write(&tables, &mut self.0);
    }
}

/// Scales a quantisation table to the quality as libjpeg does, in zigzag order.
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

/// Luma quantisation (T.81, table K.1).
#[rustfmt::skip]
const LUMA: Block<u8> = [
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
];

/// Chroma quantisation (T.81, table K.2).
#[rustfmt::skip]
const CHROMA: Block<u8> = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];
