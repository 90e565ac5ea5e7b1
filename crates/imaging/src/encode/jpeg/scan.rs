//! From coefficients to symbols: what a scan codes, and in which order.

use super::Component;
use super::huffman::Tokens;
use crate::jpeg::Block;

/// What a scan codes (T.81, G.1.1.1).
pub(super) struct Scan {
    pub(super) components: Vec<usize>,
    /// Coefficients in the order of storage.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The lowest bit that was coded before, 0 for none.
    pub(super) high: u32,
    /// The lowest bit that it codes.
    pub(super) low: u32,
}

impl Scan {
    pub(super) fn new(
        components: impl Into<Vec<usize>>,
        (first, last): (usize, usize),
        (high, low): (u32, u32),
    ) -> Self {
        Self {
            components: components.into(),
            first,
            last,
            high,
            low,
        }
    }

    /// All of it in one, of a picture with colour or without.
    pub(super) fn sequential(has_colour: bool) -> Vec<Self> {
        let components: &[usize] = if has_colour { &[0, 1, 2] } else { &[0] };
        vec![Self::new(components, (0, 63), (0, 0))]
    }

    /// The means first, then the coarse detail of brightness, the colours, and the rest bit by bit.
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

    /// Its symbols.
    pub(super) fn code(&self, components: &[Component]) -> Tokens {
        let mut coder = Coder {
            scan: self,
            tokens: Tokens::default(),
            means: [0; 3],
            ended: 0,
            corrections: Vec::new(),
        };
        if let [index] = self.components[..] {
            // A scan of one component has no blocks that only fill up units (T.81, A.2.2).
            let component = &components[index];
            for row in 0..component.blocks_down {
                for column in 0..component.blocks_across {
                    coder.block(0, component, row * component.blocks.stride + column);
                }
            }
        } else {
            let densest = &components[0];
            let across = densest.blocks.stride / densest.sampling;
            let down = densest.blocks.coefficients.len() / densest.blocks.stride / densest.sampling;
            for (unit_row, unit_column) in
                (0..down).flat_map(|row| (0..across).map(move |column| (row, column)))
            {
                for (index, &component) in self.components.iter().enumerate() {
                    let component = &components[component];
                    let side = component.sampling;
                    for row in unit_row * side..(unit_row + 1) * side {
                        for column in unit_column * side..(unit_column + 1) * side {
                            coder.block(index, component, row * component.blocks.stride + column);
                        }
                    }
                }
            }
        }
        coder.end_blocks();
        coder.tokens
    }
}

/// Sixteen zeros (T.81, F.1.2.2.1).
const SIXTEEN_ZEROS: u8 = 0xf0;

/// So many blocks at most end together (T.81, G.1.2.2).
const ENDED_MOST: u32 = 0x7fff;

/// No more corrections than these are put off. libjpeg's decoder has no limit, its encoder has this one.
const CORRECTIONS_MOST: usize = 937;

/// What is remembered from block to block.
struct Coder<'s> {
    scan: &'s Scan,
    tokens: Tokens,
    /// Of the block before, for each component of the scan.
    means: [i32; 3],
    /// How many blocks have ended, which has not been said yet.
    ended: u32,
    /// The next bits of coefficients that are known already, in these blocks.
    corrections: Vec<u8>,
}

