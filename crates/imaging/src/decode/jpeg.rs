//! JPEG (ITU-T T.81): baseline, extended sequential and progressive, with Huffman's codes and 8 bits.
//!
//! The decoder is ours because nothing else is as fast in a sandbox and reduces each plane by itself:
//! colours, which are stored at half the size as a rule, stay as they are in a picture of half the size.

mod bits;
mod colour;
mod filter;
mod huffman;
mod kept;
mod planes;
mod scan;
mod streamed;
mod tables;
mod transform;

#[cfg(test)]
mod tests;

use bits::Bits;
use kept::Kept;
use planes::Planes;
use scan::{Scan, damaged, missing_table};
use tables::Tables;
use transform::{Size, Transform};

use crate::bitmap::Bitmap;
use crate::decode::Plan;
use crate::error::Error;
use crate::format::Format;
use crate::header::jpeg::{Frame, Segment, Segments};

/// More scans than any encoder writes: libjpeg's has ten. Each takes as long as the picture is large, and
/// can be a hundred bytes short.
const SCANS_MOST: u32 = 100;

pub(super) fn decode(
    file: &[u8],
    frame: &Frame,
    (width, height): (u32, u32),
    plan: Plan,
) -> Result<Bitmap, Error> {
    let (width, height) = (width as usize, height as usize);
    let (most_across, most_down) = frame.densest();
    let units = (
        width.div_ceil(8 * most_across),
        height.div_ceil(8 * most_down),
    );
    let target = (plan.width as usize, plan.height as usize);
    let mut planes = Planes::new(frame, size(plan), (width, height), target);
    let mut transforms: Vec<Option<Transform>> = frame.components.iter().map(|_| None).collect();
    let mut tables = Tables::default();
    let mut kept = None;
    let mut scans = 0;
    let mut segments = Segments::of(file);
    loop {
        // Of a file without an end nobody knows whether it was cut between two scans.
        let Segment { marker, content } = segments.next_segment().ok_or_else(ends_early)?;
        match marker {
            0xc4 => tables.read_huffman(content).ok_or_else(damaged)?,
            0xdb => tables.read_quantisation(content).ok_or_else(damaged)?,
            0xdd => tables.read_restart_interval(content).ok_or_else(damaged)?,
            0xda => {
                let scan = Scan::read(content, frame).ok_or_else(damaged)?;
                scans += 1;
                if scans > SCANS_MOST {
                    return Err(Error::broken(Format::Jpeg, "it has too many scans"));
                }
                for coded in &scan.components {
                    let component = coded.component;
                    if transforms[component].is_none() {
                        let selector = usize::from(frame.components[component].quantisation);
                        let quantisation = tables.quantisation.get(selector);
                        let quantisation = quantisation
                            .and_then(Option::as_ref)
                            .ok_or_else(missing_table)?;
                        let size = planes.bands[component].size;
                        transforms[component] = Some(Transform::new(size, quantisation));
                    }
                }
                let bits = Bits::new(file, segments.position());
                if !frame.progressive && scan.components.len() == frame.components.len() {
                    let transforms: Vec<Transform> = transforms.into_iter().flatten().collect();
                    streamed::read(bits, &scan, &tables, &transforms, &mut planes, units)?;
                    break;
                }
                let kept = kept.get_or_insert_with(|| Kept::new(&planes.bands, units));
                let end = kept.read(bits, &scan, frame.progressive, &tables, &planes.bands)?;
                segments.go_to(end);
            }
            0xd9 => {
                let transforms: Vec<Transform> = transforms.into_iter().flatten().collect();
                match kept {
                    // What no scan has coded cannot be guessed.
                    Some(kept) if transforms.len() == frame.components.len() => {
                        kept.finish(&transforms, &mut planes);
                    }
                    _ => return Err(ends_early()),
                }
                break;
            }
            _ => {}
        }
    }
    Bitmap::new(plan.width, plan.height, plan.channels, planes.finish())
        .ok_or_else(|| Error::broken(Format::Jpeg, "its pixels are incomplete"))
}

/// What becomes of a block.
fn size(plan: Plan) -> Size {
    Size::at_most(8 / plan.reduction)
}

fn ends_early() -> Error {
    Error::broken(Format::Jpeg, "it ends before its pixels do")
}

/// The memory that decoding takes.
pub(super) fn memory(frame: &Frame, (width, height): (u32, u32), plan: Plan) -> u64 {
    let target = (plan.width as usize, plan.height as usize);
    let picture = (width as usize, height as usize);
    // All coefficients, of two bytes each, with the blocks that fill up units.
    let kept = if frame.keeps_coefficients() {
        let (across, down) = frame.densest();
        let whole = |side: u32, most: usize| u64::from(side).next_multiple_of(8 * most as u64);
        frame.samples(whole(width, across) * whole(height, down)) * 2
    } else {
        0
    };
    Planes::memory(frame, size(plan), picture, target) + kept
}
