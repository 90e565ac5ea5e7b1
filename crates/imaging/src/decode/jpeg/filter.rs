//! Lanczos' filter with three lobes (Duchon, "Lanczos Filtering in One and Two Dimensions", Journal of
//! Applied Meteorology 18 (8), 1979) for planes that come row by row.
//!
//! Columns are filtered first, from no more rows than the filter spans, then the row that comes of it. So
//! no plane is ever there as a whole, except in its last size.

mod weights;

use std::rc::Rc;

use bytemuck::cast;
use wide::{i16x8, i32x4, i32x8, u8x16};

pub(super) use weights::Source;
use weights::{WEIGHT_BITS, Weights};

use crate::vector::{transpose, widen_high, widen_low};

/// What is filtered in one direction is in 2^6ths.
const BETWEEN_BITS: i32 = 6;

/// So many columns are filtered at once, whose sums fit into registers.
const CHUNK: usize = 32;

/// Resizes a plane.
pub(super) struct Filter {
    across: Rc<Weights>,
    down: Rc<Weights>,
    /// The last rows, each where its number says, modulo their count.
    ring: Vec<[u8; CHUNK]>,
    /// Chunks of samples in a row.
    chunks: usize,
    taken: usize,
    made: usize,
    between: Vec<i16>,
}

impl Filter {
    /// For a plane; its weights are taken from `known` where they are there already.
    pub(super) fn new(across: Source, down: Source, known: &mut Vec<Rc<Weights>>) -> Self {
        let mut weights = |source, unit| match known
            .iter()
            .find(|known| known.source == source && known.count % unit == 0)
        {
            Some(known) => known.clone(),
            None => {
                let weights = Rc::new(Weights::new(source, unit));
                known.push(weights.clone());
                weights
            }
        };
        // Whole vectors across, and pairs of rows.
        let (across_weights, down) = (weights(across, 8), weights(down, 2));
        let chunks = across.length.div_ceil(CHUNK);
        Self {
            ring: vec![[0; CHUNK]; chunks * down.count],
            chunks,
            taken: 0,
            made: 0,
            between: vec![0; chunks * CHUNK + across_weights.count],
            across: across_weights,
            down,
        }
    }

    /// Takes the next row, and appends those that come of it, each a multiple of 16 long.
    pub(super) fn push(&mut self, row: &[u8], plane: &mut Vec<u8>) {
        if self.taken == self.down.source.length {
            return;
        }
        let place = self.taken % self.down.count * self.chunks;
        let kept = self.ring[place..place + self.chunks].as_flattened_mut();
        let length = self.across.source.length;
        kept[..length].copy_from_slice(&row[..length]);
        self.taken += 1;
        while self.made < self.down.source.target {
            let last = self.down.starts[self.made] + self.down.count;
            if self.taken < last.min(self.down.source.length) {
                break;
            }
            self.filter_columns();
            self.filter_row(plane);
            self.made += 1;
        }
    }

    /// The next row of the target, still as wide as the source.
    fn filter_columns(&mut self) {
        let count = self.down.count;
        let start = self.down.starts[self.made];
        let weights = &self.down.values[self.made * count..(self.made + 1) * count];
        let row = |index: usize| {
            // Those behind the last weigh nothing.
            let place = (start + index) % count * self.chunks;
            &self.ring[place..place + self.chunks]
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
        let targets = self.between.as_chunks_mut::<CHUNK>().0.iter_mut();
        for (chunk, target) in targets.enumerate().take(self.chunks) {
            let mut sums = [i32x4::splat(1 << (WEIGHT_BITS - BETWEEN_BITS - 1)); CHUNK / 4];
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
                let sums: i32x8 = cast(sums.map(|sum| sum >> (WEIGHT_BITS - BETWEEN_BITS)));
                *target = i16x8::from_i32x8_saturate(sums).to_array();
            }
        }
    }

    /// The row of the target.
    fn filter_row(&self, plane: &mut Vec<u8>) {
        // Where the number of vectors is known, the sums are kept in registers.
        match self.across.count / 8 {
            1 => self.filter_row_by::<1>(plane),
            2 => self.filter_row_by::<2>(plane),
            3 => self.filter_row_by::<3>(plane),
            _ => self.filter_row_by::<0>(plane),
        }
    }

    /// The row of the target, eight samples at a time, each of as many vectors; 0 for any number of them.
    fn filter_row_by<const VECTORS: usize>(&self, plane: &mut Vec<u8>) {
        let count = if VECTORS == 0 {
            self.across.count
        } else {
            8 * VECTORS
        };
        let starts = self.across.starts.as_chunks::<8>().0.iter();
        let weights = self.across.values.chunks_exact(8 * count);
        let first = plane.len();
        plane.resize(first + self.across.starts.len(), 0);
        let targets = plane[first..].as_chunks_mut::<8>().0.iter_mut();
        for ((starts, weights), target) in starts.zip(weights).zip(targets) {
            let sum = |index: usize| {
                let samples = self.between[starts[index]..][..count].as_chunks().0;
                let weights = weights[index * count..][..count].as_chunks().0;
                let pairs = samples.iter().zip(weights);
                pairs.fold(i32x4::ZERO, |sum, (samples, weights)| {
                    sum + i16x8::new(*samples).dot(i16x8::new(*weights))
                })
            };
            let whole = |first: usize| {
                let sums = transpose([sum(first), sum(first + 1), sum(first + 2), sum(first + 3)]);
                let [a, b, c, d] = sums;
                let bits = WEIGHT_BITS + BETWEEN_BITS;
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
    use super::{Filter, Source};

    fn resized(plane: &[u8], source: (usize, usize), target: (usize, usize)) -> Vec<u8> {
        let side = |length: usize, target| Source {
            length,
            covered: length as f64,
            target,
        };
        let mut known: Vec<Rc<_>> = Vec::new();
        let mut filter = Filter::new(
            side(source.0, target.0),
            side(source.1, target.1),
            &mut known,
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

    /// By the formula, sample by sample.
    fn formula(plane: &[u8], source: (usize, usize), target: (usize, usize)) -> Vec<u8> {
        let kernel = |place: f64| match place.abs() {
            0.0 => 1.0,
            LOBES.. => 0.0,
            _ => LOBES * (place * PI).sin() * (place * PI / LOBES).sin() / (place * PI).powi(2),
        };
        let weights = |index: usize, length: usize, target: usize| -> Vec<f64> {
            let scale = length as f64 / target as f64;
            let centre = (index as f64 + 0.5) * scale;
            let weights: Vec<f64> = (0..length)
                .map(|place| kernel((place as f64 + 0.5 - centre) / scale.max(1.0)))
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
    fn planes_are_what_the_formula_says() {
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
    fn one_colour_stays() {
        for value in [0, 1, 128, 254, 255] {
            let got = resized(&[value; 70 * 40], (70, 40), (31, 17));
            assert!(got.iter().all(|&sample| sample == value));
        }
    }
}
