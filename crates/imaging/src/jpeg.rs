//! What reading and writing JPEG (ITU-T T.81) have in common.
//!
//! Blocks of 8 x 8 are transformed by Arai, Agui and Nakajima's method ("A fast DCT-SQ scheme for images",
//! Transactions of the IEICE E 71 (11), 1988), of which part is left to the quantisation: [`scale`].

use wide::f32x4;

/// A value for each of a block's 64 places.
pub(crate) type Block<T> = [T; 64];

/// Where the coefficients of a block stand, row by row, in the order in which they are stored (T.81,
/// figure A.6).
pub(crate) const ZIGZAG: Block<u8> = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// What the transform of eight values leaves to the quantisation, for each frequency: the cosine of its
/// angle, times the square root of two but for the mean.
pub(crate) fn scale(frequency: usize) -> f64 {
    match frequency {
        0 => 1.0,
        _ => std::f64::consts::SQRT_2 * (frequency as f64 * std::f64::consts::PI / 16.0).cos(),
    }
}

/// Adding this rounds a number between -2^22 and 2^22 to an integer, and leaves that in its lower bits.
pub(crate) const ROUNDING: f32 = 12_582_912.0;

/// Rows for columns: each of eight rows in two halves.
pub(crate) fn transpose([left, right]: [[f32x4; 8]; 2]) -> [[f32x4; 8]; 2] {
    let quarter = |rows: &[f32x4; 8], from: usize| {
        f32x4::transpose([rows[from], rows[from + 1], rows[from + 2], rows[from + 3]])
    };
    let join = |upper: [f32x4; 4], lower: [f32x4; 4]| {
        let ([a, b, c, d], [e, f, g, h]) = (upper, lower);
        [a, b, c, d, e, f, g, h]
    };
    [
        join(quarter(&left, 0), quarter(&right, 0)),
        join(quarter(&left, 4), quarter(&right, 4)),
    ]
}

/// What tests of reading and of writing have in common.
#[cfg(test)]
pub(crate) mod testing {
    use std::io::Cursor;

    /// The pixels as a decoder sees them that isn't ours.
    pub(crate) fn decoded_by_another(file: &[u8]) -> Vec<u8> {
        let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(file));
        decoder.decode().unwrap()
    }

    /// Of all samples.
    pub(crate) fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
        assert_eq!(a.len(), b.len());
        let differences = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)));
        differences.sum::<u64>() as f64 / a.len() as f64
    }
}
