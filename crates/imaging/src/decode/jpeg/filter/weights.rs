//! How much each sample of a direction weighs in each that is made of it.

/// How many lobes the filter has to either side, each as wide as a sample of the larger picture.
pub(super) const LOBES: f64 = 3.0;

/// Weights are in 2^14ths.
pub(super) const WEIGHT_BITS: i32 = 14;

/// For each sample of one direction, the samples that it is made of, and their weights.
#[derive(PartialEq)]
pub(in super::super) struct Weights {
    /// Whose weights these are.
    pub(super) source: Source,
    /// Where its samples begin.
    pub(super) starts: Vec<usize>,
    /// How many there are at most, rounded up; the last weigh nothing.
    pub(super) count: usize,
    pub(super) values: Vec<i16>,
}

/// What is filtered, in one direction.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) struct Source {
    /// In samples.
    pub(in super::super) length: usize,
    /// How much of it the picture covers: it may end within the last one.
    pub(in super::super) covered: f64,
    /// How many samples it becomes.
    pub(in super::super) target: usize,
}

impl Source {
    /// How many samples of it one of the target's is made of, at most.
    pub(in super::super) fn span(self) -> usize {
        let scale = (self.covered / self.target as f64).max(1.0);
        (2.0 * LOBES * scale) as usize + 2
    }
}

impl Weights {
    pub(super) fn new(source: Source, unit: usize) -> Self {
        let Source {
            length,
            covered,
            target,
        } = source;
        let scale = covered / target as f64;
        // Where the target is larger, its samples are as wide as the source's.
        let width = scale.max(1.0);
        let range = |index: usize| {
            let centre = (index as f64 + 0.5) * scale;
            // Those whose middle is beneath the lobes. Below zero is zero.
            let start = ((centre - LOBES * width - 0.5).ceil() as usize).min(length - 1);
            let end = ((centre + LOBES * width - 0.5).ceil() as usize).clamp(start + 1, length);
            (start, end - start, (start as f64 + 0.5 - centre) / width)
        };
        let most = (0..target).map(|index| range(index).1).max().unwrap_or(1);
        let count = most.next_multiple_of(unit);
        let mut weights = Self {
            source,
            starts: Vec::with_capacity(target.next_multiple_of(16)),
            count,
            values: Vec::with_capacity(target.next_multiple_of(16) * count),
        };
        let mut row = Vec::with_capacity(count);
        for (start, count, first) in (0..target).map(range) {
            lanczos(first, width.recip(), count, &mut row);
            weights.push(start, &row);
        }
        // Eight are made at once, and sixteen put away.
        for _ in target..target.next_multiple_of(16) {
            weights.push(0, &[]);
        }
        weights
    }

    /// Adds a sample's weights, whose sum is made one.
    fn push(&mut self, start: usize, row: &[f64]) {
        let one = f64::from(1 << WEIGHT_BITS);
        let sum: f64 = row.iter().sum();
        let first = self.values.len();
        // Below two.
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
        self.values.resize(first + self.count, 0);
        self.starts.push(start);
    }
}

/// The filter at `count` places, from the first one on at the same distance. Angles are turned from
/// place to place, which takes a tenth of the time that their sines take.
fn lanczos(first: f64, distance: f64, count: usize, row: &mut Vec<f64>) {
    use std::f64::consts::PI;
    let mut lobe = Turning::new(first * PI, distance * PI);
    let mut window = Turning::new(first * PI / LOBES, distance * PI / LOBES);
    row.clear();
    for index in 0..count {
        let place = first + index as f64 * distance;
        let angle = place * PI;
        let weight = if place.abs() < 1e-6 {
            1.0
        } else if place.abs() >= LOBES {
            0.0
        } else {
            LOBES * lobe.sine * window.sine / (angle * angle)
        };
        row.push(weight);
        lobe.turn();
        window.turn();
    }
}

/// An angle that grows.
struct Turning {
    sine: f64,
    cosine: f64,
    by: (f64, f64),
}

impl Turning {
    fn new(angle: f64, by: f64) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self {
            sine,
            cosine,
            by: by.sin_cos(),
        }
    }

    fn turn(&mut self) {
        let (sine, cosine) = self.by;
        (self.sine, self.cosine) = (
            self.sine * cosine + self.cosine * sine,
            self.cosine * cosine - self.sine * sine,
        );
    }
}
