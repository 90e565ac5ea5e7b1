//! Statistics of samples.

/// Returns the median; of an even count, the mean of the two middle samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (_, _) if sorted.is_empty() => f64::NAN,
        (middle, 1) => sorted[middle],
        (middle, _) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Returns the value below which `percent` of the sorted samples are.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Formats the range of the samples as `min–max`.
pub(crate) fn range(samples: &[f64]) -> String {
    let min = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let max = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{min:.2}–{max:.2}")
}

/// Says whether a target that is an upper bound is met.
pub(crate) fn at_most(value: f64, target: f64) -> &'static str {
    if value <= target { "met" } else { "NOT met" }
}

/// Says whether a target that is a lower bound is met.
pub(crate) fn at_least(value: f64, target: f64) -> &'static str {
    if value >= target { "met" } else { "NOT met" }
}
