//! Dequantisation and inverse DCT of a block (T.81, A.3.3), at full or reduced size.
//!
//! A reduced block is the inverse DCT of its lowest frequencies alone, as many as it has samples: the best
//! image of that size without a filter.

use bytemuck::cast;
use wide::{f32x4, i16x8, i32x4, i32x8, u8x16};

use crate::jpeg::{Block, ROUNDING, ZIGZAG, aan_scale, transpose};

/// Number of samples of a block in each direction, after scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlockSize {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl BlockSize {
    /// Returns the largest size of at most so many samples.
    pub(super) fn at_most(samples: u32) -> Self {
        match samples {
            0..=1 => Self::One,
            2..=3 => Self::Two,
            4..=7 => Self::Four,
            _ => Self::Eight,
        }
    }
}

/// Dequantised coefficients of a block, column by column, multiplied by the factors of [`InverseDct`].
/// Positions from 64 on are scratch space for invalid indices. (The length is a power of two, so that no
/// index needs a bounds check.)
pub(super) type Coefficients = [f32; 128];

/// Dequantisation and inverse DCT of one component.
pub(super) struct InverseDct {
    size: BlockSize,
    /// Quantisation step times DCT scale factor of each coefficient, in zigzag order.
    factors: Block<f32>,
}

impl InverseDct {
    pub(super) fn new(size: BlockSize, quantisation: &Block<u16>) -> Self {
        let mut factors = [0.0; 64];
        for ((factor, &step), &index) in factors.iter_mut().zip(quantisation).zip(&ZIGZAG) {
            let (row, column) = (usize::from(index / 8), usize::from(index % 8));
            *factor = (f64::from(step) * dct_scale(size, row) * dct_scale(size, column)) as f32;
        }
        Self { size, factors }
    }

    /// Dequantises and stores the coefficient at a zigzag index below 256. Indices of 64 and above are
    /// ignored.
    #[inline(always)]
    pub(super) fn set(&self, coefficients: &mut Coefficients, index: usize, value: i32) {
        coefficients[usize::from(TRANSPOSED_ZIGZAG[index & 255] & 127)] =
            value as f32 * self.factors[index & 63];
    }

    /// Transforms a block and writes its samples to the rows of `target`, `stride` apart. Resets the
    /// coefficients to zero.
    ///
    /// A block without AC coefficients has only one value, which is faster.
    #[inline(always)]
    pub(super) fn samples(
        &self,
        coefficients: &mut Coefficients,
        has_ac: bool,
        target: &mut [u8],
        stride: usize,
    ) {
        if !has_ac || self.size == BlockSize::One {
            let value = (coefficients[0] + 128.0 + ROUNDING).to_bits();
            let value = value.wrapping_sub(ROUNDING.to_bits()).cast_signed();
            let value = value.clamp(0, 255) as u8;
            coefficients[0] = 0.0;
            match self.size {
                BlockSize::Eight => fill_block::<8>(value, target, stride),
                BlockSize::Four => fill_block::<4>(value, target, stride),
                BlockSize::Two => fill_block::<2>(value, target, stride),
                BlockSize::One => fill_block::<1>(value, target, stride),
            }
            return;
        }
        match self.size {
            BlockSize::Eight => idct_8x8(coefficients, target, stride),
            BlockSize::Four => idct_4x4(coefficients, target, stride),
            BlockSize::Two | BlockSize::One => idct_2x2(coefficients, target, stride),
        }
    }
}

/// Fills a block with one value. The size is a constant, because on WebAssembly a fill of variable length
/// calls the host.
#[inline(always)]
fn fill_block<const SIDE: usize>(value: u8, target: &mut [u8], stride: usize) {
    for row in target.chunks_mut(stride).take(SIDE) {
        if let Some(row) = row.first_chunk_mut() {
            *row = [value; SIDE];
        }
    }
}

/// [`ZIGZAG`] with rows and columns exchanged, extended by indices outside the block.
const TRANSPOSED_ZIGZAG: [u8; 256] = {
    let mut indices = [64; 256];
    let mut index = 0;
    while index < 64 {
        indices[index] = ZIGZAG[index] % 8 * 8 + ZIGZAG[index] / 8;
        index += 1;
    }
    indices
};

