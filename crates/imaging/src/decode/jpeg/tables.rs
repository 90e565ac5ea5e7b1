//! What a file defines before its scans refer to it.

use super::huffman::Huffman;
use crate::jpeg::Block;

/// The tables that a file has set so far, four of each kind (T.81, B.2.4).
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<Block<u16>>; 4],
    means: [Option<Codes>; 4],
    details: [Option<Codes>; 4],
    /// After how many units decoding begins anew; 0 for never.
    pub(super) restart_interval: u32,
}

/// Codes as a file defines them. A table is made of them when a scan refers to it: a file may define far
/// more than it uses.
pub(super) struct Codes {
    /// How many there are of each length from 1 to 16.
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

impl Tables {
    /// The table for means, if it is set and makes sense.
    pub(super) fn means(&self, selector: usize) -> Option<Huffman> {
        Huffman::of_means(self.means.get(selector)?.as_ref()?)
    }

    /// The table for details, if it is set and makes sense.
    pub(super) fn details(&self, selector: usize) -> Option<Huffman> {
        Huffman::of_details(self.details.get(selector)?.as_ref()?)
    }

    /// Reads the segment "define quantization tables" (T.81, B.2.4.1); none if it contradicts itself.
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

    /// Reads the segment "define Huffman tables" (T.81, B.2.4.2); none if it contradicts itself.
    pub(super) fn read_huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let tables = match selector >> 4 {
                0 => &mut self.means,
                1 => &mut self.details,
                _ => return None,
            };
            let table = tables.get_mut(usize::from(selector & 15))?;
            *table = Some(Codes {
                counts: *counts,
                symbols: symbols.to_vec(),
            });
            content = rest;
        }
        Some(())
    }

    /// Reads the segment "define restart interval" (T.81, B.2.4.4).
    pub(super) fn read_restart_interval(&mut self, content: &[u8]) -> Option<()> {
        self.restart_interval = u16::from_be_bytes(*content.first_chunk()?).into();
        Some(())
    }
}
