//! Weights of the Lanczos filter in one direction.

/// Number of lobes on each side, each as wide as a sample of the smaller image.
pub(super) const LOBES: f64 = 3.0;

/// Number of fractional bits of a weight.
pub(super) const WEIGHT_BITS: i32 = 14;

/// Source samples and weights of each target sample, in one direction.
#[derive(PartialEq)]
pub(in super::super) struct Weights {
    /// The direction that the weights belong to.
    pub(super) axis: Axis,
    /// Index of the first source sample of each target sample.
    pub(super) starts: Vec<usize>,
    /// Number of weights of each target sample, padded with zeros.
    pub(super) taps: usize,
    pub(super) values: Vec<i16>,
}

/// Resizing in one direction.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) struct Axis {
    /// Number of source samples.
    pub(in super::super) length: usize,
    /// Part of the source that the image covers, in samples; the image may end within the last sample.
    pub(in super::super) covered: f64,
    /// Number of target samples.
    pub(in super::super) target: usize,
}

impl Axis {
    /// Upper bound on the source samples per target sample.
    pub(in super::super) fn taps(self) -> usize {
        let scale = (self.covered / self.target as f64).max(1.0);
        (2.0 * LOBES * scale) as usize + 2
    }
}

impl Weights {
    pub(super) fn new(axis: Axis, multiple: usize) -> Self {
        let Axis {
            length,
            covered,
            target,
        } = axis;
        let scale = covered / target as f64;
        // When enlarging, the filter is as wide as for the same size.
        let width = scale.max(1.0);
        let range = |index: usize| {
            let centre = (index as f64 + 0.5) * scale;
            // Source samples whose centre is below the lobes. The conversion saturates at 0.
            let start = ((centre - LOBES * width - 0.5).ceil() as usize).min(length - 1);
            let end = ((centre + LOBES * width - 0.5).ceil() as usize).clamp(start + 1, length);
            (start, end - start, (start as f64 + 0.5 - centre) / width)
        };
        let widest = (0..target).map(|index| range(index).1).max().unwrap_or(1);
        let taps = widest.next_multiple_of(multiple);
        let mut weights = Self {
            axis,
            starts: Vec::with_capacity(target.next_multiple_of(16)),
            taps,
            values: Vec::with_capacity(target.next_multiple_of(16) * taps),
        };
        let mut row = Vec::with_capacity(taps);
        for (start, count, first) in (0..target).map(range) {
            lanczos(first, width.recip(), count, &mut row);
            weights.push(start, &row);
        }
        // The filter computes 8 target samples at a time, and the planes keep 16.
        for _ in target..target.next_multiple_of(16) {
            weights.push(0, &[]);
        }
        weights
    }

    /// Adds the weights of a target sample, normalised to a sum of 1.
    fn push(&mut self, start: usize, row: &[f64]) {
        let one = f64::from(1 << WEIGHT_BITS);
        let sum: f64 = row.iter().sum();
        let first = self.values.len();
        // Below 2, so they fit.
        self.values.extend(
            row.iter()
                .map(|weight| (weight * (one / sum)).round_ties_even() as i16),
        );
        let values = &mut self.values[first..];
        let missing =
            (1 << WEIGHT_BITS) - values.iter().map(|&value| i32::from(value)).sum::<i32>();
        if let Some(largest) = values.iter_mut().max() {
            *largest = largest.saturating_add(missing as i16);
        }
        self.values.resize(first + self.taps, 0);
        self.starts.push(start);
    }
}

/// Evaluates the filter at `count` offsets of equal distance. Rotates the angles from offset to offset,
/// which takes a tenth of the time of computing sines.
fn lanczos(first: f64, distance: f64, count: usize, row: &mut Vec<f64>) {
    use std::f64::consts::PI;
    let mut lobe = Rotation::new(first * PI, distance * PI);
    let mut window = Rotation::new(first * PI / LOBES, distance * PI / LOBES);
    row.clear();
    for index in 0..count {
        let offset = first + index as f64 * distance;
        let angle = offset * PI;
        let weight = if offset.abs() < 1e-6 {
            1.0
        } else if offset.abs() >= LOBES {
            0.0
        } else {
            LOBES * lobe.sine * window.sine / (angle * angle)
        };
        row.push(weight);
        lobe.advance();
        window.advance();
    }
}

/// Sine and cosine of an angle that advances in equal steps.
struct Rotation {
    sine: f64,
    cosine: f64,
    step: (f64, f64),
}

impl Rotation {
    fn new(angle: f64, step: f64) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self {
            sine,
            cosine,
            step: step.sin_cos(),
        }
    }

    fn advance(&mut self) {
        let (sine, cosine) = self.step;
        (self.sine, self.cosine) = (
            self.sine * cosine + self.cosine * sine,
            self.cosine * cosine - self.sine * sine,
        );
    }
}
