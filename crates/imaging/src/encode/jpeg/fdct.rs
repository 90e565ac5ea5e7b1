//! Forward DCT of a block (T.81, A.3.3), and quantisation.

use bytemuck::cast;
use wide::{f32x4, i16x8, i32x4, i32x8, u8x16};

use super::planes::Plane;
use crate::jpeg::{Block, ROUNDING, ZIGZAG, aan_scale, transpose};
use crate::vector::to_float;

/// Forward DCT and quantisation of a component.
pub(super) struct ForwardDct {
    /// Reciprocal of quantisation step and DCT scale factor of each coefficient, column by column.
    factors: [[f32x4; 2]; 8],
}

/// Quantised coefficients of a plane's blocks, in zigzag order.
pub(super) struct Blocks {
    pub(super) coefficients: Vec<Block<i16>>,
    /// Masks of the coefficients of each block that are nonzero after a point transform (Al) by 0, 1 and 2
    /// bits.
    pub(super) nonzero_masks: Vec<[u64; 3]>,
    /// Number of blocks per row.
    pub(super) stride: usize,
}

impl ForwardDct {
    pub(super) fn new(quantisation: &Block<u16>) -> Self {
        let mut factors = [0.0; 64];
        for (&step, &index) in quantisation.iter().zip(&ZIGZAG) {
            let (row, column) = (usize::from(index / 8), usize::from(index % 8));
            let scale = 8.0 * aan_scale(row) * aan_scale(column) * f64::from(step);
            factors[column * 8 + row] = scale.recip() as f32;
        }
        let mut vectors = [[f32x4::ZERO; 2]; 8];
        for (vector, four) in vectors
            .as_flattened_mut()
            .iter_mut()
            .zip(factors.as_chunks().0)
        {
            *vector = f32x4::new(*four);
        }
        Self { factors: vectors }
    }

    /// Transforms the blocks of a plane and adds them to `blocks`.
    pub(super) fn add_blocks(&self, plane: &Plane, blocks: &mut Blocks) {
        for rows in plane.samples.chunks_exact(plane.width * 8) {
            for column in 0..blocks.stride {
                let quantised = self.block(rows, plane.width, column * 8);
                blocks.push(&quantised);
            }
        }
    }

    /// Computes the quantised coefficients of a block, column by column.
    #[inline(always)]
    fn block(&self, rows: &[u8], width: usize, column: usize) -> [i16x8; 8] {
        let (mut left, mut right) = ([f32x4::ZERO; 8], [f32x4::ZERO; 8]);
        for (index, row) in rows.chunks_exact(width).enumerate().take(8) {
            let mut samples = [0; 16];
            samples[..8].copy_from_slice(&row[column..column + 8]);
            let [low, high] = to_float(u8x16::new(samples));
            let middle = f32x4::splat(128.0);
            (left[index], right[index]) = (low - middle, high - middle);
        }
        let halves = transpose([fdct_8(left), fdct_8(right)]).map(fdct_8);
        let mut columns = [i16x8::ZERO; 8];
        for (index, column) in columns.iter_mut().enumerate() {
            let [upper, lower] = self.factors[index];
            let whole = |value: f32x4| -> i32x4 {
                let rounded: i32x4 = cast(value + f32x4::splat(ROUNDING));
                rounded - i32x4::splat(ROUNDING.to_bits().cast_signed())
            };
            let both: i32x8 = cast([
                whole(halves[0][index] * upper),
                whole(halves[1][index] * lower),
            ]);
            *column = i16x8::from_i32x8_saturate(both);
        }
        columns
    }
}

impl Blocks {
    /// An empty collection with `stride` blocks per row.
    pub(super) fn new(stride: usize) -> Self {
        Self {
            coefficients: Vec::new(),
            nonzero_masks: Vec::new(),
            stride,
        }
    }

    pub(super) fn clear(&mut self) {
        self.coefficients.clear();
        self.nonzero_masks.clear();
    }

    /// Adds a block given column by column.
    #[inline(always)]
    fn push(&mut self, columns: &[i16x8; 8]) {
        let mut zero = 0_u64;
        for (index, column) in columns.iter().enumerate() {
            zero |= u64::from(column.simd_eq(i16x8::ZERO).to_bitmask() & 0xff) << (index * 8);
        }
        let values: [[i16; 8]; 8] = columns.map(i16x8::to_array);
        let values = values.as_flattened();
        let mut block = [0; 64];
        let mut nonzero_masks = [0_u64; 3];
        let mut rest = !zero;
        while rest != 0 {
            let column_wise = rest.trailing_zeros() as usize & 63;
            rest &= rest - 1;
            let index = ZIGZAG_INDICES[column_wise] & 63;
            let value = values[column_wise];
            block[usize::from(index)] = value;
            let magnitude = value.unsigned_abs();
            nonzero_masks[0] |= 1 << index;
            nonzero_masks[1] |= u64::from(magnitude >= 2) << index;
            nonzero_masks[2] |= u64::from(magnitude >= 4) << index;
        }
        self.coefficients.push(block);
        self.nonzero_masks.push(nonzero_masks);
    }
}

/// Zigzag index of each coefficient, column by column.
const ZIGZAG_INDICES: Block<u8> = {
    let mut indices = [0; 64];
    let mut index = 0;
    while index < 64 {
        let natural = ZIGZAG[index];
        // Below 64.
        indices[(natural % 8 * 8 + natural / 8) as usize] = index as u8;
        index += 1;
    }
    indices
};

/// One-dimensional forward DCT of 8 samples (AAN), in each lane.
#[inline(always)]
fn fdct_8(s: [f32x4; 8]) -> [f32x4; 8] {
    let of = f32x4::splat;
    let half_root = of(std::f32::consts::FRAC_1_SQRT_2);
    let (sum07, difference07) = (s[0] + s[7], s[0] - s[7]);
    let (sum16, difference16) = (s[1] + s[6], s[1] - s[6]);
    let (sum25, difference25) = (s[2] + s[5], s[2] - s[5]);
    let (sum34, difference34) = (s[3] + s[4], s[3] - s[4]);
    // Even frequencies.
    let (outer_sum, outer_difference) = (sum07 + sum34, sum07 - sum34);
    let (inner_sum, inner_difference) = (sum16 + sum25, sum16 - sum25);
    let turned = (inner_difference + outer_difference) * half_root;
    // Odd frequencies.
    let (low, middle, high) = (
        difference34 + difference25,
        difference25 + difference16,
        difference16 + difference07,
    );
    let between = (low - high) * of(0.382_683_43);
    let low = low * of(0.541_196_1) + between;
    let high = high * of(1.306_563) + between;
    let middle = middle * half_root;
    let (sum, difference) = (difference07 + middle, difference07 - middle);
    [
        outer_sum + inner_sum,
        sum + high,
        outer_difference + turned,
        difference - low,
        outer_sum - inner_sum,
        difference + low,
        outer_difference - turned,
        sum - high,
    ]
}