/// Scale factor of a frequency, in one direction, that the transform leaves to the dequantisation. 0 for
/// frequencies that it ignores.
fn dct_scale(size: BlockSize, frequency: usize) -> f64 {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    let cosine = |part: f64| (part * PI).cos();
    // DC coefficients and the lowest frequencies have the same scale at all sizes: an eighth, in two
    // directions.
    let eighth = 8_f64.sqrt().recip();
    match (size, frequency) {
        (BlockSize::Eight, _) => aan_scale(frequency) * eighth,
        (_, 0) => eighth,
        (BlockSize::Four, 2) => cosine(0.25) * std::f64::consts::SQRT_2 * eighth,
        (BlockSize::Four, 1 | 3) => std::f64::consts::SQRT_2 * eighth,
        (BlockSize::Two, 1) => FRAC_1_SQRT_2 * std::f64::consts::SQRT_2 * eighth,
        _ => 0.0,
    }
}

fn idct_8x8(coefficients: &mut Coefficients, target: &mut [u8], stride: usize) {
    let mut halves = [[f32x4::ZERO; 8]; 2];
    for (half, rows) in halves.iter_mut().enumerate() {
        for (column, vector) in rows.iter_mut().enumerate() {
            *vector = load(coefficients, column * 8 + half * 4);
        }
    }
    coefficients[..64].fill(0.0);
    let [left, right] = transpose(halves.map(idct_8));
    let (left, right) = (idct_8(left), idct_8(right));
    for (row, target) in target.chunks_mut(stride).take(8).enumerate() {
        let row = to_bytes(left[row], right[row]).to_array();
        target[..8].copy_from_slice(&row[..8]);
    }
}

/// One-dimensional inverse DCT of 8 coefficients (AAN), in each lane.
#[inline(always)]
fn idct_8(c: [f32x4; 8]) -> [f32x4; 8] {
    let of = f32x4::splat;
    // Even frequencies.
    let (sum04, difference04) = (c[0] + c[4], c[0] - c[4]);
    let sum26 = c[2] + c[6];
    let difference26 = (c[2] - c[6]) * of(std::f32::consts::SQRT_2) - sum26;
    let even = [
        sum04 + sum26,
        difference04 + difference26,
        difference04 - difference26,
        sum04 - sum26,
    ];
    // Odd frequencies.
    let (sum53, difference53) = (c[5] + c[3], c[5] - c[3]);
    let (sum17, difference17) = (c[1] + c[7], c[1] - c[7]);
    let turned = (difference53 + difference17) * of(1.847_759_1);
    let odd0 = sum17 + sum53;
    let odd1 = turned - difference53 * of(2.613_126) - odd0;
    let odd2 = (sum17 - sum53) * of(std::f32::consts::SQRT_2) - odd1;
    let odd3 = turned - difference17 * of(1.082_392_2) - odd2;
    [
        even[0] + odd0,
        even[1] + odd1,
        even[2] + odd2,
        even[3] + odd3,
        even[3] - odd3,
        even[2] - odd2,
        even[1] - odd1,
        even[0] - odd0,
    ]
}

fn idct_4x4(coefficients: &mut Coefficients, target: &mut [u8], stride: usize) {
    let columns = [0, 1, 2, 3].map(|column| load(coefficients, column * 8));
    for column in 0..4 {
        coefficients[column * 8..column * 8 + 4].fill(0.0);
    }
    let [a, b, c, d] = idct_4(f32x4::transpose(idct_4(columns)));
    let (upper, lower) = (to_bytes(a, b).to_array(), to_bytes(c, d).to_array());
    let rows = upper[..8].chunks_exact(4).chain(lower[..8].chunks_exact(4));
    for (target, row) in target.chunks_mut(stride).zip(rows) {
        target[..4].copy_from_slice(row);
    }
}

/// One-dimensional inverse DCT of 4 coefficients, in each lane.
#[inline(always)]
fn idct_4([c0, c1, c2, c3]: [f32x4; 4]) -> [f32x4; 4] {
    let (cos1, cos3) = (f32x4::splat(0.923_879_5), f32x4::splat(0.382_683_43));
    let (even0, even1) = (c0 + c2, c0 - c2);
    let (odd0, odd1) = (c1 * cos1 + c3 * cos3, c1 * cos3 - c3 * cos1);
    [even0 + odd0, even1 + odd1, even1 - odd1, even0 - odd0]
}

