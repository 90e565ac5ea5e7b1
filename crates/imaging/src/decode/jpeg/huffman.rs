//! Huffman decoding with lookup tables.
//!
//! One lookup decodes up to two symbols together with their additional bits, if all of them fit into the
//! lookahead. Everything else takes a slower path.

use super::bit_reader::{BitReader, extend};
use super::tables::HuffmanSpec;

/// Number of lookahead bits. They hold two AC symbols about half of the time.
const LOOKAHEAD_BITS: u32 = 11;

type LookupTable = [u64; 1 << LOOKAHEAD_BITS];

/// Huffman table (T.81, annex C). A symbol has a run of zero coefficients and the size in bits of the next
/// coefficient's value.
pub(super) struct HuffmanTable {
    /// An [`Entry`] for each value of the lookahead bits.
    lookup: Box<LookupTable>,
    /// Symbols without values, for progressive scans: the symbol in the lower byte and its code length in
    /// the upper one. 0 for codes longer than the lookahead.
    short_codes: Box<[u16; 1 << LOOKAHEAD_BITS]>,
    /// Exclusive upper bound of the codes of each length, left-aligned in 16 bits.
    code_limits: [u32; 17],
    /// Difference between a code and the index of its symbol, for each code length.
    value_offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// Decoded meaning of the lookahead bits, packed from the lowest bit on:
/// - 6 bits: total length of both symbols with their values; 0 if the code is longer than the lookahead
/// - 6 bits: length of the first symbol with its value
/// - 7 bits: run of zeros before the first coefficient, or [`END_OF_BLOCK`]
/// - 1 bit, [`INCOMPLETE`](Self::INCOMPLETE): the first value isn't within the lookahead bits
/// - 7 bits: run of zeros before the second coefficient; 0 if there is no second symbol
/// - 1 bit: there is a second value
/// - from bit 32 on, 16 bits each: the values; if incomplete, the first is the size of the value in bits
struct Entry(u64);

impl Entry {
    const INCOMPLETE: u64 = 1 << 19;
    const LONG: Self = Self(Self::INCOMPLETE);

    fn complete(length: u32, run: u32, value: i16) -> Self {
        let value = u64::from(value.cast_unsigned());
        Self(u64::from(length | length << 6 | run << 12) | value << 32)
    }

    fn incomplete(length: u32, run: u32, size: u32) -> Self {
        Self(u64::from(length | length << 6 | run << 12) | Self::INCOMPLETE | u64::from(size) << 32)
    }

    /// Combines two symbols; `second` is the entry of the second one alone.
    fn with_second(&self, second: &Self) -> Self {
        let has_value = u64::from(second.run() != END_OF_BLOCK as usize);
        let value = second.0 >> 32 & 0xffff;
        Self(
            (self.0 + u64::from(second.length()))
                | (second.run() as u64) << 20
                | has_value << 27
                | value << 48,
        )
    }

    #[inline(always)]
    fn is_incomplete(&self) -> bool {
        self.0 & Self::INCOMPLETE != 0
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.0 as u32 & 63
    }

    #[inline(always)]
    fn first_length(&self) -> u32 {
        self.0 as u32 >> 6 & 63
    }

    #[inline(always)]
    fn run(&self) -> usize {
        (self.0 >> 12) as usize & 127
    }

    #[inline(always)]
    fn value(&self) -> i32 {
        i32::from((self.0 >> 32) as i16)
    }

    #[inline(always)]
    fn second_run(&self) -> usize {
        (self.0 >> 20) as usize & 127
    }

    #[inline(always)]
    fn second_has_value(&self) -> usize {
        (self.0 >> 27) as usize & 1
    }

    #[inline(always)]
    fn second_value(&self) -> i32 {
        (self.0.cast_signed() >> 48) as i32
    }
}

/// Run that stands for the end of the block: longer than any block.
const END_OF_BLOCK: u32 = 127;

/// Class of a table, which determines the meaning of its symbols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TableClass {
    /// Symbols are the size in bits of a difference of DC coefficients (T.81, F.1.2.1).
    Dc,
    /// Symbols are a run of zeros and the size in bits of the next AC coefficient (T.81, F.1.2.2).
    Ac,
}

