//! Boxes of the ISO base media file format (ISO/IEC 14496-12, 4.2), which AVIF files consist of.
//!
//! Reads from a slice and never allocates. A box that reaches beyond its parent ends the iteration.

/// A box (ISO/IEC 14496-12, 4.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct IsoBox<'f> {
    pub(super) box_type: [u8; 4],
    pub(super) content: &'f [u8],
}

/// Iterator over consecutive boxes. Stops at the first one that doesn't fit.
pub(super) struct Boxes<'f>(pub(super) &'f [u8]);

impl<'f> Iterator for Boxes<'f> {
    type Item = IsoBox<'f>;

    fn next(&mut self) -> Option<IsoBox<'f>> {
        let mut bytes = ByteReader(self.0);
        let size = bytes.u32()?;
        let box_type = *bytes.take(4)?.first_chunk()?;
        let size = match size {
            0 => self.0.len(),
            1 => usize::try_from(bytes.uint(8)?).ok()?,
            size => usize::try_from(size).ok()?,
        };
        let start = self.0.len() - bytes.0.len();
        let content = self.0.get(start..size)?;
        self.0 = self.0.get(size..)?;
        Some(IsoBox { box_type, content })
    }
}

/// Splits a full box into its version and the content after the flags.
pub(super) fn full_box(content: &[u8]) -> Option<(u8, ByteReader<'_>)> {
    Some((*content.first()?, ByteReader(content.get(4..)?)))
}

/// Reader of big-endian numbers.
pub(super) struct ByteReader<'f>(pub(super) &'f [u8]);

impl<'f> ByteReader<'f> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'f [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads an unsigned integer of up to eight bytes; 0 bytes give 0.
    pub(super) fn uint(&mut self, bytes: u8) -> Option<u64> {
        if bytes > 8 {
            return None;
        }
        let taken = self.take(usize::from(bytes))?;
        Some(
            taken
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.uint(4)?).ok()
    }

    /// Reads an item ID.
    pub(super) fn item_id(&mut self, long: bool) -> Option<u32> {
        u32::try_from(self.uint(if long { 4 } else { 2 })?).ok()
    }
}
