//! SIMD operations that `wide` emulates element by element on WebAssembly, built from ones that it doesn't.

use bytemuck::cast;
use wide::{f32x4, i16x8, i32x4, u8x16};

/// Zero-extends the first eight bytes to 16 bits.
#[inline(always)]
pub(crate) fn widen_low(bytes: u8x16) -> i16x8 {
    // x86-64, AArch64 and WebAssembly are little-endian.
    const { assert!(cfg!(target_endian = "little")) };
    cast(u8x16::unpack_low(bytes, u8x16::ZERO))
}

/// Zero-extends the last eight bytes to 16 bits.
#[inline(always)]
pub(crate) fn widen_high(bytes: u8x16) -> i16x8 {
    cast(u8x16::unpack_high(bytes, u8x16::ZERO))
}

/// Converts the first eight bytes to floating-point numbers.
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

/// Transposes a 4 x 4 matrix.
#[inline(always)]
pub(crate) fn transpose(rows: [i32x4; 4]) -> [i32x4; 4] {
    // Transposing as `f32` only moves the bits.
    cast(f32x4::transpose(cast(rows)))
}
