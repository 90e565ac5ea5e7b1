//! Scans: what each of them codes, and the symbols of its coefficients.

use super::Component;
use super::huffman::Tokens;
use crate::jpeg::Block;

/// Parameters of a scan (T.81, G.1.1.1).
pub(super) struct Scan {
    pub(super) components: Vec<usize>,
    /// First zigzag index of the spectral selection (Ss).
    pub(super) spectral_start: usize,
    pub(super) spectral_end: usize,
    /// Bit position up to which the coefficients have been coded before (Ah), 0 in a first scan.
    pub(super) approximation_high: u32,
    /// Lowest bit position that this scan codes (Al).
    pub(super) approximation_low: u32,
}

impl Scan {
    pub(super) fn new(
        components: impl Into<Vec<usize>>,
        (spectral_start, spectral_end): (usize, usize),
        (approximation_high, approximation_low): (u32, u32),
    ) -> Self {
        Self {
            components: components.into(),
            spectral_start,
            spectral_end,
            approximation_high,
            approximation_low,
        }
    }

    /// A single sequential scan.
    pub(super) fn sequential(has_colour: bool) -> Vec<Self> {
        let components: &[usize] = if has_colour { &[0, 1, 2] } else { &[0] };
        vec![Self::new(components, (0, 63), (0, 0))]
    }

    /// Progressive scans: DC first, then the low frequencies of luma, chroma, and the rest bit by bit. The
    /// same script as libjpeg's.
    pub(super) fn progressive(has_colour: bool) -> Vec<Self> {
        if !has_colour {
            return vec![
                Self::new([0], (0, 0), (0, 1)),
                Self::new([0], (1, 5), (0, 2)),
                Self::new([0], (6, 63), (0, 2)),
                Self::new([0], (1, 63), (2, 1)),
                Self::new([0], (0, 0), (1, 0)),
                Self::new([0], (1, 63), (1, 0)),
            ];
        }
        vec![
            Self::new([0, 1, 2], (0, 0), (0, 1)),
            Self::new([0], (1, 5), (0, 2)),
            Self::new([2], (1, 63), (0, 1)),
            Self::new([1], (1, 63), (0, 1)),
            Self::new([0], (6, 63), (0, 2)),
            Self::new([0], (1, 63), (2, 1)),
            Self::new([0, 1, 2], (0, 0), (1, 0)),
            Self::new([2], (1, 63), (1, 0)),
            Self::new([1], (1, 63), (1, 0)),
            Self::new([0], (1, 63), (1, 0)),
        ]
    }
}

/// ZRL, the symbol of a run of 16 zeros (T.81, F.1.2.2.1).
const ZRL: u8 = 0xf0;

/// Upper bound on an EOB run, in blocks (T.81, G.1.2.2).
const EOB_RUN_MAX: u32 = 0x7fff;

/// Upper bound on the pending correction bits, as in libjpeg's encoder.
const CORRECTION_BITS_MAX: usize = 937;

/// Encoder of the blocks of one scan, with the state that is kept between blocks.
pub(super) struct ScanEncoder<'s> {
    scan: &'s Scan,
    tokens: Tokens,
    /// DC coefficient of the previous block, for each component of the scan.
    dc_predictors: [i32; 3],
    /// Pending EOB run: blocks that have ended, for which no symbol was emitted yet.
    eob_run: u32,
    /// Pending correction bits: the next bits of already nonzero coefficients in the blocks of the EOB run.
    correction_bits: Vec<u8>,
}

impl<'s> ScanEncoder<'s> {
    pub(super) fn new(scan: &'s Scan) -> Self {
        Self {
            scan,
            tokens: Tokens::default(),
            dc_predictors: [0; 3],
            eob_run: 0,
            correction_bits: Vec::new(),
        }
    }

    /// Encodes all blocks that the components have.
    pub(super) fn add_blocks(&mut self, components: &[Component]) {
        if let [index] = self.scan.components[..] {
            // A non-interleaved scan leaves out the blocks that only complete MCUs (T.81, A.2.2).
            let component = &components[index];
            let stride = component.blocks.stride;
            let down = component.blocks.coefficients.len() / stride;
            for row in 0..down.min(component.blocks_down) {
                for column in 0..component.blocks_across {
                    self.block(0, component, row * stride + column);
                }
            }
            return;
        }
        let luma = &components[0];
        let across = luma.blocks.stride / luma.sampling;
        let down = luma.blocks.coefficients.len() / luma.blocks.stride / luma.sampling;
        for (mcu_row, mcu_column) in
            (0..down).flat_map(|row| (0..across).map(move |column| (row, column)))
        {
            for (index, &component) in self.scan.components.iter().enumerate() {
                let component = &components[component];
                let side = component.sampling;
                for row in mcu_row * side..(mcu_row + 1) * side {
                    for column in mcu_column * side..(mcu_column + 1) * side {
                        self.block(index, component, row * component.blocks.stride + column);
                    }
                }
            }
        }
    }

    /// Returns the tokens of all blocks.
    pub(super) fn finish(mut self) -> Tokens {
        self.flush_eob_run();
        self.tokens
    }

    fn block(&mut self, component_index: usize, component: &Component, at: usize) {
        let block = &component.blocks.coefficients[at];
        let masks = &component.blocks.nonzero_masks[at];
        let scan = self.scan;
        if scan.spectral_start == 0 {
            self.dc(component_index, component.table, block);
        }
        if scan.spectral_end > 0 {
            let range =
                (u64::MAX << scan.spectral_start.max(1)) & (u64::MAX >> (63 - scan.spectral_end));
            let nonzero = masks[scan.approximation_low as usize] & range;
            if scan.approximation_high > 0 {
                let known = masks[scan.approximation_high as usize] & range;
                self.ac_refine(component.table, block, nonzero, known);
            } else if scan.spectral_start > 0 {
                self.ac_first(component.table, block, nonzero);
            } else {
                let last = self.ac_symbols(component.table, block, nonzero);
                if last < 63 {
                    self.tokens.symbol(2 + component.table, 0, 0, 0);
                }
            }
        }
    }

