//! Vectors, where `wide` takes what they hold one by one in WebAssembly.

use bytemuck::cast;
use wide::{f32x4, i16x8, i32x4, u8x16};

/// The first eight bytes, each as a number of sixteen bits.
#[inline(always)]
pub(crate) fn widen_low(bytes: u8x16) -> i16x8 {
    // Both processors and WebAssembly keep the lower byte first.
    const { assert!(cfg!(target_endian = "little")) };
    cast(u8x16::unpack_low(bytes, u8x16::ZERO))
}

/// The last eight bytes, each as a number of sixteen bits.
#[inline(always)]
pub(crate) fn widen_high(bytes: u8x16) -> i16x8 {
    cast(u8x16::unpack_high(bytes, u8x16::ZERO))
}

/// The first eight bytes as floating-point numbers.
#[inline(always)]
pub(crate) fn to_float(bytes: u8x16) -> [f32x4; 2] {
    const SPREAD: [u8x16; 2] = [
        u8x16::new([
            0, 255, 255, 255, 1, 255, 255, 255, 2, 255, 255, 255, 3, 255, 255, 255,
        ]),
        u8x16::new([
            4, 255, 255, 255, 5, 255, 255, 255, 6, 255, 255, 255, 7, 255, 255, 255,
        ]),
    ];
    SPREAD.map(|places| f32x4::from_i32x4(cast(bytes.shuffle_zeroing(places))))
}

/// Rows for columns.
#[inline(always)]
pub(crate) fn transpose(rows: [i32x4; 4]) -> [i32x4; 4] {
    // It moves bits and doesn't look at them.
    cast(f32x4::transpose(cast(rows)))
}
