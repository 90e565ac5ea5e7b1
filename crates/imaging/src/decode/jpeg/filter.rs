//! Resizing of a plane, row by row, with a Lanczos filter of three lobes (Duchon, "Lanczos Filtering in One
//! and Two Dimensions", Journal of Applied Meteorology 18 (8), 1979).
//!
//! The vertical pass comes first and needs only as many rows as the filter has taps; the horizontal pass
//! follows on its result. So no plane is ever in memory as a whole, except at its final size.

mod weights;

use std::rc::Rc;

use bytemuck::cast;
use wide::{i16x8, i32x4, i32x8, u8x16};

pub(super) use weights::Axis;
use weights::{WEIGHT_BITS, Weights};

use crate::vector::{transpose, widen_high, widen_low};

/// Number of fractional bits between the vertical and the horizontal pass.
const INTERMEDIATE_BITS: i32 = 6;

/// Number of columns that the vertical pass handles together: their sums fit into the registers.
const CHUNK: usize = 32;

/// Resizes a plane.
pub(super) struct Filter {
    across: Rc<Weights>,
    down: Rc<Weights>,
    /// Ring buffer of the last source rows; row `n` is at `n` modulo the number of taps.
    ring: Vec<[u8; CHUNK]>,
    /// Number of chunks in a row.
    chunks: usize,
    rows_in: usize,
    rows_out: usize,
    intermediate: Vec<i16>,
}

impl Filter {
    /// Prepares resizing a plane. Weights are shared through `cache`, because planes often have the same
    /// size.
    pub(super) fn new(across: Axis, down: Axis, cache: &mut Vec<Rc<Weights>>) -> Self {
        let mut weights = |axis, multiple| match cache
            .iter()
            .find(|weights| weights.axis == axis && weights.taps % multiple == 0)
        {
            Some(weights) => weights.clone(),
            None => {
                let weights = Rc::new(Weights::new(axis, multiple));
                cache.push(weights.clone());
                weights
            }
        };
        // The horizontal pass works on whole vectors, the vertical pass on pairs of rows.
        let (across_weights, down) = (weights(across, 8), weights(down, 2));
        let chunks = across.length.div_ceil(CHUNK);
        Self {
            ring: vec![[0; CHUNK]; chunks * down.taps],
            chunks,
            rows_in: 0,
            rows_out: 0,
            intermediate: vec![0; chunks * CHUNK + across_weights.taps],
            across: across_weights,
            down,
        }
    }

    /// Adds the next source row, and appends all target rows that it completes to `plane`. Their length is
    /// a multiple of 16.
    pub(super) fn push(&mut self, row: &[u8], plane: &mut Vec<u8>) {
        if self.rows_in == self.down.axis.length {
            return;
        }
        let offset = self.rows_in % self.down.taps * self.chunks;
        let stored = self.ring[offset..offset + self.chunks].as_flattened_mut();
        let length = self.across.axis.length;
        stored[..length].copy_from_slice(&row[..length]);
        self.rows_in += 1;
        while self.rows_out < self.down.axis.target {
            let last = self.down.starts[self.rows_out] + self.down.taps;
            if self.rows_in < last.min(self.down.axis.length) {
                break;
            }
            self.filter_columns();
            self.filter_row(plane);
            self.rows_out += 1;
        }
    }

