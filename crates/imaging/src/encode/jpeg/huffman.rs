//! Huffman coding: symbol counts, optimal code lengths, and the bit stream.

/// Symbols of a scan with their additional bits, and how often each symbol occurs in each table: two DC
/// tables, then two AC tables.
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

/// Huffman table (T.81, annex C).
pub(super) struct HuffmanTable {
    /// Number of codes of each length from 1 to 16 (BITS).
    pub(super) counts: [u8; 16],
    /// Symbols in order of code length (HUFFVAL).
    pub(super) symbols: Vec<u8>,
    /// Code length and code of each symbol.
    codes: [(u8, u16); 256],
}

/// Flag of a token that has a symbol. From the lowest bit on, a token has 16 additional bits, 4 bits for
/// their number, 8 for the symbol, 2 for the table, and this flag.
const HAS_SYMBOL: u32 = 1 << 30;

impl Tokens {
    /// Adds a symbol of a table, followed by 0 to 15 additional bits.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: u8, symbol: u8, bits: u32, count: u32) {
        self.counts.0[usize::from(table & 3)][usize::from(symbol)] += 1;
        let key = u32::from(table & 3) << 8 | u32::from(symbol);
        self.tokens
            .push(HAS_SYMBOL | key << 20 | count << 16 | bits);
    }

    /// Adds 1 to 15 bits without a symbol.
    pub(super) fn bits(&mut self, bits: u32, count: u32) {
        self.tokens.push(count << 16 | bits);
    }

    /// Computes the optimal Huffman table for each table that is used.
    pub(super) fn huffman_tables(&self) -> [Option<HuffmanTable>; 4] {
        self.counts.0.each_ref().map(|counts| {
            counts
                .iter()
                .any(|&count| count > 0)
                .then(|| HuffmanTable::optimal(counts))
        })
    }

    /// Writes the entropy-coded data, with a zero byte stuffed after each 0xff and padded with ones (T.81,
    /// F.1.2.3).
    pub(super) fn write(&self, tables: &[Option<HuffmanTable>; 4], file: &mut Vec<u8>) {
        let mut table = [[(0, 0); 256]; 4];
        for (table, huffman) in table.iter_mut().zip(tables) {
            if let Some(huffman) = huffman {
                *table = huffman.codes;
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
                // The cast drops the bits that were written before.
                write_bits((buffer >> filled) as u32, file);
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
fn write_bits(bits: u32, file: &mut Vec<u8>) {
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

/// Pseudo-symbol that reserves the code of all ones, which is not allowed (T.81, annex C).
const RESERVED: usize = 256;

impl HuffmanTable {
    /// Builds the optimal table of codes of at most 16 bits for these counts (T.81, K.2).
    fn optimal(counts: &[u32; 256]) -> Self {
        let lengths = code_lengths(counts);
        // Codes longer than 16 bits are shortened in pairs, and a shorter code becomes one bit longer
        // (T.81, figure K.3).
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
        // Removes the reserved code, the last one of the longest.
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
            // At most 255: there are 256 symbols, not all of one length.
            *count = *of_length as u8;
        }
        Self {
            counts,
            symbols,
            codes,
        }
    }
}

/// Computes the code length of each symbol and of [`RESERVED`] by Huffman's method: the two groups of
/// lowest weight are merged until one is left.
fn code_lengths(counts: &[u32; 256]) -> [u8; 257] {
    let mut weights = [0_u64; 257];
    for (weight, &count) in weights.iter_mut().zip(counts) {
        *weight = count.into();
    }
    weights[RESERVED] = 1;
    let mut lengths = [0_u8; 257];
    // Weight and symbols of each group.
    let mut groups: Vec<(u64, Vec<u16>)> = (0..257_u16)
        .filter(|&symbol| weights[usize::from(symbol)] > 0)
        .map(|symbol| (weights[usize::from(symbol)], vec![symbol]))
        .collect();
    while groups.len() > 1 {
        let mut least = || {
            // Ties go to the highest symbol, so that the reserved one gets the longest code.
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
