//! Reader of the entropy-coded bits between two markers.

use crate::jpeg::marker::RST0;

/// Reads bits, most significant first, and removes the stuffed zero byte after 0xff (T.81, B.1.1.5).
///
/// From the next marker on it returns zeros; once any of them is consumed, [`has_overrun`](Self::has_overrun)
/// is `true`. The reader is `Copy`: hot loops work on a local copy, which the compiler can keep in
/// registers, and assign it back at the end.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'f> {
    file: &'f [u8],
    position: usize,
    /// The next bits, left-aligned.
    buffer: u64,
    /// Number of bits in `buffer`.
    bit_count: u32,
    /// Number of bits in `buffer` that are padding after the end of the data.
    padding: u32,
}

impl<'f> BitReader<'f> {
    pub(super) fn new(file: &'f [u8], position: usize) -> Self {
        Self {
            file,
            position,
            buffer: 0,
            bit_count: 0,
            padding: 0,
        }
    }

    /// Fills the buffer to at least 32 bits.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if self.bit_count < 32 {
            match self.file.get(self.position..).and_then(<[u8]>::first_chunk) {
                Some(next) if !contains_0xff(u64::from_be_bytes(*next)) => {
                    self.buffer |= u64::from_be_bytes(*next) >> self.bit_count;
                    let bytes = (63 - self.bit_count) / 8;
                    self.position += bytes as usize;
                    self.bit_count += bytes * 8;
                }
                _ => *self = self.fill_bytewise(),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn fill_bytewise(mut self) -> Self {
        while self.bit_count <= 56 {
            let byte = match self.file.get(self.position..) {
                Some([0xff, 0x00, ..]) => {
                    self.position += 2;
                    0xff
                }
                Some([byte, ..]) if *byte != 0xff => {
                    self.position += 1;
                    *byte
                }
                _ => {
                    self.padding += 8;
                    0
                }
            };
            // Filling by eight bytes leaves bits of this same byte below `bit_count`.
            self.buffer &= !(u64::MAX >> self.bit_count);
            self.buffer |= u64::from(byte) << (56 - self.bit_count);
            self.bit_count += 8;
        }
        self
    }

    /// Returns the next 1 to 32 bits without consuming them. Call [`fill`](Self::fill) first.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    /// Consumes bits, at most as many as the buffer has.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.bit_count = self.bit_count.wrapping_sub(count);
    }

    /// Consumes and returns the next 0 to 16 bits.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        self.fill();
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// Consumes a signed value of 0 to 15 bits: RECEIVE and EXTEND of T.81, F.2.2.1.
    #[inline(always)]
    pub(super) fn receive_extend(&mut self, count: u32) -> i32 {
        extend(self.take(count), count)
    }

    /// `true` if more bits were consumed than the data has.
    pub(super) fn has_overrun(&self) -> bool {
        self.bit_count < self.padding
    }

    /// Continues after the restart marker RST`number` (T.81, E.2.4). Returns `false` if the next marker is
    /// another.
    pub(super) fn skip_restart_marker(&mut self, number: u8) -> bool {
        let marker = next_marker(self.file, self.position);
        if self.has_overrun() || self.file.get(marker + 1) != Some(&(RST0 + number)) {
            return false;
        }
        *self = Self::new(self.file, marker + 2);
        true
    }

    /// Position of the next marker, or the end of the file.
    pub(super) fn marker_position(&self) -> usize {
        next_marker(self.file, self.position)
    }
}

/// Converts `count` bits to a signed value: EXTEND of T.81, F.2.2.1.
#[inline(always)]
pub(super) fn extend(bits: u32, count: u32) -> i32 {
    if count == 0 || bits >> (count - 1) != 0 {
        bits as i32
    } else {
        bits as i32 - (1 << count) + 1
    }
}

/// `true` if any of the eight bytes is 0xff, which starts every marker.
#[inline(always)]
fn contains_0xff(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Finds a zero byte in the inverted bytes by its borrow (Anderson, "Bit Twiddling Hacks").
    let inverted = !bytes;
    inverted.wrapping_sub(ONES) & bytes & (ONES << 7) != 0
}

fn next_marker(file: &[u8], from: usize) -> usize {
    let rest = file.get(from..).unwrap_or_default();
    rest.windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff))
        .map_or(file.len(), |found| from + found)
}