    fn dc(&mut self, index: usize, table: u8, block: &Block<i16>) {
        let value = i32::from(block[0]) >> self.scan.approximation_low;
        if self.scan.approximation_high > 0 {
            self.tokens.bits((value & 1) as u32, 1);
            return;
        }
        let difference = value - self.dc_predictors[index];
        self.dc_predictors[index] = value;
        let (size, bits) = size_and_bits(difference < 0, difference.unsigned_abs());
        self.tokens.symbol(table, size as u8, bits, size);
    }

    /// Encodes the coefficients in the mask `nonzero`. Returns the zigzag index of the last one, or 0.
    #[inline(always)]
    fn ac_symbols(&mut self, table: u8, block: &Block<i16>, mut nonzero: u64) -> usize {
        let mut before = self.scan.spectral_start.max(1);
        let mut last = 0;
        while nonzero != 0 {
            let index = nonzero.trailing_zeros() as usize & 63;
            nonzero &= nonzero - 1;
            let mut zeros = index - before;
            while zeros > 15 {
                self.tokens.symbol(2 + table, ZRL, 0, 0);
                zeros -= 16;
            }
            let value = i32::from(block[index]);
            let (size, bits) = size_and_bits(
                value < 0,
                value.unsigned_abs() >> self.scan.approximation_low,
            );
            let symbol = (zeros << 4) as u8 | size as u8;
            self.tokens.symbol(2 + table, symbol, bits, size);
            before = index + 1;
            last = index;
        }
        last
    }

    /// Encodes the first scan of AC coefficients (T.81, G.1.2.2).
    fn ac_first(&mut self, table: u8, block: &Block<i16>, nonzero: u64) {
        if nonzero != 0 {
            self.flush_eob_run();
        }
        if self.ac_symbols(table, block, nonzero) < self.scan.spectral_end {
            self.eob_run += 1;
            if self.eob_run == EOB_RUN_MAX {
                self.flush_eob_run();
            }
        }
    }

    /// Refines the AC coefficients in the mask `known` by one bit, and encodes those that become nonzero
    /// (T.81, G.1.2.3).
    fn ac_refine(&mut self, table: u8, block: &Block<i16>, nonzero: u64, known: u64) {
        let new = nonzero & !known;
        let last_new = 63_u32.saturating_sub(new.leading_zeros());
        let mut own_start = self.correction_bits.len();
        let (mut zeros, mut before) = (0, self.scan.spectral_start);
        let mut rest = nonzero;
        while rest != 0 {
            let index = rest.trailing_zeros() as usize & 63;
            rest &= rest - 1;
            zeros += index - before;
            before = index + 1;
            while zeros > 15 && new != 0 && index <= last_new as usize {
                self.flush_eob_run_before(&mut own_start);
                self.tokens.symbol(2 + table, ZRL, 0, 0);
                self.flush_correction_bits();
                zeros -= 16;
            }
            let magnitude = block[index].unsigned_abs() >> self.scan.approximation_low;
            if known >> index & 1 == 1 {
                self.correction_bits.push((magnitude & 1) as u8);
            } else {
                self.flush_eob_run_before(&mut own_start);
                let sign = u32::from(block[index] > 0);
                self.tokens
                    .symbol(2 + table, (zeros << 4) as u8 | 1, sign, 1);
                self.flush_correction_bits();
                zeros = 0;
            }
        }
        if before <= self.scan.spectral_end || zeros > 0 || self.correction_bits.len() > own_start {
            self.eob_run += 1;
            if self.eob_run == EOB_RUN_MAX || self.correction_bits.len() > CORRECTION_BITS_MAX {
                self.flush_eob_run();
            }
        }
    }

    /// Emits the EOB run of the blocks before this one, with their correction bits, which end at
    /// `own_start`.
    fn flush_eob_run_before(&mut self, own_start: &mut usize) {
        if self.eob_run > 0 {
            let own_bits = self.correction_bits.split_off(*own_start);
            self.flush_eob_run();
            self.correction_bits = own_bits;
        }
        *own_start = 0;
    }

    /// Emits the pending EOB run and correction bits.
    fn flush_eob_run(&mut self) {
        if self.eob_run > 0 {
            let table = 2 + u8::from(self.scan.components[0] > 0);
            let size = self.eob_run.ilog2();
            let rest = self.eob_run - (1 << size);
            self.tokens.symbol(table, (size << 4) as u8, rest, size);
            self.eob_run = 0;
        }
        self.flush_correction_bits();
    }

    fn flush_correction_bits(&mut self) {
        for bits in self.correction_bits.chunks(8) {
            let value = bits
                .iter()
                .fold(0, |value, &bit| value << 1 | u32::from(bit));
            self.tokens.bits(value, bits.len() as u32);
        }
        self.correction_bits.clear();
    }
}

/// Returns the size of a value in bits, and these bits, inverted for a negative value (T.81, F.1.2.1.1).
#[inline(always)]
fn size_and_bits(is_negative: bool, magnitude: u32) -> (u32, u32) {
    let size = 32 - magnitude.leading_zeros();
    let inverted = if is_negative { (1 << size) - 1 } else { 0 };
    (size, magnitude ^ inverted)
}