impl Coder<'_> {
    fn block(&mut self, index: usize, component: &Component, at: usize) {
        let block = &component.blocks.coefficients[at];
        let at_least = &component.blocks.at_least[at];
        let scan = self.scan;
        if scan.first == 0 {
            self.mean(index, component.table, block);
        }
        if scan.last > 0 {
            let range = (u64::MAX << scan.first.max(1)) & (u64::MAX >> (63 - scan.last));
            let set = at_least[scan.low as usize] & range;
            if scan.high > 0 {
                let known = at_least[scan.high as usize] & range;
                self.more_details(component.table, block, set, known);
            } else if scan.first > 0 {
                self.first_details(component.table, block, set);
            } else {
                let last = self.details(component.table, block, set);
                if last < 63 {
                    self.tokens.symbol(2 + component.table, 0, 0, 0);
                }
            }
        }
    }

    fn mean(&mut self, index: usize, table: u8, block: &Block<i16>) {
        let mean = i32::from(block[0]) >> self.scan.low;
        if self.scan.high > 0 {
            self.tokens.bits((mean & 1) as u32, 1);
            return;
        }
        let difference = mean - self.means[index];
        self.means[index] = mean;
        let (size, bits) = size_and_bits(difference < 0, difference.unsigned_abs());
        self.tokens.symbol(table, size as u8, bits, size);
    }

    /// The coefficients of which the bits are set; the last of them, or 0.
    #[inline(always)]
    fn details(&mut self, table: u8, block: &Block<i16>, mut set: u64) -> usize {
        let mut before = self.scan.first.max(1);
        let mut last = 0;
        while set != 0 {
            let place = set.trailing_zeros() as usize & 63;
            set &= set - 1;
            let mut zeros = place - before;
            while zeros > 15 {
                self.tokens.symbol(2 + table, SIXTEEN_ZEROS, 0, 0);
                zeros -= 16;
            }
            let value = i32::from(block[place]);
            let (size, bits) = size_and_bits(value < 0, value.unsigned_abs() >> self.scan.low);
            let symbol = (zeros << 4) as u8 | size as u8;
            self.tokens.symbol(2 + table, symbol, bits, size);
            before = place + 1;
            last = place;
        }
        last
    }

    /// The upper bits of coefficients (T.81, G.1.2.2).
    fn first_details(&mut self, table: u8, block: &Block<i16>, set: u64) {
        if set != 0 {
            self.end_blocks();
        }
        if self.details(table, block, set) < self.scan.last {
            self.ended += 1;
            if self.ended == ENDED_MOST {
                self.end_blocks();
            }
        }
    }

    /// One bit more of those that are known, and those that are new with it (T.81, G.1.2.3).
    fn more_details(&mut self, table: u8, block: &Block<i16>, set: u64, known: u64) {
        let new = set & !known;
        let last_new = 63_u32.saturating_sub(new.leading_zeros());
        let put_off = self.corrections.len();
        let mut begin = put_off;
        let (mut zeros, mut before) = (0, self.scan.first);
        let mut rest = set;
        while rest != 0 {
            let place = rest.trailing_zeros() as usize & 63;
            rest &= rest - 1;
            zeros += place - before;
            before = place + 1;
            while zeros > 15 && new != 0 && place <= last_new as usize {
                self.end_blocks_before(&mut begin);
                self.tokens.symbol(2 + table, SIXTEEN_ZEROS, 0, 0);
                self.flush_corrections();
                zeros -= 16;
            }
            let magnitude = block[place].unsigned_abs() >> self.scan.low;
            if known >> place & 1 == 1 {
                self.corrections.push((magnitude & 1) as u8);
            } else {
                self.end_blocks_before(&mut begin);
                let sign = u32::from(block[place] > 0);
                self.tokens
                    .symbol(2 + table, (zeros << 4) as u8 | 1, sign, 1);
                self.flush_corrections();
                zeros = 0;
            }
        }
        if before <= self.scan.last || zeros > 0 || self.corrections.len() > begin {
            self.ended += 1;
            if self.ended == ENDED_MOST || self.corrections.len() > CORRECTIONS_MOST {
                self.end_blocks();
            }
        }
    }

    /// Says that the blocks before this one have ended, whose corrections go up to `begin`.
    fn end_blocks_before(&mut self, begin: &mut usize) {
        if self.ended > 0 {
            let of_this_block = self.corrections.split_off(*begin);
            self.end_blocks();
            self.corrections = of_this_block;
        }
        *begin = 0;
    }

    /// Says that so many blocks have ended, and what was put off meanwhile.
    fn end_blocks(&mut self) {
        if self.ended > 0 {
            let table = 2 + u8::from(self.scan.components[0] > 0);
            let size = self.ended.ilog2();
            let rest = self.ended - (1 << size);
            self.tokens.symbol(table, (size << 4) as u8, rest, size);
            self.ended = 0;
        }
        self.flush_corrections();
    }

    fn flush_corrections(&mut self) {
        for bits in self.corrections.chunks(8) {
            let value = bits
                .iter()
                .fold(0, |value, &bit| value << 1 | u32::from(bit));
            self.tokens.bits(value, bits.len() as u32);
        }
        self.corrections.clear();
    }
}

/// How many bits a number has, and these; below zero they are inverted (T.81, F.1.2.1.1).
#[inline(always)]
fn size_and_bits(is_negative: bool, magnitude: u32) -> (u32, u32) {
    let size = 32 - magnitude.leading_zeros();
    let inverted = if is_negative { (1 << size) - 1 } else { 0 };
    (size, magnitude ^ inverted)
}
