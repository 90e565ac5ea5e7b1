//! Huffman's codes, as tables to read them with.

use super::bits::{Bits, signed};
use crate::jpeg::Block;

/// Codes of up to so many bits, and the number behind them, are read at one look.
const LOOK: u32 = 10;

/// A table of codes for symbols (T.81, annex C), each of which says how many coefficients are zero, and
/// how many bits the next one has.
pub(super) struct Huffman {
    /// What the next bits mean: an [`Entry`] each.
    looks: Box<[u32; 1 << LOOK]>,
    /// The symbols of short codes, and the lengths of these above, for whom needs no more.
    short: Box<[u16; 1 << LOOK]>,
    /// For each length in bits, the first code that is none, followed by ones up to 16 bits.
    limits: [u32; 17],
    /// For each length, what to add to a code to find its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// What the beginning of the bits means:
/// - the lowest six bits: how many of them are read with it; none if the code is longer than the look,
///   and then nothing else but [`APART`](Entry::APART) is said;
/// - the next seven: how many coefficients are skipped, [`REST`] for the rest of the block;
/// - then [`APART`], if the number isn't among the bits that were looked at;
/// - the upper half: the number, or else how many bits it has.
struct Entry;

impl Entry {
    const APART: u32 = 1 << 13;

    fn new(bits: u32, skipped: u32, number: i16) -> u32 {
        bits | skipped << 6 | u32::from(number.cast_unsigned()) << 16
    }
}

/// Stands for the rest of a block: more than a block has.
const REST: u32 = 127;

/// What symbols say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many bits the difference of two means has (T.81, F.1.2.1).
    Mean,
    /// How many coefficients are zero, and how many bits the next one has (T.81, F.1.2.2).
    Detail,
}

