//! Definitions shared by the JPEG decoder and encoder (ITU-T T.81).
//!
//! The DCT is that of Arai, Agui and Nakajima ("A fast DCT-SQ scheme for images", Transactions of the IEICE
//! E 71 (11), 1988). Part of its scaling is folded into the quantisation tables: [`aan_scale`].

use wide::f32x4;

/// One value for each of the 64 coefficients or samples of a block.
pub(crate) type Block<T> = [T; 64];

/// Maps a zigzag index to the position in the block, row by row (T.81, figure A.6).
pub(crate) const ZIGZAG: Block<u8> = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Scale factor of a frequency that the AAN transform leaves to the quantisation.
pub(crate) fn aan_scale(frequency: usize) -> f64 {
    match frequency {
        0 => 1.0,
        _ => std::f64::consts::SQRT_2 * (frequency as f64 * std::f64::consts::PI / 16.0).cos(),
    }
}

/// Second bytes of markers (T.81, table B.1).
pub(crate) mod marker {
    /// Start of frame: baseline.
    pub(crate) const SOF0: u8 = 0xc0;
    /// Start of frame: progressive.
    pub(crate) const SOF2: u8 = 0xc2;
    /// Start of frame: lossless.
    pub(crate) const SOF3: u8 = 0xc3;
    /// Huffman tables.
    pub(crate) const DHT: u8 = 0xc4;
    /// First restart marker; the last one is `RST0 + 7`.
    pub(crate) const RST0: u8 = 0xd0;
    /// Start of image.
    pub(crate) const SOI: u8 = 0xd8;
    /// End of image.
    pub(crate) const EOI: u8 = 0xd9;
    /// Start of scan.
    pub(crate) const SOS: u8 = 0xda;
    /// Quantisation tables.
    pub(crate) const DQT: u8 = 0xdb;
    /// Restart interval.
    pub(crate) const DRI: u8 = 0xdd;
    /// Hierarchical progression.
    pub(crate) const DHP: u8 = 0xde;
    /// Application segment of JFIF.
    pub(crate) const APP0: u8 = 0xe0;
    /// Application segment of EXIF.
    pub(crate) const APP1: u8 = 0xe1;
    /// Application segment of ICC profiles.
    pub(crate) const APP2: u8 = 0xe2;
    /// Application segment of Adobe.
    pub(crate) const APP14: u8 = 0xee;
}

/// Rounds a number between -2^22 and 2^22 to an integer when added to it, and leaves that integer in the
/// lower bits.
pub(crate) const ROUNDING: f32 = 12_582_912.0;

/// Transposes a block of eight rows, each in two halves.
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

/// Helpers for the tests of the decoder and the encoder.
#[cfg(test)]
pub(crate) mod testing {
    use std::io::Cursor;

    /// Decodes with `jpeg-decoder`, the reference.
    pub(crate) fn decode_with_reference(file: &[u8]) -> Vec<u8> {
        let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(file));
        decoder.decode().unwrap()
    }

    /// Mean absolute difference of all samples.
    pub(crate) fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
        assert_eq!(a.len(), b.len());
        let differences = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)));
        differences.sum::<u64>() as f64 / a.len() as f64
    }
}
