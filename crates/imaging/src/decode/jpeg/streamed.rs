//! Pictures that one sequential scan codes whole: each block becomes samples as soon as it is read, so
//! that no coefficients are kept.

use super::bits::Bits;
use super::huffman::{Huffman, Tables};
use super::planes::Planes;
use super::scan::{Restarts, Scan, check_end, damaged, table};
use super::transform::Transform;
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
    struct Component<'t> {
        index: usize,
        transform: &'t Transform,
        means: &'t Huffman,
        details: &'t Huffman,
        mean: i32,
    }
    let mut components = Vec::new();
    for coded in &scan.components {
        components.push(Component {
            index: coded.component,
            transform: &transforms[coded.component],
            means: table(&tables.means, coded.means)?,
            details: table(&tables.details, coded.details)?,
            mean: 0,
        });
    }
    let mut restarts = Restarts::new(tables.restart_interval);
    let mut coefficients = [0.0; 64];
    for _ in 0..units_down {
        for unit in 0..units_across {
            if restarts.is_due(&mut bits)? {
                for component in &mut components {
                    component.mean = 0;
                }
            }
            for component in &mut components {
                let band = &mut planes.bands[component.index];
                let (horizontal, vertical) = (band.horizontal, band.vertical);
                for (down, across) in
                    (0..vertical).flat_map(|down| (0..horizontal).map(move |across| (down, across)))
                {
                    let transform = component.transform;
                    let difference = component.means.mean(&mut bits).ok_or_else(damaged)?;
                    component.mean = component.mean.wrapping_add(difference);
                    transform.set(&mut coefficients, 0, component.mean);
                    let last = component
                        .details
                        .details(&mut bits, |place, value| {
                            transform.set(&mut coefficients, place, value);
                        })
                        .ok_or_else(damaged)?;
                    let stride = band.stride;
                    let target = band.block(unit * horizontal + across, down);
                    transform.samples(&mut coefficients, last, target, stride);
                }
            }
        }
        check_end(&bits)?;
        planes.advance();
    }
    Ok(())
}
