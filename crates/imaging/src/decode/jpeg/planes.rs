//! From samples to pixels: each plane is resized by itself, from the size in which it is stored to that
//! of the print, while it is read. Colours, of which there are fewer samples as a rule, are neither
//! reduced more than brightness nor enlarged only to be reduced.

use super::colour::{self, Colours};
use super::filter::{Filter, Source};
use super::transform::Size;
use crate::header::jpeg::Frame;

/// The planes of a picture, as far as they are read.
pub(super) struct Planes {
    pub(super) bands: Vec<Band>,
    colours: Colours,
    target: (usize, usize),
    pixels: Vec<u8>,
}

/// A plane: the blocks of the row of units that is being read, and rows that came of those before.
pub(super) struct Band {
    /// What a block of it becomes.
    pub(super) size: Size,
    /// Blocks of it in a unit that is coded together (T.81, A.2.3).
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
    /// Its blocks, without those that only fill up units.
    pub(super) blocks_across: usize,
    pub(super) blocks_down: usize,
    /// Samples from row to row.
    pub(super) stride: usize,
    samples: Vec<u8>,
    filter: Filter,
    /// Its resized rows that other planes don't have yet.
    resized: Vec<u8>,
}

/// How a plane is stored, and what becomes of it.
struct Geometry {
    size: Size,
    across: Source,
    down: Source,
}

impl Planes {
    /// For a frame of so many pixels, of which each block becomes at least `size` by `size`, to be resized
    /// to the target.
    pub(super) fn new(
        frame: &Frame,
        size: Size,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> Self {
        let (most_across, most_down) = frame.densest();
        let units_across = width.div_ceil(8 * most_across);
        let mut known = Vec::new();
        let bands = frame
            .components
            .iter()
            .map(|component| {
                let (horizontal, vertical) =
                    (component.horizontal.into(), component.vertical.into());
                let geometry = Geometry::new(
                    (horizontal, vertical),
                    frame.densest(),
                    size,
                    (width, height),
                    target,
                );
                let side = geometry.size as usize;
                let stride = units_across * horizontal * side;
                Band {
                    size: geometry.size,
                    horizontal,
                    vertical,
                    blocks_across: (width * horizontal).div_ceil(8 * most_across),
                    blocks_down: (height * vertical).div_ceil(8 * most_down),
                    stride,
                    samples: vec![0; stride * vertical * side],
                    filter: Filter::new(geometry.across, geometry.down, &mut known),
                    resized: Vec::new(),
                }
            })
            .collect();
        let colours = Colours::of(frame);
        // A row is written a little beyond its end.
        let mut pixels = Vec::new();
        pixels.reserve_exact(target.0 * target.1 * colours.channels().count() + 64);
        Self {
            bands,
            colours,
            target,
            pixels,
        }
    }

    /// What [`new`](Self::new) and what follows take at most, in bytes.
    pub(super) fn memory(
        frame: &Frame,
        size: Size,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> u64 {
        let bands: usize = frame
            .components
            .iter()
            .map(|component| {
                let sampling = (component.horizontal.into(), component.vertical.into());
                let geometry =
                    Geometry::new(sampling, frame.densest(), size, (width, height), target);
                let row = geometry.across.length + 64;
                let rows = geometry.down.span() + 8 + sampling.1 * 8 + 2;
                // Two bytes and a start for each weight; those across and down.
                let weights = (geometry.across.span() + 16) * target.0.next_multiple_of(16)
                    + (geometry.down.span() + 16) * target.1.next_multiple_of(16);
                // Rows that wait for other planes'.
                let waiting = (geometry.down.span() + 64) * (target.0 + 16);
                row * rows + 2 * weights + waiting
            })
            .sum();
        let pixels = target.0 * target.1 * frame.components.len();
        (bands + pixels) as u64
    }

    /// Resizes a row of units that has been read, and makes pixels of the rows that all planes have by now.
    pub(super) fn advance(&mut self) {
        for band in &mut self.bands {
            for row in band.samples.chunks_exact(band.stride) {
                band.filter.push(row, &mut band.resized);
            }
        }
        let width = self.target.0;
        let stride = width.next_multiple_of(16);
        let rows = self.bands.iter().map(|band| band.resized.len() / stride);
        let rows = rows.min().unwrap_or(0);
        for row in 0..rows {
            let samples = row * stride..(row + 1) * stride;
            let planes: Vec<&[u8]> = self
                .bands
                .iter()
                .map(|band| &band.resized[samples.clone()])
                .collect();
            colour::append(self.colours, &planes, width, &mut self.pixels);
        }
        for band in &mut self.bands {
            band.resized.drain(..rows * stride);
        }
    }

    /// The pixels, when all rows of units are read.
    pub(super) fn finish(self) -> Vec<u8> {
        self.pixels
    }
}

impl Band {
    /// Where the block is that is so far right and down in the row of units.
    #[inline(always)]
    pub(super) fn block(&mut self, across: usize, down: usize) -> &mut [u8] {
        let size = self.size as usize;
        &mut self.samples[down * size * self.stride + across * size..]
    }
}

impl Geometry {
    fn new(
        (horizontal, vertical): (usize, usize),
        (most_across, most_down): (usize, usize),
        size: Size,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> Self {
        // Colours that have half the samples need no reduction by two, unless more than enough are left.
        let mut own = size as usize;
        let is_enough = |pixels: usize, sampling: usize, most: usize, target: usize, own: usize| {
            pixels * sampling * own * 4 >= most * 8 * target * 3
        };
        while own < 8
            && !(is_enough(width, horizontal, most_across, target.0, own)
                && is_enough(height, vertical, most_down, target.1, own))
        {
            own *= 2;
        }
        let side = |pixels: usize, sampling: usize, most: usize, target: usize| Source {
            length: (pixels * sampling * own).div_ceil(most * 8),
            covered: (pixels * sampling * own) as f64 / (most * 8) as f64,
            target,
        };
        Self {
            // At most 8.
            size: Size::at_most(own as u32),
            across: side(width, horizontal, most_across, target.0),
            down: side(height, vertical, most_down, target.1),
        }
    }
}
