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
        let components = components
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&[identifier, tables]| {
                Some(Coded {
                    component: frame
                        .components
                        .iter()
                        .position(|c| c.identifier == identifier)?,
                    means: usize::from(tables >> 4 & 3),
                    details: usize::from(tables & 3),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let mut met: Vec<_> = components.iter().map(|coded| coded.component).collect();
        met.sort_unstable();
        met.dedup();
        let scan = Self {
            first: first.into(),
            last: last.into(),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
            components,
        };
        let is_whole = !met.is_empty() && met.len() == scan.components.len();
        let is_coded = if frame.progressive {
            let refines = scan.high == 0 || scan.high == scan.low + 1;
            // Means come by themselves, and details one component at a time (T.81, G.1.1.1).
            let kind = scan.last == 0 || scan.first > 0 && scan.components.len() == 1;
            scan.first <= scan.last && scan.last < 64 && scan.low < 14 && refines && kind
        } else {
            true
        };
        (is_whole && is_coded).then_some(scan)
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

/// The table that a component in a scan refers to.
pub(super) fn table<T>(tables: &[Option<T>; 4], selector: usize) -> Result<&T, Error> {
    tables
        .get(selector)
        .and_then(Option::as_ref)
        .ok_or_else(|| Error::broken(Format::Jpeg, "a table is missing"))
}
