//! Huffman's codes, as tables to read them with.

use super::bits::{Bits, signed};
use super::tables::Codes;

/// So many bits are looked at, which are two symbols as often as not.
const LOOK: u32 = 11;

type Looks = [u64; 1 << LOOK];

/// A table of codes for symbols (T.81, annex C), each of which says how many coefficients are zero, and
/// how many bits the next one has.
pub(super) struct Huffman {
    /// What the next bits mean: an [`Entry`] each.
    looks: Box<Looks>,
    /// The symbols of short codes, and the lengths of these above, for whom needs no more.
    short: Box<[u16; 1 << LOOK]>,
    /// For each length in bits, the first code that is none, followed by ones up to 16 bits.
    limits: [u32; 17],
    /// For each length, what to add to a code to find its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// What the beginning of the bits means, from the lowest bit on:
/// - six bits: how many are read with it; none if the code is longer than the look;
/// - six: how many are read with the first symbol alone;
/// - seven: how many coefficients that skips, [`REST`] for the rest of the block;
/// - one, [`APART`](Self::APART): whether its number isn't among the bits that were looked at;
/// - seven: how many the second symbol skips, none if there is no second one;
/// - one: whether that one has a number;
/// - from bit 32 on, sixteen each: the numbers, or how many bits the first has if it is apart.
struct Entry(u64);

impl Entry {
    const APART: u64 = 1 << 19;
    const LONG: Self = Self(Self::APART);

    fn one(length: u32, skipped: u32, number: i16) -> Self {
        let number = u64::from(number.cast_unsigned());
        Self(u64::from(length | length << 6 | skipped << 12) | number << 32)
    }

    fn apart(length: u32, skipped: u32, size: u32) -> Self {
        Self(u64::from(length | length << 6 | skipped << 12) | Self::APART | u64::from(size) << 32)
    }

    /// The same with a second symbol, which is read alone as `second`.
    fn and(&self, second: &Self) -> Self {
        let has_number = u64::from(second.skipped() != REST as usize);
        let number = second.0 >> 32 & 0xffff;
        Self(
            (self.0 + u64::from(second.length()))
                | (second.skipped() as u64) << 20
                | has_number << 27
                | number << 48,
        )
    }

    #[inline(always)]
    fn is_apart(&self) -> bool {
        self.0 & Self::APART != 0
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
    fn skipped(&self) -> usize {
        (self.0 >> 12) as usize & 127
    }

    #[inline(always)]
    fn number(&self) -> i32 {
        i32::from((self.0 >> 32) as i16)
    }

    #[inline(always)]
    fn second_skipped(&self) -> usize {
        (self.0 >> 20) as usize & 127
    }

    #[inline(always)]
    fn second_has_number(&self) -> usize {
        (self.0 >> 27) as usize & 1
    }

    #[inline(always)]
    fn second_number(&self) -> i32 {
        (self.0.cast_signed() >> 48) as i32
    }
}

/// Stands for the rest of a block: more than a block has.
const REST: u32 = 127;

/// What symbols say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// How many bits the difference of two means has (T.81, F.1.2.1).
    Mean,
    /// How many coefficients are zero, and how many bits the next one has (T.81, F.1.2.2).
    Detail,
}

impl Huffman {
    /// The table of these codes for means; none if there are more than codes.
    pub(super) fn of_means(codes: &Codes) -> Option<Self> {
        Self::new(Kind::Mean, codes)
    }

    /// The table of these codes for details; none if there are more than codes.
    pub(super) fn of_details(codes: &Codes) -> Option<Self> {
        Self::new(Kind::Detail, codes)
    }

