//! Pictures that one sequential scan codes whole: each block becomes samples as soon as it is read, so
//! that no coefficients are kept.

use super::bits::Bits;
use super::huffman::Huffman;
use super::planes::Planes;
use super::scan::{Restarts, Scan, check_end, damaged, missing_table};
use super::tables::Tables;
use super::transform::{Coefficients, Transform};
use crate::error::Error;

/// Reads the scan whose bits begin at `bits` (T.81, F.2.2).
pub(super) fn read(
    mut bits: Bits<'_>,
    scan: &Scan,
    tables: &Tables,
    transforms: &[Transform],
    planes: &mut Planes,
    (units_across, units_down): (usize, usize),
) -> Result<(), Error> {
    let mut components = Vec::new();
    for coded in &scan.components {
        let component = Component {
            transform: &transforms[coded.component],
            means: tables.means(coded.means).ok_or_else(missing_table)?,
            details: tables.details(coded.details).ok_or_else(missing_table)?,
            mean: 0,
            coefficients: [0.0; 128],
        };
        components.push((coded.component, component));
    }
    let mut restarts = Restarts::new(tables.restart_interval);
    for _ in 0..units_down {
        for unit in 0..units_across {
            if restarts.is_due(&mut bits)? {
                for (_, component) in &mut components {
                    component.mean = 0;
                }
            }
            for (index, component) in &mut components {
                let band = &mut planes.bands[*index];
                for down in 0..band.vertical {
                    for across in unit * band.horizontal..(unit + 1) * band.horizontal {
                        let stride = band.stride;
                        let target = band.block(across, down);
                        component
                            .read(&mut bits, target, stride)
                            .ok_or_else(damaged)?;
                    }
                }
            }
        }
        check_end(&bits)?;
        planes.advance();
    }
    Ok(())
}

struct Component<'t> {
    transform: &'t Transform,
    means: Huffman,
    details: Huffman,
    /// Of the block before.
    mean: i32,
    /// Zeros between two blocks.
    coefficients: Coefficients,
}

impl Component<'_> {
    /// Reads a block, and writes its samples to the rows of `target`. By itself, and with bits of its own,
    /// because this is where the time goes: what is around it would take its registers.
    #[inline(never)]
    fn read(&mut self, bits: &mut Bits<'_>, target: &mut [u8], stride: usize) -> Option<()> {
        let mut local = *bits;
        let transform = self.transform;
        let coefficients = &mut self.coefficients;
        self.mean = self.mean.wrapping_add(self.means.mean(&mut local)?);
        transform.set(coefficients, 0, self.mean);
        let has_details = self.details.details(&mut local, |place, value| {
            transform.set(coefficients, place, value);
        })?;
        *bits = local;
        transform.samples(coefficients, has_details, target, stride);
        Some(())
    }
}
