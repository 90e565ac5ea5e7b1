//! Scan headers, restart intervals, and the errors of entropy-coded data.

use super::bit_reader::BitReader;
use crate::error::Error;
use crate::format::Format;
use crate::header::jpeg::Frame;

/// Scan header (T.81, B.2.3).
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// First zigzag index of the spectral selection (Ss).
    pub(super) spectral_start: usize,
    pub(super) spectral_end: usize,
    /// Bit position up to which earlier scans have coded the coefficients (Ah), 0 in a first scan.
    pub(super) approximation_high: u32,
    /// Lowest bit position that this scan codes (Al).
    pub(super) approximation_low: u32,
}

/// Component of a scan: its index in the frame, and its Huffman tables.
#[derive(Clone, Copy)]
pub(super) struct ScanComponent {
    pub(super) component: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
}

impl Scan {
    /// Parses a scan header. Returns `None` if it is invalid or doesn't fit the frame.
    pub(super) fn parse(content: &[u8], frame: &Frame) -> Option<Self> {
        let (&count, rest) = content.split_first()?;
        let (components, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[spectral_start, spectral_end, bits, ..] = rest.first_chunk::<3>()?;
        let mut coded: Vec<ScanComponent> = Vec::new();
        for &[identifier, tables] in components.as_chunks::<2>().0 {
            // Some files give all components the same identifier: take the first one that is left.
            let matches = |&component: &usize| {
                frame.components[component].identifier == identifier
                    && coded.iter().all(|coded| coded.component != component)
            };
            coded.push(ScanComponent {
                component: (0..frame.components.len()).find(matches)?,
                dc_table: usize::from(tables >> 4 & 3),
                ac_table: usize::from(tables & 3),
            });
        }
        if coded.is_empty() {
            return None;
        }
        // Sequential scans have fixed values here, which some encoders write wrongly.
        if !frame.progressive {
            return Some(Self {
                components: coded,
                spectral_start: 0,
                spectral_end: 63,
                approximation_high: 0,
                approximation_low: 0,
            });
        }
        let scan = Self {
            components: coded,
            spectral_start: spectral_start.into(),
            spectral_end: spectral_end.into(),
            approximation_high: u32::from(bits >> 4),
            approximation_low: u32::from(bits & 15),
        };
        let is_valid_approximation =
            scan.approximation_high == 0 || scan.approximation_high == scan.approximation_low + 1;
        // A scan has DC coefficients only, or AC coefficients of one component (T.81, G.1.1.1).
        let is_valid_band =
            scan.spectral_end == 0 || scan.spectral_start > 0 && scan.components.len() == 1;
        (scan.spectral_start <= scan.spectral_end
            && scan.spectral_end < 64
            && scan.approximation_low < 14
            && is_valid_approximation
            && is_valid_band)
            .then_some(scan)
    }
}

/// Counts the MCUs of a scan, and resynchronises at restart markers (T.81, E.2.4).
pub(super) struct RestartCounter {
    interval: u32,
    /// Number of MCUs until the next restart marker.
    mcus_left: u32,
    number: u8,
}

impl RestartCounter {
    pub(super) fn new(interval: u32) -> Self {
        Self {
            interval,
            mcus_left: interval,
            number: 0,
        }
    }

    /// Call before each MCU. Returns `true` after a restart marker, where the decoder's state must be
    /// reset.
    #[inline(always)]
    pub(super) fn restart_if_due(&mut self, bits: &mut BitReader<'_>) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        if self.mcus_left > 0 {
            self.mcus_left -= 1;
            return Ok(false);
        }
        if !bits.skip_restart_marker(self.number) {
            return Err(corrupt_data());
        }
        self.number = (self.number + 1) % 8;
        self.mcus_left = self.interval - 1;
        Ok(true)
    }
}

/// Invalid tables, scan headers or entropy-coded data.
#[cold]
pub(super) fn corrupt_data() -> Error {
    Error::broken(Format::Jpeg, "its image data is corrupt")
}

/// Fails if more bits were consumed than the scan has.
pub(super) fn check_overrun(bits: &BitReader<'_>) -> Result<(), Error> {
    if bits.has_overrun() {
        return Err(Error::broken(Format::Jpeg, "it is truncated"));
    }
    Ok(())
}

/// A scan refers to a table that is absent or invalid.
#[cold]
pub(super) fn missing_table() -> Error {
    Error::broken(
        Format::Jpeg,
        "a quantisation or Huffman table is missing or invalid",
    )
}
