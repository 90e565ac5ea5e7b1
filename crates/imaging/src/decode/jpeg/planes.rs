//! Component planes: from decoded samples to pixels of the requested size.
//!
//! Each component is resized by itself, from the size in which it is stored, while it is decoded. So
//! subsampled chroma is neither reduced as much as luma nor enlarged only to be reduced again.

use super::colour::{self, ColourSpace};
use super::filter::{Axis, Filter};
use super::idct::BlockSize;
use crate::header::jpeg::Frame;

/// The component planes of an image that is being decoded, and the pixels so far.
pub(super) struct Planes {
    pub(super) planes: Vec<Plane>,
    colour_space: ColourSpace,
    target: (usize, usize),
    pixels: Vec<u8>,
}

/// Plane of one component: the samples of the current MCU row, and the resized rows that wait for other
/// planes.
pub(super) struct Plane {
    /// Size of a block after the scaled inverse DCT.
    pub(super) size: BlockSize,
    /// Blocks of this component in an MCU, across: its horizontal sampling factor (T.81, A.2.3).
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
    /// Blocks of the component, without those that only complete MCUs.
    pub(super) blocks_across: usize,
    pub(super) blocks_down: usize,
    /// Distance from row to row in `samples`.
    pub(super) stride: usize,
    samples: Vec<u8>,
    filter: Filter,
    /// Resized rows that the other planes don't have yet.
    resized: Vec<u8>,
}

/// Size of a component's plane, and how it is resized.
struct Geometry {
    size: BlockSize,
    across: Axis,
    down: Axis,
}

impl Planes {
    /// Prepares the planes of a frame of `width` by `height` pixels, of which each block becomes at least
    /// `size` by `size` samples, to be resized to `target`.
    pub(super) fn new(
        frame: &Frame,
        size: BlockSize,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> Self {
        let (max_horizontal, max_vertical) = frame.max_sampling_factors();
        let mcus_across = width.div_ceil(8 * max_horizontal);
        let mut weights_cache = Vec::new();
        let planes = frame
            .components
            .iter()
            .map(|component| {
                let (horizontal, vertical) =
                    (component.horizontal.into(), component.vertical.into());
                let geometry = Geometry::new(
                    (horizontal, vertical),
                    frame.max_sampling_factors(),
                    size,
                    (width, height),
                    target,
                );
                let side = geometry.size as usize;
                let stride = mcus_across * horizontal * side;
                Plane {
                    size: geometry.size,
                    horizontal,
                    vertical,
                    blocks_across: (width * horizontal).div_ceil(8 * max_horizontal),
                    blocks_down: (height * vertical).div_ceil(8 * max_vertical),
                    stride,
                    samples: vec![0; stride * vertical * side],
                    filter: Filter::new(geometry.across, geometry.down, &mut weights_cache),
                    resized: Vec::new(),
                }
            })
            .collect();
        let colour_space = ColourSpace::of_frame(frame);
        // Conversion to pixels writes beyond the end of a row.
        let mut pixels = Vec::new();
        pixels.reserve_exact(target.0 * target.1 * colour_space.channels().count() + 64);
        Self {
            planes,
            colour_space,
            target,
            pixels,
        }
    }

    /// Upper bound on the memory of `Planes`, in bytes.
    pub(super) fn memory(
        frame: &Frame,
        size: BlockSize,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> u64 {
        let planes: usize = frame
            .components
            .iter()
            .map(|component| {
                let sampling = (component.horizontal.into(), component.vertical.into());
                let geometry = Geometry::new(
                    sampling,
                    frame.max_sampling_factors(),
                    size,
                    (width, height),
                    target,
                );
                let row = geometry.across.length + 64;
                let rows = geometry.down.taps() + 8 + sampling.1 * 8 + 2;
                // Two bytes per weight, and the start of each row of weights, for both directions.
                let weights = (geometry.across.taps() + 16) * target.0.next_multiple_of(16)
                    + (geometry.down.taps() + 16) * target.1.next_multiple_of(16);
                // Resized rows that wait for other planes.
                let waiting = (geometry.down.taps() + 64) * (target.0 + 16);
                row * rows + 2 * weights + waiting
            })
            .sum();
        let pixels = target.0 * target.1 * frame.components.len();
        (planes + pixels) as u64
    }

    /// Resizes the current MCU row, and converts the rows that all planes have by now to pixels.
    pub(super) fn advance(&mut self) {
        for plane in &mut self.planes {
            for row in plane.samples.chunks_exact(plane.stride) {
                plane.filter.push(row, &mut plane.resized);
            }
        }
        let width = self.target.0;
        let stride = width.next_multiple_of(16);
        let rows = self.planes.iter().map(|plane| plane.resized.len() / stride);
        let rows = rows.min().unwrap_or(0);
        for row in 0..rows {
            let samples = row * stride..(row + 1) * stride;
            let planes: Vec<&[u8]> = self
                .planes
                .iter()
                .map(|plane| &plane.resized[samples.clone()])
                .collect();
            colour::append_row(self.colour_space, &planes, width, &mut self.pixels);
        }
        for plane in &mut self.planes {
            plane.resized.drain(..rows * stride);
        }
    }

    /// Returns the pixels, after the last MCU row.
    pub(super) fn finish(self) -> Vec<u8> {
        self.pixels
    }
}

impl Plane {
    /// Samples from the top left of a block of the current MCU row on.
    #[inline(always)]
    pub(super) fn block(&mut self, across: usize, down: usize) -> &mut [u8] {
        let size = self.size as usize;
        &mut self.samples[down * size * self.stride + across * size..]
    }
}

impl Geometry {
    fn new(
        (horizontal, vertical): (usize, usize),
        (max_horizontal, max_vertical): (usize, usize),
        size: BlockSize,
        (width, height): (usize, usize),
        target: (usize, usize),
    ) -> Self {
        // Subsampled chroma needs no reduction by two, unless at least three quarters of the target's
        // samples are left.
        let mut own_size = size as usize;
        let is_enough =
            |pixels: usize, sampling: usize, max_factor: usize, target: usize, own_size: usize| {
                pixels * sampling * own_size * 4 >= max_factor * 8 * target * 3
            };
        while own_size < 8
            && !(is_enough(width, horizontal, max_horizontal, target.0, own_size)
                && is_enough(height, vertical, max_vertical, target.1, own_size))
        {
            own_size *= 2;
        }
        let side = |pixels: usize, sampling: usize, max_factor: usize, target: usize| Axis {
            length: (pixels * sampling * own_size).div_ceil(max_factor * 8),
            covered: (pixels * sampling * own_size) as f64 / (max_factor * 8) as f64,
            target,
        };
        Self {
            // At most 8.
            size: BlockSize::at_most(own_size as u32),
            across: side(width, horizontal, max_horizontal, target.0),
            down: side(height, vertical, max_vertical, target.1),
        }
    }
}