    /// Computes the next target row in source width: the vertical pass.
    fn filter_columns(&mut self) {
        let taps = self.down.taps;
        let start = self.down.starts[self.rows_out];
        let weights = &self.down.values[self.rows_out * taps..(self.rows_out + 1) * taps];
        let row = |index: usize| {
            // Rows after the last one have weight 0.
            let offset = (start + index) % taps * self.chunks;
            &self.ring[offset..offset + self.chunks]
        };
        let pairs: Vec<_> = weights
            .as_chunks::<2>()
            .0
            .iter()
            .enumerate()
            .map(|(pair, &[a, b])| {
                (
                    row(2 * pair),
                    row(2 * pair + 1),
                    i16x8::new([a, b, a, b, a, b, a, b]),
                )
            })
            .collect();
        let targets = self.intermediate.as_chunks_mut::<CHUNK>().0.iter_mut();
        for (chunk, target) in targets.enumerate().take(self.chunks) {
            let mut sums = [i32x4::splat(1 << (WEIGHT_BITS - INTERMEDIATE_BITS - 1)); CHUNK / 4];
            for (a, b, weights) in &pairs {
                let (a, b) = (a[chunk].as_chunks().0, b[chunk].as_chunks().0);
                for ((sums, a), b) in sums.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b) {
                    let (a, b) = (u8x16::new(*a), u8x16::new(*b));
                    let (low, high) = (u8x16::unpack_low(a, b), u8x16::unpack_high(a, b));
                    sums[0] += widen_low(low).dot(*weights);
                    sums[1] += widen_high(low).dot(*weights);
                    sums[2] += widen_low(high).dot(*weights);
                    sums[3] += widen_high(high).dot(*weights);
                }
            }
            for (target, sums) in target
                .as_chunks_mut::<8>()
                .0
                .iter_mut()
                .zip(sums.as_chunks::<2>().0)
            {
                let sums: i32x8 = cast(sums.map(|sum| sum >> (WEIGHT_BITS - INTERMEDIATE_BITS)));
                *target = i16x8::from_i32x8_saturate(sums).to_array();
            }
        }
    }

    /// Completes the target row: the horizontal pass.
    fn filter_row(&self, plane: &mut Vec<u8>) {
        // With a constant number of vectors, the sums stay in registers.
        match self.across.taps / 8 {
            1 => self.filter_row_by::<1>(plane),
            2 => self.filter_row_by::<2>(plane),
            3 => self.filter_row_by::<3>(plane),
            _ => self.filter_row_by::<0>(plane),
        }
    }

    /// Computes 8 target samples at a time, each from `VECTORS` vectors of samples, or from any number if
    /// it is 0.
    fn filter_row_by<const VECTORS: usize>(&self, plane: &mut Vec<u8>) {
        let taps = if VECTORS == 0 {
            self.across.taps
        } else {
            8 * VECTORS
        };
        let starts = self.across.starts.as_chunks::<8>().0.iter();
        let weights = self.across.values.chunks_exact(8 * taps);
        let first = plane.len();
        plane.resize(first + self.across.starts.len(), 0);
        let targets = plane[first..].as_chunks_mut::<8>().0.iter_mut();
        for ((starts, weights), target) in starts.zip(weights).zip(targets) {
            let sum = |index: usize| {
                let samples = self.intermediate[starts[index]..][..taps].as_chunks().0;
                let weights = weights[index * taps..][..taps].as_chunks().0;
                let pairs = samples.iter().zip(weights);
                pairs.fold(i32x4::ZERO, |sum, (samples, weights)| {
                    sum + i16x8::new(*samples).dot(i16x8::new(*weights))
                })
            };
            let whole = |first: usize| {
                let sums = transpose([sum(first), sum(first + 1), sum(first + 2), sum(first + 3)]);
                let [a, b, c, d] = sums;
                let bits = WEIGHT_BITS + INTERMEDIATE_BITS;
                (a + b + (c + d) + i32x4::splat(1 << (bits - 1))) >> bits
            };
            let eight: i32x8 = cast([whole(0), whole(4)]);
            let eight = i16x8::from_i32x8_saturate(eight);
            target.copy_from_slice(&u8x16::narrow_i16x8(eight, eight).to_array()[..8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;
    use std::rc::Rc;

    use super::weights::LOBES;
    use super::{Axis, Filter};

    fn resized(plane: &[u8], source: (usize, usize), target: (usize, usize)) -> Vec<u8> {
        let side = |length: usize, target| Axis {
            length,
            covered: length as f64,
            target,
        };
        let mut cache: Vec<Rc<_>> = Vec::new();
        let mut filter = Filter::new(
            side(source.0, target.0),
            side(source.1, target.1),
            &mut cache,
        );
        let mut rows = Vec::new();
        for row in plane.chunks_exact(source.0) {
            filter.push(row, &mut rows);
        }
        let stride = target.0.next_multiple_of(16);
        assert_eq!(rows.len(), stride * target.1);
        rows.chunks_exact(stride)
            .flat_map(|row| &row[..target.0])
            .copied()
            .collect()
    }

    /// The filter by its formula, sample by sample.
    fn formula(plane: &[u8], source: (usize, usize), target: (usize, usize)) -> Vec<u8> {
        let kernel = |offset: f64| match offset.abs() {
            0.0 => 1.0,
            LOBES.. => 0.0,
            _ => LOBES * (offset * PI).sin() * (offset * PI / LOBES).sin() / (offset * PI).powi(2),
        };
        let weights = |index: usize, length: usize, target: usize| -> Vec<f64> {
            let scale = length as f64 / target as f64;
            let centre = (index as f64 + 0.5) * scale;
            let weights: Vec<f64> = (0..length)
                .map(|offset| kernel((offset as f64 + 0.5 - centre) / scale.max(1.0)))
                .collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        };
        let mut samples = Vec::new();
        for y in 0..target.1 {
            let down = weights(y, source.1, target.1);
            for x in 0..target.0 {
                let across = weights(x, source.0, target.0);
                let mut sum = 0.0;
                for (row, down) in plane.chunks_exact(source.0).zip(&down) {
                    for (sample, across) in row.iter().zip(&across) {
                        sum += f64::from(*sample) * across * down;
                    }
                }
                samples.push(sum.round().clamp(0.0, 255.0) as u8);
            }
        }
        samples
    }

    #[test]
    fn resizing_matches_the_formula() {
        for (source, target) in [
            ((40, 30), (40, 30)),
            ((40, 30), (21, 16)),
            ((57, 31), (9, 5)),
            ((20, 15), (40, 30)),
            ((33, 21), (32, 20)),
            ((50, 3), (20, 1)),
            ((1, 1), (1, 1)),
            ((2, 60), (1, 7)),
        ] {
            let plane: Vec<u8> = (0..source.0 * source.1)
                .map(|index| ((index * 0x9e37 + index / 7 * 0x1234) >> 3) as u8)
                .collect();
            let (got, wanted) = (
                resized(&plane, source, target),
                formula(&plane, source, target),
            );
            for (index, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
                assert!(
                    got.abs_diff(*wanted) <= 1,
                    "{source:?} {target:?} {index}: {got}, not {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_constant_plane_stays_constant() {
        for value in [0, 1, 128, 254, 255] {
            let got = resized(&[value; 70 * 40], (70, 40), (31, 17));
            assert!(got.iter().all(|&sample| sample == value));
        }
    }
}
