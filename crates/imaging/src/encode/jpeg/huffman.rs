//! Symbols, the best codes for them, and their bits.

/// The symbols of a scan, and the bits between them, with how often each occurs in each table: first two
/// tables of means, then two of details.
#[derive(Default)]
pub(super) struct Tokens {
    tokens: Vec<u32>,
    counts: Counts,
}

struct Counts([[u32; 256]; 4]);

impl Default for Counts {
    fn default() -> Self {
        Self([[0; 256]; 4])
    }
}

/// The codes of a table (T.81, annex C).
pub(super) struct Code {
    /// How many there are of each length from 1 to 16.
    pub(super) counts: [u8; 16],
    /// From short to long.
    pub(super) symbols: Vec<u8>,
    /// Of each symbol, its length and its bits.
    codes: [(u8, u16); 256],
}

/// A token has sixteen bits to be written after its symbol, four for how many these are, eight for the
/// symbol, two for its table, and one that says that it has a symbol.
const HAS_SYMBOL: u32 = 1 << 30;

impl Tokens {
    /// Adds a symbol of a table, and 0 to 15 bits after it.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: u8, symbol: u8, bits: u32, count: u32) {
        self.counts.0[usize::from(table & 3)][usize::from(symbol)] += 1;
        let place = u32::from(table & 3) << 8 | u32::from(symbol);
        self.tokens
            .push(HAS_SYMBOL | place << 20 | count << 16 | bits);
    }

    /// Adds 1 to 15 bits.
    pub(super) fn bits(&mut self, bits: u32, count: u32) {
        self.tokens.push(count << 16 | bits);
    }

    /// The best codes of each table that is used.
    pub(super) fn codes(&self) -> [Option<Code>; 4] {
        self.counts.0.each_ref().map(|counts| {
            counts
                .iter()
                .any(|&count| count > 0)
                .then(|| Code::new(counts))
        })
    }

    /// Writes all of it, with zeros stuffed after 255, filled up with ones (T.81, F.1.2.3).
    pub(super) fn write(&self, codes: &[Option<Code>; 4], file: &mut Vec<u8>) {
        let mut table = [[(0, 0); 256]; 4];
        for (table, code) in table.iter_mut().zip(codes) {
            if let Some(code) = code {
                *table = code.codes;
            }
        }
        let (mut buffer, mut filled) = (0_u64, 0);
        for &token in &self.tokens {
            if token & HAS_SYMBOL != 0 {
                let (length, bits) =
                    table[(token >> 28 & 3) as usize][(token >> 20 & 255) as usize];
                buffer = buffer << length | u64::from(bits);
                filled += u32::from(length);
            }
            let count = token >> 16 & 15;
            buffer = buffer << count | u64::from(token & 0xffff);
            filled += count;
            while filled >= 32 {
                filled -= 32;
                // The upper bits are those of before.
                write((buffer >> filled) as u32, file);
            }
        }
        let missing = filled.next_multiple_of(8) - filled;
        buffer = buffer << missing | ((1 << missing) - 1);
        filled += missing;
        while filled > 0 {
            filled -= 8;
            write_byte((buffer >> filled) as u8, file);
        }
    }
}

#[inline(always)]
fn write(bits: u32, file: &mut Vec<u8>) {
    let bytes = bits.to_be_bytes();
    if bytes.contains(&0xff) {
        for byte in bytes {
            write_byte(byte, file);
        }
    } else {
        file.extend(bytes);
    }
}

fn write_byte(byte: u8, file: &mut Vec<u8>) {
    file.push(byte);
    if byte == 0xff {
        file.push(0);
    }
}

/// Stands for the code of ones alone, which must not be used (T.81, annex C).
const RESERVED: usize = 256;

impl Code {
    /// The best codes for symbols that occur so often, of at most 16 bits (T.81, K.2).
    fn new(counts: &[u32; 256]) -> Self {
        let lengths = lengths(counts);
        // Lengths beyond 16 are shortened in pairs, at the expense of a shorter one.
        let mut of_length = [0_u32; 64];
        for &length in lengths.iter().filter(|&&length| length > 0) {
            of_length[usize::from(length.min(63))] += 1;
        }
        for long in (17..64).rev() {
            while of_length[long] > 0 {
                let mut short = long - 2;
                while of_length[short] == 0 {
                    short -= 1;
                }
                of_length[long] -= 2;
                of_length[long - 1] += 1;
                of_length[short + 1] += 2;
                of_length[short] -= 1;
            }
        }
        // The reserved one is the last of the longest.
        if let Some(longest) = of_length.iter_mut().rev().find(|count| **count > 0) {
            *longest -= 1;
        }
        let mut symbols: Vec<u8> = (0..=255)
            .filter(|&symbol| lengths[usize::from(symbol)] > 0)
            .collect();
        symbols.sort_by_key(|&symbol| lengths[usize::from(symbol)]);
        let mut codes = [(0, 0); 256];
        let mut code = 0_u16;
        let mut rest = symbols.iter();
        for (length, &count) in (0_u8..).zip(&of_length[..17]) {
            code <<= 1;
            for &symbol in rest.by_ref().take(count as usize) {
                codes[usize::from(symbol)] = (length, code);
                code += 1;
            }
        }
        let mut counts = [0; 16];
        for (count, of_length) in counts.iter_mut().zip(&of_length[1..]) {
            // There are 256 symbols, and fewer of one length.
            *count = *of_length as u8;
        }
        Self {
            counts,
            symbols,
            codes,
        }
    }
}

/// The length of the code of each symbol, and of the reserved one: of the two that occur least, a pair is
/// made again and again (Huffman's method).
fn lengths(counts: &[u32; 256]) -> [u8; 257] {
    let mut weights = [0_u64; 257];
    for (weight, &count) in weights.iter_mut().zip(counts) {
        *weight = count.into();
    }
    weights[RESERVED] = 1;
    let mut lengths = [0_u8; 257];
    // The symbols of each pair.
    let mut groups: Vec<(u64, Vec<u16>)> = (0..257_u16)
        .filter(|&symbol| weights[usize::from(symbol)] > 0)
        .map(|symbol| (weights[usize::from(symbol)], vec![symbol]))
        .collect();
    while groups.len() > 1 {
        let mut least = || {
            // Of equals the one with the highest symbol, so that the reserved one has the longest code.
            let least = (0..groups.len())
                .min_by_key(|&index| (groups[index].0, std::cmp::Reverse(groups[index].1[0])));
            groups.swap_remove(least.unwrap_or(0))
        };
        let (mut first, second) = (least(), least());
        first.0 += second.0;
        first.1.extend(second.1);
        for &symbol in &first.1 {
            lengths[usize::from(symbol)] += 1;
        }
        groups.push(first);
    }
    lengths
}
