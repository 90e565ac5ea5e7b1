//! Scans: which components they code, how, and in which units.

use super::bits::Bits;
use crate::error::Error;
use crate::format::Format;
use crate::header::jpeg::Frame;

/// What the scan header says (T.81, B.2.3).
pub(super) struct Scan {
    pub(super) components: Vec<Coded>,
    /// The coefficients that it codes, in the order of storage.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The lowest bit of them that earlier scans have coded, or 0 if it is the first.
    pub(super) high: u32,
    /// The lowest bit that this one codes.
    pub(super) low: u32,
}

/// A component in a scan: which one of the frame's, and its tables.
#[derive(Clone, Copy)]
pub(super) struct Coded {
    pub(super) component: usize,
    pub(super) means: usize,
    pub(super) details: usize,
}

impl Scan {
    /// Reads the header of a scan; none if it contradicts itself or the frame.
    pub(super) fn read(content: &[u8], frame: &Frame) -> Option<Self> {
        let (&count, rest) = content.split_first()?;
        let (components, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, bits, ..] = rest.first_chunk::<3>()?;
        let mut coded: Vec<Coded> = Vec::new();
        for &[identifier, tables] in components.as_chunks::<2>().0 {
            // Some files give all components the same identifier.
            let is_meant = |&component: &usize| {
                frame.components[component].identifier == identifier
                    && coded.iter().all(|coded| coded.component != component)
            };
            coded.push(Coded {
                component: (0..frame.components.len()).find(is_meant)?,
                means: usize::from(tables >> 4 & 3),
                details: usize::from(tables & 3),
            });
        }
        if coded.is_empty() {
            return None;
        }
        // What sequential scans say here means nothing, and is often wrong.
        if !frame.progressive {
            return Some(Self {
                components: coded,
                first: 0,
                last: 63,
                high: 0,
                low: 0,
            });
        }
        let scan = Self {
            components: coded,
            first: first.into(),
            last: last.into(),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
        };
        let refines = scan.high == 0 || scan.high == scan.low + 1;
        // Means come by themselves, and details one component at a time (T.81, G.1.1.1).
        let kind = scan.last == 0 || scan.first > 0 && scan.components.len() == 1;
        (scan.first <= scan.last && scan.last < 64 && scan.low < 14 && refines && kind)
            .then_some(scan)
    }
}

/// Counts the units of a scan, and begins anew where the file does (T.81, E.2.4).
pub(super) struct Restarts {
    interval: u32,
    /// Until the next one.
    left: u32,
    number: u8,
}

impl Restarts {
    pub(super) fn new(interval: u32) -> Self {
        Self {
            interval,
            left: interval,
            number: 0,
        }
    }

    /// Before each unit: whether what is remembered of the units before has to be forgotten.
    #[inline(always)]
    pub(super) fn is_due(&mut self, bits: &mut Bits<'_>) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(false);
        }
        if !bits.restart(self.number) {
            return Err(damaged());
        }
        self.number = (self.number + 1) % 8;
        self.left = self.interval - 1;
        Ok(true)
    }
}

/// Bits that are no code, or lead out of the picture.
#[cold]
pub(super) fn damaged() -> Error {
    Error::broken(Format::Jpeg, "its pixels are damaged")
}

/// Whether the bits are there that were read.
pub(super) fn check_end(bits: &Bits<'_>) -> Result<(), Error> {
    if bits.has_ended() {
        return Err(Error::broken(Format::Jpeg, "it ends before its pixels do"));
    }
    Ok(())
}

/// A scan refers to a table that isn't there, or isn't one.
#[cold]
pub(super) fn missing_table() -> Error {
    Error::broken(Format::Jpeg, "a table is missing")
}