    fn new(kind: Kind, codes: &Codes) -> Option<Self> {
        let mut table = Self {
            looks: Box::new([Entry::LONG.0; 1 << LOOK]),
            short: Box::new([0; 1 << LOOK]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: codes.symbols.clone(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(&codes.counts) {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                table.look(kind, code, length, *codes.symbols.get(index)?);
                code += 1;
                index += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        if kind == Kind::Detail {
            table.look_twice();
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
            let entry = if length + size <= LOOK {
                let number = rest >> (LOOK - length - size);
                // At most ten bits.
                Entry::one(length + size, skipped, signed(number, size) as i16)
            } else {
                Entry::apart(length, skipped, size)
            };
            self.looks[(first + rest) as usize] = entry.0;
        }
    }

    /// Adds second symbols where the look has them as a whole.
    fn look_twice(&mut self) {
        let alone = self.looks.clone();
        for (bits, look) in self.looks.iter_mut().enumerate() {
            let first = Entry(*look);
            if first.is_apart() || first.skipped() == REST as usize {
                continue;
            }
            // Zeros follow, which its code must not need.
            let rest = bits << first.length() & ((1 << LOOK) - 1);
            let second = Entry(alone[rest]);
            if !second.is_apart() && first.length() + second.length() <= LOOK {
                *look = first.and(&second).0;
            }
        }
    }

    /// What an entry means that has no number or no code: how many coefficients are zero, and the number
    /// after them.
    #[inline(always)]
    fn apart(&self, kind: Kind, entry: &Entry, bits: &mut Bits<'_>) -> Option<(usize, i32)> {
        if entry.length() == 0 {
            let (symbol, length) = self.long_symbol(bits.peek(16))?;
            bits.skip(length);
            let (skipped, size) = meaning(kind, symbol);
            return Some((skipped as usize, bits.take_signed(size)));
        }
        bits.skip(entry.length());
        // Codes and numbers have 25 bits at most, which were filled in; and these numbers have some.
        let size = entry.number().cast_unsigned();
        let number = signed(bits.peek(size), size);
        bits.skip(size);
        Some((entry.skipped(), number))
    }

    /// The difference to the mean of the block before. None if the bits are no code.
    #[inline(always)]
    pub(super) fn mean(&self, bits: &mut Bits<'_>) -> Option<i32> {
        bits.fill();
        let entry = Entry(self.looks[bits.peek(LOOK) as usize]);
        if entry.is_apart() {
            return self
                .apart(Kind::Mean, &entry, bits)
                .map(|(_, number)| number);
        }
        bits.skip(entry.length());
        Some(entry.number())
    }

    /// Gives each coefficient after the mean that isn't zero to `set`, with its place in the order of
    /// storage; and some that are zero, and some at places from 64 on, which mean nothing, because to ask
    /// takes longer. Whether there were any. None if the bits are no code, or go on beyond the block.
    #[inline(always)]
    pub(super) fn details(
        &self,
        bits: &mut Bits<'_>,
        mut set: impl FnMut(usize, i32),
    ) -> Option<bool> {
        let mut local = *bits;
        let looks: &Looks = &self.looks;
        let (mut place, mut has_details) = (1, false);
        loop {
            local.fill();
            let entry = Entry(looks[local.peek(LOOK) as usize]);
            if entry.is_apart() {
                let (skipped, number) = self.apart(Kind::Detail, &entry, &mut local)?;
                place += skipped;
                if place >= 64 {
                    if skipped != REST as usize {
                        return None;
                    }
                    break;
                }
                set(place, number);
                has_details = true;
                place += 1;
                if place == 64 {
                    break;
                }
                continue;
            }
            place += entry.skipped();
            if place >= 63 {
                // There is no place for a second one: what looked like it belongs to the next block.
                local.skip(entry.first_length());
                if place == 63 {
                    set(place, entry.number());
                    has_details = true;
                } else if entry.skipped() != REST as usize {
                    return None;
                }
                break;
            }
            local.skip(entry.length());
            set(place, entry.number());
            has_details = true;
            let second = place + 1 + entry.second_skipped();
            set(second, entry.second_number());
            place = second + entry.second_has_number();
            if place >= 64 {
                if place > 64 && entry.second_skipped() != REST as usize {
                    return None;
                }
                break;
            }
        }
        *bits = local;
        Some(has_details)
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
