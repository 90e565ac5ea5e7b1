//! JPEG decoding (ITU-T T.81): baseline, extended sequential and progressive, Huffman-coded, 8 bits per
//! sample.
//!
//! An image whose first scan codes all components is decoded and resized row by row ([`single_scan`]); for
//! any other, all coefficients are buffered until the last scan ([`multi_scan`]). Either way each component
//! goes through a scaled inverse DCT ([`idct`]) and a Lanczos filter ([`filter`]) to the requested size,
//! and is converted to pixels there ([`planes`], [`colour`]).
//!
//! This is our own decoder because no other is as fast in a sandbox and scales each component by itself:
//! subsampled chroma isn't reduced any further in an image of half the size.

mod bit_reader;
mod colour;
mod filter;
mod huffman;
mod idct;
mod multi_scan;
mod planes;
mod scan;
mod single_scan;
mod tables;

#[cfg(test)]
mod tests;

use bit_reader::BitReader;
use idct::{BlockSize, InverseDct};
use multi_scan::CoefficientBuffer;
use planes::Planes;
use scan::{Scan, corrupt_data, missing_table};
use tables::Tables;

use crate::bitmap::Bitmap;
use crate::decode::Plan;
use crate::error::Error;
use crate::format::Format;
use crate::header::jpeg::{Frame, Segments};
use crate::jpeg::marker;

/// Upper bound on the number of scans, more than any encoder writes (libjpeg: ten). A scan of a hundred
/// bytes can take as much time as the whole image.
const SCANS_MAX: u32 = 100;

pub(super) fn decode(
    file: &[u8],
    frame: &Frame,
    (width, height): (u32, u32),
    plan: Plan,
) -> Result<Bitmap, Error> {
    let (width, height) = (width as usize, height as usize);
    let (max_horizontal, max_vertical) = frame.max_sampling_factors();
    let mcus = (
        width.div_ceil(8 * max_horizontal),
        height.div_ceil(8 * max_vertical),
    );
    let target = (plan.width as usize, plan.height as usize);
    let mut planes = Planes::new(frame, block_size(plan), (width, height), target);
    let mut idcts: Vec<Option<InverseDct>> = frame.components.iter().map(|_| None).collect();
    let mut tables = Tables::default();
    let mut buffer = None;
    let mut scans = 0;
    let mut segments = Segments::new(file);
    loop {
        // Without EOI, the file may have been cut between two scans.
        let segment = segments.next_segment().ok_or_else(unexpected_end)?;
        match segment.marker {
            marker::DHT => tables
                .read_huffman(segment.content)
                .ok_or_else(corrupt_data)?,
            marker::DQT => tables
                .read_quantisation(segment.content)
                .ok_or_else(corrupt_data)?,
            marker::DRI => tables
                .read_restart_interval(segment.content)
                .ok_or_else(corrupt_data)?,
            marker::SOS => {
                let scan = Scan::parse(segment.content, frame).ok_or_else(corrupt_data)?;
                scans += 1;
                if scans > SCANS_MAX {
                    return Err(Error::broken(Format::Jpeg, "it has too many scans"));
                }
                for coded in &scan.components {
                    let component = coded.component;
                    if idcts[component].is_none() {
                        let selector = usize::from(frame.components[component].quantisation);
                        let quantisation = tables.quantisation.get(selector);
                        let quantisation = quantisation
                            .and_then(Option::as_ref)
                            .ok_or_else(missing_table)?;
                        let size = planes.planes[component].size;
                        idcts[component] = Some(InverseDct::new(size, quantisation));
                    }
                }
                let bits = BitReader::new(file, segments.position());
                if !frame.progressive && scan.components.len() == frame.components.len() {
                    let idcts: Vec<InverseDct> = idcts.into_iter().flatten().collect();
                    single_scan::decode(bits, &scan, &tables, &idcts, &mut planes, mcus)?;
                    break;
                }
                let buffer =
                    buffer.get_or_insert_with(|| CoefficientBuffer::new(&planes.planes, mcus));
                let end =
                    buffer.read_scan(bits, &scan, frame.progressive, &tables, &planes.planes)?;
                segments.seek(end);
            }
            marker::EOI => {
                let idcts: Vec<InverseDct> = idcts.into_iter().flatten().collect();
                match buffer {
                    // A component without any scan has no coefficients.
                    Some(buffer) if idcts.len() == frame.components.len() => {
                        buffer.finish(&idcts, &mut planes);
                    }
                    _ => return Err(unexpected_end()),
                }
                break;
            }
            _ => {}
        }
    }
    Bitmap::new(plan.width, plan.height, plan.channels, planes.finish())
        .ok_or_else(|| Error::broken(Format::Jpeg, "its image data is incomplete"))
}

/// Size of a decoded block at the plan's DCT scaling.
fn block_size(plan: Plan) -> BlockSize {
    BlockSize::at_most(8 / plan.reduction)
}

fn unexpected_end() -> Error {
    Error::broken(Format::Jpeg, "it is truncated")
}

/// Upper bound on the memory for decoding, in bytes.
pub(super) fn memory(frame: &Frame, (width, height): (u32, u32), plan: Plan) -> u64 {
    let target = (plan.width as usize, plan.height as usize);
    let size = (width as usize, height as usize);
    // The coefficient buffer: two bytes per coefficient, in whole MCUs.
    let coefficients = if frame.needs_coefficient_buffer() {
        let (across, down) = frame.max_sampling_factors();
        let whole = |side: u32, factor: usize| u64::from(side).next_multiple_of(8 * factor as u64);
        frame.samples(whole(width, across) * whole(height, down)) * 2
    } else {
        0
    };
    Planes::memory(frame, block_size(plan), size, target) + coefficients
}
