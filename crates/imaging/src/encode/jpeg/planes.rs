//! Conversion of pixels to component planes, one MCU row at a time: YCbCr (T.871, 7), with chroma
//! subsampling, or grey.

use bytemuck::cast;
use wide::{i16x8, i32x8, u8x16};

use crate::bitmap::{Bitmap, Channels};
use crate::vector::{widen_high, widen_low};

/// One MCU row of a component. Beyond the edge of the image, the last pixels are repeated.
pub(super) struct Plane {
    /// Width in samples. The height is 8 times `sampling`.
    pub(super) width: usize,
    /// Pixels per sample, horizontally and vertically.
    pub(super) subsampling: usize,
    /// Sampling factor: blocks per MCU, horizontally and vertically.
    pub(super) sampling: usize,
    pub(super) samples: Vec<u8>,
}

/// Iterates over the MCU rows of an image: one plane for grey, otherwise Y, Cb and Cr, the latter two
/// subsampled by 1 or 2.
pub(super) struct Planes<'b> {
    rows: Rows<'b>,
    planes: Vec<Plane>,
    /// Index of the next row of pixels.
    next: usize,
}

impl<'b> Planes<'b> {
    pub(super) fn new(bitmap: &'b Bitmap, subsampling: usize) -> Self {
        let subsamplings: &[usize] = match bitmap.channels() {
            Channels::Grey => &[1],
            _ => &[1, subsampling, subsampling],
        };
        let max_subsampling = subsamplings
            .iter()
            .max()
            .map_or(1, |max_subsampling| *max_subsampling);
        let width = (bitmap.width() as usize).next_multiple_of(8 * max_subsampling);
        let plane = |&subsampling: &usize| Plane {
            width: width / subsampling,
            subsampling,
            sampling: max_subsampling / subsampling,
            samples: vec![0; width / subsampling * 8 * max_subsampling / subsampling],
        };
        Self {
            rows: Rows::new(bitmap, width),
            planes: subsamplings.iter().map(plane).collect(),
            next: 0,
        }
    }

    /// The planes in their current state. Use only their dimensions.
    pub(super) fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Converts the next MCU row. Returns `None` after the last one.
    pub(super) fn advance(&mut self) -> Option<&[Plane]> {
        if self.next >= self.rows.bitmap.height() as usize {
            return None;
        }
        let from = self.next;
        match self.planes.as_mut_slice() {
            [luma, cb, cr] => {
                self.next += 8 * luma.sampling;
                fill_mcu_row(&mut self.rows, from, luma, cb, cr);
            }
            planes => {
                self.next += 8;
                for plane in planes {
                    for (y, target) in plane.samples.chunks_exact_mut(plane.width).enumerate() {
                        target.copy_from_slice(&self.rows.get(0, from + y)[..plane.width]);
                    }
                }
            }
        }
        Some(&self.planes)
    }
}

/// Converts an MCU row of pixels to YCbCr, from row `from` on.
fn fill_mcu_row(
    rows: &mut Rows<'_>,
    from: usize,
    luma: &mut Plane,
    cb: &mut Plane,
    cr: &mut Plane,
) {
    let width = luma.width;
    let chroma = cb
        .samples
        .chunks_exact_mut(cb.width)
        .zip(cr.samples.chunks_exact_mut(cr.width));
    if cb.subsampling == 1 {
        let targets = luma.samples.chunks_exact_mut(width).zip(chroma);
        for (y, (target, (cb, cr))) in targets.enumerate() {
            convert_row(rows.get(0, from + y), target, cb, cr);
        }
        return;
    }
    let pairs = luma.samples.chunks_exact_mut(2 * width).zip(chroma);
    for (pair, (targets, (cb, cr))) in pairs.enumerate() {
        rows.get(0, from + 2 * pair);
        rows.get(1, from + 2 * pair + 1);
        let (upper, lower) = targets.split_at_mut(width);
        convert_row_pair([rows.row(0), rows.row(1)], [upper, lower], cb, cr);
    }
}

/// Rows of an image as grey or RGB, extended to a width and below the last row by repeating pixels.
struct Rows<'b> {
    bitmap: &'b Bitmap,
    buffers: [Vec<u8>; 2],
}

impl<'b> Rows<'b> {
    fn new(bitmap: &'b Bitmap, width: usize) -> Self {
        let buffer = vec![0; width.next_multiple_of(32) * 3];
        Self {
            bitmap,
            buffers: [buffer.clone(), buffer],
        }
    }

    fn get(&mut self, buffer: usize, y: usize) -> &[u8] {
        let y = y.min(self.bitmap.height() as usize - 1);
        let count = self.bitmap.channels().count();
        let length = self.bitmap.width() as usize * count;
        let row = &self.bitmap.pixels()[y * length..(y + 1) * length];
        let buffer = &mut self.buffers[buffer];
        let kept = match count {
            4 => {
                let pixels = buffer.as_chunks_mut::<3>().0;
                for (target, source) in pixels.iter_mut().zip(row.as_chunks::<4>().0) {
                    target.copy_from_slice(&source[..3]);
                }
                3
            }
            _ => {
                buffer[..length].copy_from_slice(row);
                count
            }
        };
        let end = self.bitmap.width() as usize * kept;
        let (row, beyond) = buffer.split_at_mut(end);
        for target in beyond.chunks_exact_mut(kept) {
            target.copy_from_slice(&row[end - kept..]);
        }
        buffer
    }