impl Huffman {
    /// The table of these symbols, of which `counts` have codes of each length from 1 to 16; none if there
    /// are more than codes.
    pub(super) fn new(kind: Kind, counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            looks: Box::new([Entry::APART; 1 << LOOK]),
            short: Box::new([0; 1 << LOOK]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                table.look(kind, code, length, *symbols.get(index)?);
                code += 1;
                index += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Enters a code where looks begin with it.
    fn look(&mut self, kind: Kind, code: u32, length: u32, symbol: u8) {
        if length > LOOK {
            return;
        }
        let (skipped, size) = meaning(kind, symbol);
        let first = code << (LOOK - length);
        for rest in 0..1 << (LOOK - length) {
            self.short[(first + rest) as usize] = u16::from(symbol) | (length as u16) << 8;
            self.looks[(first + rest) as usize] = if length + size <= LOOK {
                let number = rest >> (LOOK - length - size);
                // At most ten bits.
                Entry::new(length + size, skipped, signed(number, size) as i16)
            } else {
                Entry::new(length, skipped, size as i16) | Entry::APART
            };
        }
    }

    /// How many coefficients are zero, and the number after them.
    #[inline(always)]
    fn next(&self, kind: Kind, bits: &mut Bits<'_>) -> Option<(u32, i32)> {
        bits.fill();
        let entry = self.looks[bits.peek(LOOK) as usize];
        if entry & Entry::APART == 0 {
            bits.skip(entry & 63);
            return Some((entry >> 6 & 127, entry.cast_signed() >> 16));
        }
        if entry & 63 == 0 {
            let (symbol, length) = self.long_symbol(bits.peek(16))?;
            bits.skip(length);
            let (skipped, size) = meaning(kind, symbol);
            return Some((skipped, bits.take_signed(size)));
        }
        bits.skip(entry & 63);
        // A code and its number have 32 bits at most, which were filled in.
        let size = entry >> 16;
        let number = signed(bits.peek(size.max(1)), size);
        bits.skip(size);
        Some((entry >> 6 & 127, if size == 0 { 0 } else { number }))
    }

    /// The difference to the mean of the block before. None if the bits are no code.
    #[inline(always)]
    pub(super) fn mean(&self, bits: &mut Bits<'_>) -> Option<i32> {
        self.next(Kind::Mean, bits).map(|(_, number)| number)
    }

    /// Gives each coefficient after the mean that isn't zero to `set`, with its place in the order of
    /// storage; the last such place, or 0. None if the bits are no code, or go on beyond the block.
    #[inline(always)]
    pub(super) fn details(
        &self,
        bits: &mut Bits<'_>,
        mut set: impl FnMut(usize, i32),
    ) -> Option<usize> {
        let mut local = *bits;
        let (mut place, mut last) = (1, 0);
        while place < 64 {
            let (skipped, number) = self.next(Kind::Detail, &mut local)?;
            place += skipped as usize;
            if place >= 64 {
                if skipped != REST {
                    return None;
                }
                break;
            }
            set(place, number);
            last = place;
            place += 1;
        }
        *bits = local;
        Some(last)
    }

    /// The next symbol, as progressive scans use it. None if the bits are no code.
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Option<u8> {
        bits.fill();
        let (symbol, length) = match self.short[bits.peek(LOOK) as usize] {
            0 => self.long_symbol(bits.peek(16))?,
            // The symbol is the lower byte.
            short => (short as u8, u32::from(short >> 8)),
        };
        bits.skip(length);
        Some(symbol)
    }

    /// The symbol whose code the sixteen bits begin with, longer than the look, and its length.
    #[cold]
    #[inline(never)]
    fn long_symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (LOOK + 1..=16).find(|&length| next < self.limits[length as usize])?;
        let index = (next >> (16 - length)).cast_signed() + self.offsets[length as usize];
        let symbol = self.symbols.get(usize::try_from(index).ok()?)?;
        Some((*symbol, length))
    }
}

/// How many coefficients the symbol skips, and how many bits the number after it has.
fn meaning(kind: Kind, symbol: u8) -> (u32, u32) {
    let (high, low) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    match (kind, high, low) {
        (Kind::Mean, _, size) => (0, size),
        // Sixteen zeros: fifteen and a number that is zero.
        (Kind::Detail, 15, 0) => (15, 0),
        (Kind::Detail, _, 0) => (REST, 0),
        (Kind::Detail, skipped, size) => (skipped, size),
    }
}

/// The tables that a file has set so far, four of each kind (T.81, B.2.4).
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<Block<u16>>; 4],
    pub(super) means: [Option<Huffman>; 4],
    pub(super) details: [Option<Huffman>; 4],
    /// After how many units decoding begins anew; 0 for never.
    pub(super) restart_interval: u32,
}

impl Tables {
    /// Reads the segment "define quantization tables" (T.81, B.2.4.1); none if it contradicts itself.
    pub(super) fn read_quantisation(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = content.split_first() {
            let table = self.quantisation.get_mut(usize::from(selector & 15))?;
            let mut values = [0; 64];
            content = match selector >> 4 {
                0 => {
                    let (bytes, rest) = rest.split_first_chunk::<64>()?;
                    values = bytes.map(u16::from);
                    rest
                }
                1 => {
                    let (bytes, rest) = rest.split_first_chunk::<128>()?;
                    for (value, pair) in values.iter_mut().zip(bytes.as_chunks().0) {
                        *value = u16::from_be_bytes(*pair);
                    }
                    rest
                }
                _ => return None,
            };
            *table = Some(values);
        }
        Some(())
    }

    /// Reads the segment "define Huffman tables" (T.81, B.2.4.2); none if it contradicts itself.
    pub(super) fn read_huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let (kind, tables) = match selector >> 4 {
                0 => (Kind::Mean, &mut self.means),
                1 => (Kind::Detail, &mut self.details),
                _ => return None,
            };
            let table = tables.get_mut(usize::from(selector & 15))?;
            *table = Some(Huffman::new(kind, counts, symbols)?);
            content = rest;
        }
        Some(())
    }

    /// Reads the segment "define restart interval" (T.81, B.2.4.4).
    pub(super) fn read_restart_interval(&mut self, content: &[u8]) -> Option<()> {
        self.restart_interval = u16::from_be_bytes(*content.first_chunk()?).into();
        Some(())
    }
}
