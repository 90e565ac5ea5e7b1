//! Pictures that several scans code: progressive ones, and those whose components come one after the
//! other. Their coefficients are kept until the last scan is read.

use super::bits::Bits;
use super::huffman::Huffman;
use super::planes::{Band, Planes};
use super::scan::{Restarts, Scan, check_end, damaged, missing_table};
use super::tables::Tables;
use super::transform::Transform;
use crate::error::Error;
use crate::jpeg::Block;

/// The coefficients of all components, as far as they are known.
pub(super) struct Kept {
    planes: Vec<Plane>,
    units: (usize, usize),
}

struct Plane {
    /// In the order of storage.
    blocks: Vec<Block<i16>>,
    stride: usize,
}

impl Kept {
    /// For a picture of so many units across and down.
    pub(super) fn new(bands: &[Band], units: (usize, usize)) -> Self {
        let planes = bands
            .iter()
            .map(|band| {
                let stride = units.0 * band.horizontal;
                Plane {
                    blocks: vec![[0; 64]; stride * units.1 * band.vertical],
                    stride,
                }
            })
            .collect();
        Self { planes, units }
    }

    /// Reads a scan; where its bits end.
    pub(super) fn read(
        &mut self,
        mut bits: Bits<'_>,
        scan: &Scan,
        progressive: bool,
        tables: &Tables,
        bands: &[Band],
    ) -> Result<usize, Error> {
        let mut decoder = Decoder::new(scan, progressive, tables)?;
        let mut restarts = Restarts::new(tables.restart_interval);
        // A scan of one component has no blocks that only fill up units (T.81, A.2.2).
        let (across, down) = match scan.components.as_slice() {
            [coded] => {
                let band = &bands[coded.component];
                (band.blocks_across, band.blocks_down)
            }
            _ => self.units,
        };
        for unit_down in 0..down {
            for unit_across in 0..across {
                if restarts.is_due(&mut bits)? {
                    decoder.means = [0; 4];
                    decoder.blocks_left = 0;
                }
                for (index, coded) in scan.components.iter().enumerate() {
                    let band = &bands[coded.component];
                    let (horizontal, vertical) = match scan.components.len() {
                        1 => (1, 1),
                        _ => (band.horizontal, band.vertical),
                    };
                    let plane = &mut self.planes[coded.component];
                    for (row, column) in (0..vertical)
                        .flat_map(|row| (0..horizontal).map(move |column| (row, column)))
                    {
                        let place = (unit_down * vertical + row) * plane.stride
                            + unit_across * horizontal
                            + column;
                        let block = &mut plane.blocks[place];
                        decoder.block(&mut bits, index, block).ok_or_else(damaged)?;
                    }
                }
            }
            check_end(&bits)?;
        }
        Ok(bits.end())
    }

    /// Makes samples and rows of all that was read.
    pub(super) fn finish(self, transforms: &[Transform], planes: &mut Planes) {
        let mut coefficients = [0.0; 128];
        for unit_down in 0..self.units.1 {
            for ((plane, transform), band) in
                self.planes.iter().zip(transforms).zip(&mut planes.bands)
            {
                for row in 0..band.vertical {
                    let start = (unit_down * band.vertical + row) * plane.stride;
                    let blocks = &plane.blocks[start..start + plane.stride];
                    for (column, block) in blocks.iter().enumerate() {
                        let mut has_details = false;
                        for (place, &value) in block.iter().enumerate() {
                            if value != 0 {
                                transform.set(&mut coefficients, place, value.into());
                                has_details |= place > 0;
                            }
                        }
                        let stride = band.stride;
                        let target = band.block(column, row);
                        transform.samples(&mut coefficients, has_details, target, stride);
                    }
                }
            }
            planes.advance();
        }
    }
}

/// Reads blocks, and remembers from block to block what it has to.
struct Decoder<'s> {
    scan: &'s Scan,
    kind: Kind,
    /// The tables of each component of the scan, as far as it needs them.
    tables: Vec<(Option<Huffman>, Option<Huffman>)>,
    /// Of the block before, for each component of the scan.
    means: [i32; 4],
    /// How many blocks have no more new coefficients in this scan.
    blocks_left: u32,
}

/// What a scan has of each block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All of it.
    Whole,
    /// The upper bits of the mean.
    FirstMean,
    /// One bit more of it.
    MoreMean,
    /// The upper bits of other coefficients.
    FirstDetails,
    /// One bit more of them.
    MoreDetails,
}