    fn row(&self, buffer: usize) -> &[u8] {
        &self.buffers[buffer]
    }
}

/// Converts a row without chroma subsampling, 16 pixels at a time.
fn convert_row(row: &[u8], luma: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    let targets = luma
        .chunks_mut(16)
        .zip(cb.chunks_mut(16))
        .zip(cr.chunks_mut(16));
    for (pixels, ((luma, cb), cr)) in row.as_chunks().0.iter().zip(targets) {
        let pixels = deinterleave(pixels);
        store(&component(pixels, LUMA), luma);
        store(&component(pixels, CB), cb);
        store(&component(pixels, CR), cr);
    }
}

/// Converts two rows with 2 x 2 chroma subsampling, 16 pixels across at a time.
fn convert_row_pair(rows: [&[u8]; 2], targets: [&mut [u8]; 2], cb: &mut [u8], cr: &mut [u8]) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<48>().0);
    let [upper_target, lower_target] = targets;
    let targets = upper_target
        .chunks_mut(16)
        .zip(lower_target.chunks_mut(16))
        .zip(cb.chunks_mut(8).zip(cr.chunks_mut(8)));
    for ((upper, lower), ((upper_target, lower_target), (cb, cr))) in
        upper.iter().zip(lower).zip(targets)
    {
        let (upper, lower) = (deinterleave(upper), deinterleave(lower));
        store(&component(upper, LUMA), upper_target);
        store(&component(lower, LUMA), lower_target);
        let squares = [0, 1, 2].map(|channel| {
            let low = widen_low(upper[channel]) + widen_low(lower[channel]);
            let high = widen_high(upper[channel]) + widen_high(lower[channel]);
            let ones = i16x8::splat(1);
            let sums: i32x8 = cast([low.dot(ones), high.dot(ones)]);
            // The sum of four samples times 16: the mean with 6 fractional bits.
            i16x8::from_i32x8_saturate(sums) << 4
        });
        let narrow = |samples: i16x8| u8x16::narrow_i16x8(samples, samples).to_array();
        store(&narrow(weighted_sum(squares, CB)), cb);
        store(&narrow(weighted_sum(squares, CR)), cr);
    }
}

/// Stores as many samples as the target has. The lengths 8 and 16 are constants, because on WebAssembly a
/// copy of variable length calls the host.
#[inline(always)]
fn store(samples: &[u8; 16], target: &mut [u8]) {
    if let Ok(target) = <&mut [u8; 16]>::try_from(&mut *target) {
        *target = *samples;
    } else if let Ok(target) = <&mut [u8; 8]>::try_from(&mut *target) {
        target.copy_from_slice(&samples[..8]);
    } else {
        target.copy_from_slice(&samples[..target.len()]);
    }
}

/// Weights of red, green and blue with 15 fractional bits, and the offset of the component.
type Weights = ([i16; 3], i16);

const LUMA: Weights = ([9798, 19235, 3735], 0);
const CB: Weights = ([-5529, -10855, 16384], 128);
const CR: Weights = ([16384, -13720, -2664], 128);

/// Computes a component of 16 pixels.
#[inline(always)]
fn component(pixels: [u8x16; 3], weights: Weights) -> [u8; 16] {
    let low = weighted_sum(pixels.map(|samples| widen_low(samples) << 6), weights);
    let high = weighted_sum(pixels.map(|samples| widen_high(samples) << 6), weights);
    u8x16::narrow_i16x8(low, high).to_array()
}

/// Computes a component of 8 pixels, whose samples have 6 fractional bits.
#[inline(always)]
fn weighted_sum([r, g, b]: [i16x8; 3], ([red, green, blue], middle): Weights) -> i16x8 {
    let times = |samples: i16x8, weight: i16| samples.mul_scale_round(i16x8::splat(weight));
    let sum = times(r, red) + times(g, green) + times(b, blue);
    ((sum + i16x8::splat(32)) >> 6) + i16x8::splat(middle)
}

/// Separates red, green and blue of 16 pixels.
#[inline(always)]
fn deinterleave(pixels: &[u8; 48]) -> [u8x16; 3] {
    let mut parts = [[0; 16]; 3];
    for (part, bytes) in parts.iter_mut().zip(pixels.as_chunks::<16>().0) {
        *part = *bytes;
    }
    let parts = parts.map(u8x16::new);
    SHUFFLES.map(|shuffles| {
        let [a, b, c] = shuffles.map(u8x16::new);
        parts[0].shuffle_zeroing(a) | parts[1].shuffle_zeroing(b) | parts[2].shuffle_zeroing(c)
    })
}

/// Shuffle indices that gather the samples of each channel from each third of 16 pixels.
const SHUFFLES: [[[u8; 16]; 3]; 3] = {
    let mut shuffles = [[[255; 16]; 3]; 3];
    let mut byte = 0;
    while byte < 48 {
        // Below 16.
        shuffles[byte % 3][byte / 16][byte / 3] = (byte % 16) as u8;
        byte += 1;
    }
    shuffles
};
