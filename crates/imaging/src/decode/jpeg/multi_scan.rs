//! Images of several scans: progressive ones, and those whose components are in separate scans. All
//! coefficients are buffered until the last scan.

use super::bit_reader::BitReader;
use super::huffman::HuffmanTable;
use super::idct::InverseDct;
use super::planes::{Plane, Planes};
use super::scan::{RestartCounter, Scan, check_overrun, corrupt_data, missing_table};
use super::tables::Tables;
use crate::error::Error;
use crate::jpeg::Block;

/// Coefficients of the whole image, as far as they are decoded.
pub(super) struct CoefficientBuffer {
    planes: Vec<CoefficientPlane>,
    mcus: (usize, usize),
}

struct CoefficientPlane {
    /// Coefficients in zigzag order.
    blocks: Vec<Block<i16>>,
    stride: usize,
}

impl CoefficientBuffer {
    /// Allocates the coefficients of an image of so many MCUs across and down.
    pub(super) fn new(planes: &[Plane], mcus: (usize, usize)) -> Self {
        let planes = planes
            .iter()
            .map(|plane| {
                let stride = mcus.0 * plane.horizontal;
                CoefficientPlane {
                    blocks: vec![[0; 64]; stride * mcus.1 * plane.vertical],
                    stride,
                }
            })
            .collect();
        Self { planes, mcus }
    }

    /// Decodes a scan. Returns the position of the marker that ends it.
    pub(super) fn read_scan(
        &mut self,
        mut bits: BitReader<'_>,
        scan: &Scan,
        progressive: bool,
        tables: &Tables,
        planes: &[Plane],
    ) -> Result<usize, Error> {
        let mut decoder = BlockDecoder::new(scan, progressive, tables)?;
        let mut restarts = RestartCounter::new(tables.restart_interval);
        // A non-interleaved scan leaves out the blocks that only complete MCUs (T.81, A.2.2).
        let (across, down) = match scan.components.as_slice() {
            [coded] => {
                let plane = &planes[coded.component];
                (plane.blocks_across, plane.blocks_down)
            }
            _ => self.mcus,
        };
        for mcu_row in 0..down {
            for mcu_column in 0..across {
                if restarts.restart_if_due(&mut bits)? {
                    decoder.dc_predictors = [0; 4];
                    decoder.eob_run = 0;
                }
                for (index, coded) in scan.components.iter().enumerate() {
                    let plane = &planes[coded.component];
                    let (horizontal, vertical) = match scan.components.len() {
                        1 => (1, 1),
                        _ => (plane.horizontal, plane.vertical),
                    };
                    let plane = &mut self.planes[coded.component];
                    for (row, column) in (0..vertical)
                        .flat_map(|row| (0..horizontal).map(move |column| (row, column)))
                    {
                        let block_index = (mcu_row * vertical + row) * plane.stride
                            + mcu_column * horizontal
                            + column;
                        let block = &mut plane.blocks[block_index];
                        decoder
                            .decode_block(&mut bits, index, block)
                            .ok_or_else(corrupt_data)?;
                    }
                }
            }
            check_overrun(&bits)?;
        }
        Ok(bits.marker_position())
    }

    /// Transforms all coefficients to samples, and passes them on row by row.
    pub(super) fn finish(self, idcts: &[InverseDct], planes: &mut Planes) {
        let mut coefficients = [0.0; 128];
        for mcu_row in 0..self.mcus.1 {
            for ((source, idct), plane) in self.planes.iter().zip(idcts).zip(&mut planes.planes) {
                for row in 0..plane.vertical {
                    let start = (mcu_row * plane.vertical + row) * source.stride;
                    let blocks = &source.blocks[start..start + source.stride];
                    for (column, block) in blocks.iter().enumerate() {
                        let mut has_ac = false;
                        for (index, &value) in block.iter().enumerate() {
                            if value != 0 {
                                idct.set(&mut coefficients, index, value.into());
                                has_ac |= index > 0;
                            }
                        }
                        let stride = plane.stride;
                        let target = plane.block(column, row);
                        idct.samples(&mut coefficients, has_ac, target, stride);
                    }
                }
            }
            planes.advance();
        }
    }
}

/// Decoder of the blocks of one scan, with the state that is kept between blocks.
struct BlockDecoder<'s> {
    scan: &'s Scan,
    kind: ScanKind,
    /// DC and AC table of each component of the scan, as far as this kind of scan uses them.
    tables: Vec<(Option<HuffmanTable>, Option<HuffmanTable>)>,
    /// DC coefficient of the previous block, for each component of the scan.
    dc_predictors: [i32; 4],
    /// EOB run: the number of blocks that have no further new coefficients in this scan.
    eob_run: u32,
}

/// The part of each block that a scan codes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanKind {
    /// All coefficients.
    Sequential,
    /// First scan of the DC coefficient: its upper bits.
    DcFirst,
    /// Refinement of the DC coefficient by one bit.
    DcRefine,
    /// First scan of AC coefficients: their upper bits.
    AcFirst,
    /// Refinement of AC coefficients by one bit.
    AcRefine,
}

