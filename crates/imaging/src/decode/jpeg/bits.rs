//! The bits between two markers.

/// Reads bits, most significant first, without the zero bytes that are stuffed after 255 (T.81, B.1.1.5).
///
/// From the next marker on it reads zeros, and knows that it did: [`has_ended`](Self::has_ended). A copy
/// reads on by itself; what is read in a hurry is read from a copy that is put back in the end, so that it
/// can be kept in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'f> {
    file: &'f [u8],
    at: usize,
    /// The next bits, from the top.
    buffer: u64,
    /// How many of them there are.
    count: u32,
    /// How many of these stand for none in the file.
    padding: u32,
}

impl<'f> Bits<'f> {
    pub(super) fn new(file: &'f [u8], at: usize) -> Self {
        Self {
            file,
            at,
            buffer: 0,
            count: 0,
            padding: 0,
        }
    }

    /// Sees to it that the next 32 bits can be looked at.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if self.count < 32 {
            match self.file.get(self.at..).and_then(<[u8]>::first_chunk) {
                Some(next) if !has_marker(u64::from_be_bytes(*next)) => {
                    self.buffer |= u64::from_be_bytes(*next) >> self.count;
                    let bytes = (63 - self.count) / 8;
                    self.at += bytes as usize;
                    self.count += bytes * 8;
                }
                _ => *self = self.fill_bytewise(),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn fill_bytewise(mut self) -> Self {
        while self.count <= 56 {
            let byte = match self.file.get(self.at..) {
                Some([0xff, 0x00, ..]) => {
                    self.at += 2;
                    0xff
                }
                Some([byte, ..]) if *byte != 0xff => {
                    self.at += 1;
                    *byte
                }
                _ => {
                    self.padding += 8;
                    0
                }
            };
            // What filling by eight bytes has left below is the same byte, or the beginning of it.
            self.buffer &= !(u64::MAX >> self.count);
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// The next bits, 1 to 32 of them; after [`fill`](Self::fill).
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    /// Goes on by as many bits; no more than were filled in.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.count = self.count.wrapping_sub(count);
    }

    /// The next bits, 0 to 16 of them.
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

    /// A number of so many bits, 0 to 15, which says its sign by the first of them (T.81, F.2.2.1).
    #[inline(always)]
    pub(super) fn take_signed(&mut self, count: u32) -> i32 {
        signed(self.take(count), count)
    }

    /// Whether more was read than there is.
    pub(super) fn has_ended(&self) -> bool {
        self.count < self.padding
    }

    /// Goes on behind the restart marker of this number, 0 to 7; whether there is one (T.81, E.2.4).
    pub(super) fn restart(&mut self, number: u8) -> bool {
        let marker = next_marker(self.file, self.at);
        if self.has_ended() || self.file.get(marker + 1) != Some(&(0xd0 + number)) {
            return false;
        }
        *self = Self::new(self.file, marker + 2);
        true
    }

    /// Where the next marker is, or the file ends.
    pub(super) fn end(&self) -> usize {
        next_marker(self.file, self.at)
    }
}

/// The number that `bits` stand for, which are `count`.
#[inline(always)]
pub(super) fn signed(bits: u32, count: u32) -> i32 {
    if count == 0 || bits >> (count - 1) != 0 {
        bits as i32
    } else {
        bits as i32 - (1 << count) + 1
    }
}

/// Whether any of the eight bytes is 255, with which markers begin.
#[inline(always)]
fn has_marker(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A byte that is zero borrows from its highest bit (Anderson, "Bit Twiddling Hacks").
    let inverted = !bytes;
    inverted.wrapping_sub(ONES) & bytes & (ONES << 7) != 0
}

fn next_marker(file: &[u8], from: usize) -> usize {
    let rest = file.get(from..).unwrap_or_default();
    rest.windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff))
        .map_or(file.len(), |found| from + found)
}
