//! Images of one sequential scan: each block is transformed to samples as soon as it is decoded, so no
//! coefficients are buffered.

use super::bit_reader::BitReader;
use super::huffman::HuffmanTable;
use super::idct::{Coefficients, InverseDct};
use super::planes::Planes;
use super::scan::{RestartCounter, Scan, check_overrun, corrupt_data, missing_table};
use super::tables::Tables;
use crate::error::Error;

/// Decodes the scan that starts at `bits` (T.81, F.2.2).
pub(super) fn decode(
    mut bits: BitReader<'_>,
    scan: &Scan,
    tables: &Tables,
    idcts: &[InverseDct],
    planes: &mut Planes,
    (mcus_across, mcus_down): (usize, usize),
) -> Result<(), Error> {
    let mut components = Vec::new();
    for coded in &scan.components {
        let component = ComponentDecoder {
            idct: &idcts[coded.component],
            dc_table: tables.dc(coded.dc_table).ok_or_else(missing_table)?,
            ac_table: tables.ac(coded.ac_table).ok_or_else(missing_table)?,
            dc_predictor: 0,
            coefficients: [0.0; 128],
        };
        components.push((coded.component, component));
    }
    let mut restarts = RestartCounter::new(tables.restart_interval);
    for _ in 0..mcus_down {
        for mcu in 0..mcus_across {
            if restarts.restart_if_due(&mut bits)? {
                for (_, component) in &mut components {
                    component.dc_predictor = 0;
                }
            }
            for (index, component) in &mut components {
                let plane = &mut planes.planes[*index];
                for down in 0..plane.vertical {
                    for across in mcu * plane.horizontal..(mcu + 1) * plane.horizontal {
                        let stride = plane.stride;
                        let target = plane.block(across, down);
                        component
                            .decode_block(&mut bits, target, stride)
                            .ok_or_else(corrupt_data)?;
                    }
                }
            }
        }
        check_overrun(&bits)?;
        planes.advance();
    }
    Ok(())
}

struct ComponentDecoder<'t> {
    idct: &'t InverseDct,
    dc_table: HuffmanTable,
    ac_table: HuffmanTable,
    /// DC coefficient of the previous block.
    dc_predictor: i32,
    /// Coefficients of the current block; all zero between two blocks.
    coefficients: Coefficients,
}

impl ComponentDecoder<'_> {
    /// Decodes a block and writes its samples to the rows of `target`.
    ///
    /// The hottest function of the decoder. It isn't inlined and works on a copy of the bit reader, because
    /// the surrounding loops would take its registers.
    #[inline(never)]
    fn decode_block(
        &mut self,
        bits: &mut BitReader<'_>,
        target: &mut [u8],
        stride: usize,
    ) -> Option<()> {
        let mut local = *bits;
        let idct = self.idct;
        let coefficients = &mut self.coefficients;
        self.dc_predictor = self
            .dc_predictor
            .wrapping_add(self.dc_table.dc_difference(&mut local)?);
        idct.set(coefficients, 0, self.dc_predictor);
        let has_ac = self.ac_table.ac_coefficients(&mut local, |index, value| {
            idct.set(coefficients, index, value);
        })?;
        *bits = local;
        idct.samples(coefficients, has_ac, target, stride);
        Some(())
    }
}