impl<'s> BlockDecoder<'s> {
    fn new(scan: &'s Scan, progressive: bool, tables: &Tables) -> Result<Self, Error> {
        let kind = match (progressive, scan.spectral_start, scan.approximation_high) {
            (false, ..) => ScanKind::Sequential,
            (true, 0, 0) => ScanKind::DcFirst,
            (true, 0, _) => ScanKind::DcRefine,
            (true, _, 0) => ScanKind::AcFirst,
            (true, ..) => ScanKind::AcRefine,
        };
        let has_dc = matches!(kind, ScanKind::Sequential | ScanKind::DcFirst);
        let has_ac = !matches!(kind, ScanKind::DcFirst | ScanKind::DcRefine);
        let mut own = Vec::new();
        for coded in &scan.components {
            let dc = has_dc.then(|| tables.dc(coded.dc_table).ok_or_else(missing_table));
            let ac = has_ac.then(|| tables.ac(coded.ac_table).ok_or_else(missing_table));
            own.push((dc.transpose()?, ac.transpose()?));
        }
        Ok(Self {
            scan,
            kind,
            tables: own,
            dc_predictors: [0; 4],
            eob_run: 0,
        })
    }

    /// Decodes a block of the given component of the scan. Returns `None` if the data is invalid.
    fn decode_block(
        &mut self,
        bits: &mut BitReader<'_>,
        component: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        match self.kind {
            ScanKind::Sequential => {
                self.dc_first(bits, component, block)?;
                let ac_table = self.tables.get(component)?.1.as_ref()?;
                let set = |index, value| {
                    if let Some(coefficient) = block.get_mut::<usize>(index) {
                        *coefficient = value as i16;
                    }
                };
                ac_table.ac_coefficients(bits, set).map(|_| ())
            }
            ScanKind::DcFirst => self.dc_first(bits, component, block),
            ScanKind::DcRefine => {
                if bits.take(1) == 1 {
                    block[0] |= 1 << self.scan.approximation_low;
                }
                Some(())
            }
            ScanKind::AcFirst => self.ac_first(bits, component, block),
            ScanKind::AcRefine => self.ac_refine(bits, component, block),
        }
    }

    fn dc_first(
        &mut self,
        bits: &mut BitReader<'_>,
        component: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        let dc_table = self.tables.get(component)?.0.as_ref()?;
        let predictor = self.dc_predictors.get_mut(component)?;
        *predictor = predictor.wrapping_add(dc_table.dc_difference(bits)?);
        block[0] = (*predictor << self.scan.approximation_low) as i16;
        Some(())
    }

    /// Decodes the first scan of AC coefficients (T.81, G.1.2.2).
    fn ac_first(
        &mut self,
        bits: &mut BitReader<'_>,
        component: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        let ac_table = self.tables.get(component)?.1.as_ref()?;
        if self.eob_run > 0 {
            self.eob_run -= 1;
            return Some(());
        }
        let mut index = self.scan.spectral_start;
        while index <= self.scan.spectral_end {
            let symbol = ac_table.symbol(bits)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && run < 15 {
                self.eob_run = (1 << run) + bits.take(run) - 1;
                break;
            }
            index += run as usize;
            if index > self.scan.spectral_end {
                return None;
            }
            block[index] = (bits.receive_extend(size) << self.scan.approximation_low) as i16;
            index += 1;
        }
        Some(())
    }

    /// Refines the nonzero AC coefficients by one bit, and decodes those that become nonzero (T.81,
    /// G.1.2.3).
    fn ac_refine(
        &mut self,
        bits: &mut BitReader<'_>,
        component: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        let ac_table = self.tables.get(component)?.1.as_ref()?;
        let bit = 1_i16 << self.scan.approximation_low;
        let refine = |value: &mut i16, bits: &mut BitReader<'_>| {
            if bits.take(1) == 1 && *value & bit == 0 {
                *value = value.wrapping_add(if *value < 0 { -bit } else { bit });
            }
        };
        let mut coefficients = block[self.scan.spectral_start..=self.scan.spectral_end].iter_mut();
        while self.eob_run == 0 && coefficients.len() > 0 {
            let symbol = ac_table.symbol(bits)?;
            let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
            let new = match size {
                0 if run < 15 => {
                    self.eob_run = (1 << run) + bits.take(run);
                    break;
                }
                0 => 0,
                1 if bits.take(1) == 1 => bit,
                1 => -bit,
                _ => return None,
            };
            for value in coefficients.by_ref() {
                if *value != 0 {
                    refine(value, bits);
                } else if run == 0 {
                    *value = new;
                    break;
                } else {
                    run -= 1;
                }
            }
        }
        if self.eob_run > 0 {
            self.eob_run -= 1;
            for value in coefficients.filter(|value| **value != 0) {
                refine(value, bits);
            }
        }
        Some(())
    }
}