impl HuffmanTable {
    /// Builds a DC table. Returns `None` if the codes are oversubscribed.
    pub(super) fn dc(spec: &HuffmanSpec) -> Option<Self> {
        Self::new(TableClass::Dc, spec)
    }

    /// Builds an AC table. Returns `None` if the codes are oversubscribed.
    pub(super) fn ac(spec: &HuffmanSpec) -> Option<Self> {
        Self::new(TableClass::Ac, spec)
    }

    fn new(class: TableClass, spec: &HuffmanSpec) -> Option<Self> {
        let mut table = Self {
            lookup: Box::new([Entry::LONG.0; 1 << LOOKAHEAD_BITS]),
            short_codes: Box::new([0; 1 << LOOKAHEAD_BITS]),
            code_limits: [0; 17],
            value_offsets: [0; 17],
            symbols: spec.symbols.clone(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(&spec.counts) {
            table.value_offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                table.add_code(class, code, length, *spec.symbols.get(index)?);
                code += 1;
                index += 1;
            }
            table.code_limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        if class == TableClass::Ac {
            table.add_second_symbols();
        }
        Some(table)
    }

    /// Adds a code to every entry whose lookahead bits start with it.
    fn add_code(&mut self, class: TableClass, code: u32, length: u32, symbol: u8) {
        if length > LOOKAHEAD_BITS {
            return;
        }
        let (run, size) = run_and_size(class, symbol);
        let first = code << (LOOKAHEAD_BITS - length);
        for rest in 0..1 << (LOOKAHEAD_BITS - length) {
            self.short_codes[(first + rest) as usize] = u16::from(symbol) | (length as u16) << 8;
            let entry = if length + size <= LOOKAHEAD_BITS {
                let value = rest >> (LOOKAHEAD_BITS - length - size);
                // At most 10 bits.
                Entry::complete(length + size, run, extend(value, size) as i16)
            } else {
                Entry::incomplete(length, run, size)
            };
            self.lookup[(first + rest) as usize] = entry.0;
        }
    }

    /// Adds the second symbol to entries whose lookahead bits have it completely.
    fn add_second_symbols(&mut self) {
        let alone = self.lookup.clone();
        for (bits, entry) in self.lookup.iter_mut().enumerate() {
            let first = Entry(*entry);
            if first.is_incomplete() || first.run() == END_OF_BLOCK as usize {
                continue;
            }
            // The bits after the lookahead are unknown, here 0: the second symbol must not depend on them.
            let rest = bits << first.length() & ((1 << LOOKAHEAD_BITS) - 1);
            let second = Entry(alone[rest]);
            if !second.is_incomplete() && first.length() + second.length() <= LOOKAHEAD_BITS {
                *entry = first.with_second(&second).0;
            }
        }
    }

    /// Decodes a symbol that doesn't fit into the lookahead, and its value. Returns the run of zeros and
    /// the value.
    #[inline(always)]
    fn decode_incomplete(
        &self,
        class: TableClass,
        entry: &Entry,
        bits: &mut BitReader<'_>,
    ) -> Option<(usize, i32)> {
        if entry.length() == 0 {
            let (symbol, length) = self.long_symbol(bits.peek(16))?;
            bits.skip(length);
            let (run, size) = run_and_size(class, symbol);
            return Some((run as usize, bits.receive_extend(size)));
        }
        bits.skip(entry.length());
        // A code within the lookahead and its value have at most 26 bits, and 32 are filled in. The size is
        // at least 1.
        let size = entry.value().cast_unsigned();
        let value = extend(bits.peek(size), size);
        bits.skip(size);
        Some((entry.run(), value))
    }

    /// Decodes the difference from the previous DC coefficient. Returns `None` if the code is invalid.
    #[inline(always)]
    pub(super) fn dc_difference(&self, bits: &mut BitReader<'_>) -> Option<i32> {
        bits.fill();
        let entry = Entry(self.lookup[bits.peek(LOOKAHEAD_BITS) as usize]);
        if entry.is_incomplete() {
            return self
                .decode_incomplete(TableClass::Dc, &entry, bits)
                .map(|(_, value)| value);
        }
        bits.skip(entry.length());
        Some(entry.value())
    }

    /// Decodes the AC coefficients of one block, and passes each value and its zigzag index to `set`.
    ///
    /// For speed, `set` also receives zeros and indices of 64 and above; the caller must ignore both.
    /// Returns `Some(true)` if there was any coefficient, and `None` if a code is invalid or the
    /// coefficients overrun the block.
    #[inline(always)]
    pub(super) fn ac_coefficients(
        &self,
        bits: &mut BitReader<'_>,
        mut set: impl FnMut(usize, i32),
    ) -> Option<bool> {
        let mut local = *bits;
        let lookup: &LookupTable = &self.lookup;
        let (mut index, mut has_ac) = (1, false);
        loop {
            local.fill();
            let entry = Entry(lookup[local.peek(LOOKAHEAD_BITS) as usize]);
            if entry.is_incomplete() {
                let (run, value) = self.decode_incomplete(TableClass::Ac, &entry, &mut local)?;
                index += run;
                if index >= 64 {
                    if run != END_OF_BLOCK as usize {
                        return None;
                    }
                    break;
                }
                set(index, value);
                has_ac = true;
                index += 1;
                if index == 64 {
                    break;
                }
                continue;
            }
            index += entry.run();
            if index >= 63 {
                // The block has no room for a second coefficient: those bits belong to the next block.
                local.skip(entry.first_length());
                if index == 63 {
                    set(index, entry.value());
                    has_ac = true;
                } else if entry.run() != END_OF_BLOCK as usize {
                    return None;
                }
                break;
            }
            local.skip(entry.length());
            set(index, entry.value());
            has_ac = true;
            let second = index + 1 + entry.second_run();
            set(second, entry.second_value());
            index = second + entry.second_has_value();
            if index >= 64 {
                if index > 64 && entry.second_run() != END_OF_BLOCK as usize {
                    return None;
                }
                break;
            }
        }
        *bits = local;
        Some(has_ac)
    }

    /// Decodes a symbol without its value, for progressive scans. Returns `None` if the code is invalid.
    pub(super) fn symbol(&self, bits: &mut BitReader<'_>) -> Option<u8> {
        bits.fill();
        let (symbol, length) = match self.short_codes[bits.peek(LOOKAHEAD_BITS) as usize] {
            0 => self.long_symbol(bits.peek(16))?,
            // The symbol is the lower byte.
            entry => (entry as u8, u32::from(entry >> 8)),
        };
        bits.skip(length);
        Some(symbol)
    }

    /// Decodes a code longer than the lookahead from the next 16 bits. Returns the symbol and the code
    /// length.
    #[cold]
    #[inline(never)]
    fn long_symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length =
            (LOOKAHEAD_BITS + 1..=16).find(|&length| next < self.code_limits[length as usize])?;
        let index = (next >> (16 - length)).cast_signed() + self.value_offsets[length as usize];
        let symbol = self.symbols.get(usize::try_from(index).ok()?)?;
        Some((*symbol, length))
    }
}

/// Splits a symbol into the run of zeros and the size of the value in bits.
fn run_and_size(class: TableClass, symbol: u8) -> (u32, u32) {
    let (high, low) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    match (class, high, low) {
        (TableClass::Dc, _, size) => (0, size),
        // ZRL: 16 zeros, here as 15 and a coefficient of value 0.
        (TableClass::Ac, 15, 0) => (15, 0),
        (TableClass::Ac, _, 0) => (END_OF_BLOCK, 0),
        (TableClass::Ac, run, size) => (run, size),
    }
}