fn idct_2x2(coefficients: &mut Coefficients, target: &mut [u8], stride: usize) {
    let [c00, c10, c01, c11] = [0, 1, 8, 9].map(|index| coefficients[index]);
    for index in [0, 1, 8, 9] {
        coefficients[index] = 0.0;
    }
    let (left0, left1) = (c00 + c01, c10 + c11);
    let (right0, right1) = (c00 - c01, c10 - c11);
    let samples = f32x4::new([
        left0 + left1,
        right0 + right1,
        left0 - left1,
        right0 - right1,
    ]);
    let samples = to_bytes(samples, samples).to_array();
    for (target, row) in target.chunks_mut(stride).zip(samples[..4].chunks_exact(2)) {
        target[..2].copy_from_slice(row);
    }
}

#[inline(always)]
fn load(coefficients: &Coefficients, from: usize) -> f32x4 {
    let mut four = [0.0; 4];
    four.copy_from_slice(&coefficients[from..from + 4]);
    f32x4::new(four)
}

/// Level-shifts samples by 128 and converts them to bytes, in the first eight lanes.
#[inline(always)]
fn to_bytes(a: f32x4, b: f32x4) -> u8x16 {
    let whole = |samples: f32x4| -> i32x4 {
        let rounded: i32x4 = cast(samples + f32x4::splat(128.0 + ROUNDING));
        rounded - i32x4::splat(ROUNDING.to_bits().cast_signed())
    };
    let eight: i32x8 = cast([whole(a), whole(b)]);
    let eight = i16x8::from_i32x8_saturate(eight);
    u8x16::narrow_i16x8(eight, eight)
}

#[cfg(test)]
mod tests {
    use super::{BlockSize, InverseDct};
    use crate::jpeg::{Block, ZIGZAG};

    /// The formula of T.81, A.3.3, for the lowest frequencies only.
    fn formula(values: &Block<i32>, size: BlockSize) -> Vec<u8> {
        let side = size as usize;
        let basis = |frequency: usize, sample: usize| {
            let share = if frequency == 0 { 1.0 } else { 2_f64.sqrt() };
            let angle = (2 * sample + 1) as f64 * frequency as f64 / (2 * side) as f64;
            share * (angle * std::f64::consts::PI).cos()
        };
        let mut samples = Vec::new();
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let mut sum = 0.0;
            for (&value, &index) in values.iter().zip(&ZIGZAG) {
                let (v, u) = (usize::from(index / 8), usize::from(index % 8));
                if v < side && u < side {
                    sum += f64::from(value) * basis(v, y) * basis(u, x) / 8.0;
                }
            }
            samples.push((sum + 128.0).round().clamp(0.0, 255.0) as u8);
        }
        samples
    }

    #[test]
    fn inverse_dct_matches_the_formula() {
        let mut seed = 1_u32;
        let mut random = |limit: i32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as i32 % (2 * limit + 1) - limit
        };
        for round in 0..200 {
            for size in [
                BlockSize::One,
                BlockSize::Two,
                BlockSize::Four,
                BlockSize::Eight,
            ] {
                let last = [0, 1, 5, 20, 63][round % 5];
                let mut values = [0; 64];
                for (index, value) in values.iter_mut().enumerate().take(last + 1) {
                    *value = random(400 / (index as i32 + 1));
                }
                let idct = InverseDct::new(size, &[3; 64]);
                let mut coefficients = [0.0; 128];
                for (index, &value) in values.iter().enumerate() {
                    idct.set(&mut coefficients, index, value);
                }
                let side = size as usize;
                let mut samples = vec![0; 8 * side];
                idct.samples(&mut coefficients, last > 0, &mut samples, 8);
                let wanted = formula(&values.map(|value| value * 3), size);
                for (index, wanted) in wanted.iter().enumerate() {
                    let got = samples[index / side * 8 + index % side];
                    assert!(
                        got.abs_diff(*wanted) <= 1,
                        "{size:?} {index}: {got}, not {wanted}"
                    );
                }
            }
        }
    }
}