impl<'s> Decoder<'s> {
    fn new(scan: &'s Scan, progressive: bool, tables: &Tables) -> Result<Self, Error> {
        let kind = match (progressive, scan.first, scan.high) {
            (false, ..) => Kind::Whole,
            (true, 0, 0) => Kind::FirstMean,
            (true, 0, _) => Kind::MoreMean,
            (true, _, 0) => Kind::FirstDetails,
            (true, ..) => Kind::MoreDetails,
        };
        let has_means = matches!(kind, Kind::Whole | Kind::FirstMean);
        let has_details = !matches!(kind, Kind::FirstMean | Kind::MoreMean);
        let mut own = Vec::new();
        for coded in &scan.components {
            let means = has_means.then(|| tables.means(coded.means).ok_or_else(missing_table));
            let details =
                has_details.then(|| tables.details(coded.details).ok_or_else(missing_table));
            own.push((means.transpose()?, details.transpose()?));
        }
        Ok(Self {
            scan,
            kind,
            tables: own,
            means: [0; 4],
            blocks_left: 0,
        })
    }

    /// Reads a block of that component of the scan. None if its bits are none.
    fn block(&mut self, bits: &mut Bits<'_>, index: usize, block: &mut Block<i16>) -> Option<()> {
        match self.kind {
            Kind::Whole => {
                self.mean(bits, index, block)?;
                let details = self.tables.get(index)?.1.as_ref()?;
                let set = |place, value| {
                    if let Some(coefficient) = block.get_mut::<usize>(place) {
                        *coefficient = value as i16;
                    }
                };
                details.details(bits, set).map(|_| ())
            }
            Kind::FirstMean => self.mean(bits, index, block),
            Kind::MoreMean => {
                if bits.take(1) == 1 {
                    block[0] |= 1 << self.scan.low;
                }
                Some(())
            }
            Kind::FirstDetails => self.first_details(bits, index, block),
            Kind::MoreDetails => self.more_details(bits, index, block),
        }
    }

    fn mean(&mut self, bits: &mut Bits<'_>, index: usize, block: &mut Block<i16>) -> Option<()> {
        let means = self.tables.get(index)?.0.as_ref()?;
        let mean = self.means.get_mut(index)?;
        *mean = mean.wrapping_add(means.mean(bits)?);
        block[0] = (*mean << self.scan.low) as i16;
        Some(())
    }

    /// The upper bits of coefficients (T.81, G.1.2.2).
    fn first_details(
        &mut self,
        bits: &mut Bits<'_>,
        index: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        let details = self.tables.get(index)?.1.as_ref()?;
        if self.blocks_left > 0 {
            self.blocks_left -= 1;
            return Some(());
        }
        let mut place = self.scan.first;
        while place <= self.scan.last {
            let symbol = details.symbol(bits)?;
            let (skipped, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && skipped < 15 {
                self.blocks_left = (1 << skipped) + bits.take(skipped) - 1;
                break;
            }
            place += skipped as usize;
            if place > self.scan.last {
                return None;
            }
            block[place] = (bits.take_signed(size) << self.scan.low) as i16;
            place += 1;
        }
        Some(())
    }

    /// One bit more of coefficients, and those that are new with it (T.81, G.1.2.3).
    fn more_details(
        &mut self,
        bits: &mut Bits<'_>,
        index: usize,
        block: &mut Block<i16>,
    ) -> Option<()> {
        let details = self.tables.get(index)?.1.as_ref()?;
        let bit = 1_i16 << self.scan.low;
        let refine = |value: &mut i16, bits: &mut Bits<'_>| {
            if bits.take(1) == 1 && *value & bit == 0 {
                *value = value.wrapping_add(if *value < 0 { -bit } else { bit });
            }
        };
        let mut places = block[self.scan.first..=self.scan.last].iter_mut();
        while self.blocks_left == 0 && places.len() > 0 {
            let symbol = details.symbol(bits)?;
            let (mut skipped, size) = (u32::from(symbol >> 4), symbol & 15);
            let new = match size {
                0 if skipped < 15 => {
                    self.blocks_left = (1 << skipped) + bits.take(skipped);
                    break;
                }
                0 => 0,
                1 if bits.take(1) == 1 => bit,
                1 => -bit,
                _ => return None,
            };
            for value in places.by_ref() {
                if *value != 0 {
                    refine(value, bits);
                } else if skipped == 0 {
                    *value = new;
                    break;
                } else {
                    skipped -= 1;
                }
            }
        }
        if self.blocks_left > 0 {
            self.blocks_left -= 1;
            for value in places.filter(|value| **value != 0) {
                refine(value, bits);
            }
        }
        Some(())
    }
}
