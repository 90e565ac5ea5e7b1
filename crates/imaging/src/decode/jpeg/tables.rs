//! Quantisation tables, Huffman tables and restart interval, as the file defines them.

use super::huffman::HuffmanTable;
use crate::jpeg::Block;

/// Tables defined so far, four of each kind (T.81, B.2.4).
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<Block<u16>>; 4],
    dc: [Option<HuffmanSpec>; 4],
    ac: [Option<HuffmanSpec>; 4],
    /// Restart interval in MCUs; 0 if there are no restart markers.
    pub(super) restart_interval: u32,
}

/// Huffman table as defined in the file. The lookup tables are built only when a scan refers to it, because
/// a file may define many more tables than it uses.
pub(super) struct HuffmanSpec {
    /// Number of codes of each length from 1 to 16 (BITS).
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

impl Tables {
    /// Builds the DC table with this selector. `None` if it is absent or invalid.
    pub(super) fn dc(&self, selector: usize) -> Option<HuffmanTable> {
        HuffmanTable::dc(self.dc.get(selector)?.as_ref()?)
    }

    /// Builds the AC table with this selector. `None` if it is absent or invalid.
    pub(super) fn ac(&self, selector: usize) -> Option<HuffmanTable> {
        HuffmanTable::ac(self.ac.get(selector)?.as_ref()?)
    }

    /// Parses a DQT segment (T.81, B.2.4.1). Returns `None` if it is invalid.
    pub(super) fn read_quantisation(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = content.split_first() {
            let table = self.quantisation.get_mut(usize::from(selector & 15))?;
            let mut values = [0; 64];
            content = match selector >> 4 {
                0 => {
                    let (bytes, rest) = rest.split_first_chunk::<64>()?;
                    values = bytes.map(u16::from);
                    rest
                }
                1 => {
                    let (bytes, rest) = rest.split_first_chunk::<128>()?;
                    for (value, pair) in values.iter_mut().zip(bytes.as_chunks().0) {
                        *value = u16::from_be_bytes(*pair);
                    }
                    rest
                }
                _ => return None,
            };
            *table = Some(values);
        }
        Some(())
    }

    /// Parses a DHT segment (T.81, B.2.4.2). Returns `None` if it is invalid.
    pub(super) fn read_huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let tables = match selector >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            let table = tables.get_mut(usize::from(selector & 15))?;
            *table = Some(HuffmanSpec {
                counts: *counts,
                symbols: symbols.to_vec(),
            });
            content = rest;
        }
        Some(())
    }

    /// Parses a DRI segment (T.81, B.2.4.4).
    pub(super) fn read_restart_interval(&mut self, content: &[u8]) -> Option<()> {
        self.restart_interval = u16::from_be_bytes(*content.first_chunk()?).into();
        Some(())
    }
}
