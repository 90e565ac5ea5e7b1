//! Colour spaces of JPEG, and conversion of rows of samples to pixels (T.871, 7; T.872, 6.5.3).

use wide::{i16x8, u8x16};

use crate::bitmap::Channels;
use crate::header::jpeg::Frame;
use crate::vector::{widen_high, widen_low};

/// Colour space of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColourSpace {
    Grey,
    /// Red, green and blue, without transform.
    Rgb,
    /// Luma, and the blue and red chroma.
    YCbCr,
    /// CMYK, where 255 is full ink.
    Cmyk,
    /// CMYK as Adobe writes it, where 255 is no ink.
    InvertedCmyk,
    /// YCCK as Adobe writes it: inverted CMYK whose first three inks are coded as `YCbCr`.
    InvertedYcck,
}

impl ColourSpace {
    pub(super) fn of_frame(frame: &Frame) -> Self {
        let identifiers: Vec<u8> = frame.components.iter().map(|c| c.identifier).collect();
        match (identifiers.as_slice(), frame.adobe_transform) {
            ([_], _) => Self::Grey,
            ([_, _, _], _) if frame.jfif => Self::YCbCr,
            ([_, _, _], Some(0)) | ([b'R', b'G', b'B'], None) => Self::Rgb,
            ([_, _, _, _], Some(0)) => Self::InvertedCmyk,
            ([_, _, _, _], Some(_)) => Self::InvertedYcck,
            ([_, _, _, _], None) => Self::Cmyk,
            _ => Self::YCbCr,
        }
    }

    pub(super) fn channels(self) -> Channels {
        match self {
            Self::Grey => Channels::Grey,
            Self::Rgb | Self::YCbCr => Channels::Rgb,
            Self::Cmyk | Self::InvertedCmyk | Self::InvertedYcck => Channels::Cmyk,
        }
    }
}

/// Appends a row of pixels. Each plane has its samples, padded to a multiple of 16.
pub(super) fn append_row(
    colour_space: ColourSpace,
    planes: &[&[u8]],
    width: usize,
    pixels: &mut Vec<u8>,
) {
    match (colour_space, planes) {
        (ColourSpace::Rgb, [r, g, b, ..]) => {
            convert_row([r, g, b], width, pixels, |samples| samples);
        }
        (ColourSpace::YCbCr, [y, cb, cr, ..]) => {
            convert_row([y, cb, cr], width, pixels, |[y, cb, cr]| {
                ycbcr_to_rgb(y, cb, cr)
            });
        }
        (ColourSpace::InvertedYcck, [y, cb, cr, k, ..]) => {
            let start = pixels.len();
            convert_row([y, cb, cr], width, pixels, |[y, cb, cr]| {
                ycbcr_to_rgb(y, cb, cr)
            });
            let inks: Vec<u8> = pixels[start..].to_vec();
            pixels.truncate(start);
            let (inks, _) = inks.as_chunks::<3>();
            pixels.extend(
                inks.iter()
                    .zip(*k)
                    .flat_map(|(&[c, m, y], &k)| [c, m, y, !k]),
            );
        }
        (ColourSpace::Cmyk | ColourSpace::InvertedCmyk, [c, m, y, k, ..]) => {
            let flip = if colour_space == ColourSpace::Cmyk {
                0
            } else {
                255
            };
            let inks = c.iter().zip(*m).zip(*y).zip(*k).take(width);
            pixels
                .extend(inks.flat_map(|(((c, m), y), k)| [c ^ flip, m ^ flip, y ^ flip, k ^ flip]));
        }
        (_, planes) => pixels.extend(planes.iter().take(1).flat_map(|plane| &plane[..width])),
    }
}

/// Appends a row of three planes, converted and interleaved 16 pixels at a time.
#[inline(always)]
fn convert_row(
    planes: [&[u8]; 3],
    width: usize,
    pixels: &mut Vec<u8>,
    convert: impl Fn([u8x16; 3]) -> [u8x16; 3],
) {
    let start = pixels.len();
    // Writes the padding as well, and truncates it afterwards.
    pixels.resize(start + width.next_multiple_of(16) * 3, 0);
    let [a, b, c] = planes.map(|plane| plane.as_chunks::<16>().0);
    let (targets, _) = pixels[start..].as_chunks_mut::<48>();
    for (((target, a), b), c) in targets.iter_mut().zip(a).zip(b).zip(c) {
        let [a, b, c] = convert([a, b, c].map(|samples| u8x16::new(*samples)));
        interleave(a, b, c, target);
    }
    pixels.truncate(start + width * 3);
}

/// Interleaves 16 pixels of three planes.
#[inline(always)]
fn interleave(a: u8x16, b: u8x16, c: u8x16, target: &mut [u8; 48]) {
    const PACK: u8x16 = u8x16::new([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255]);
    let (ac_low, ac_high) = (u8x16::unpack_low(a, c), u8x16::unpack_high(a, c));
    let (b_low, b_high) = (u8x16::unpack_low(b, b), u8x16::unpack_high(b, b));
    let fours = [
        u8x16::unpack_low(ac_low, b_low),
        u8x16::unpack_high(ac_low, b_low),
        u8x16::unpack_low(ac_high, b_high),
        u8x16::unpack_high(ac_high, b_high),
    ];
    for (target, four) in target.as_chunks_mut::<12>().0.iter_mut().zip(fours) {
        target.copy_from_slice(&four.shuffle_zeroing(PACK).to_array()[..12]);
    }
}

/// Converts 16 pixels from YCbCr to RGB.
#[inline(always)]
fn ycbcr_to_rgb(y: u8x16, cb: u8x16, cr: u8x16) -> [u8x16; 3] {
    let low = ycbcr_to_rgb_8([y, cb, cr].map(widen_low));
    let high = ycbcr_to_rgb_8([y, cb, cr].map(widen_high));
    let join = |channel: usize| u8x16::narrow_i16x8(low[channel], high[channel]);
    [join(0), join(1), join(2)]
}

/// Converts 8 pixels from YCbCr to RGB (T.871, 7), in fixed point with 6 fractional bits, which fit into 16
/// bits; the fractions of the factors have 15 bits.
#[inline(always)]
fn ycbcr_to_rgb_8([y, cb, cr]: [i16x8; 3]) -> [i16x8; 3] {
    let middle = i16x8::splat(128);
    let y = (y << 6) + i16x8::splat(32);
    let (cb, cr) = ((cb - middle) << 6, (cr - middle) << 6);
    let times = |value: i16x8, factor: i16| value.mul_scale_round(i16x8::splat(factor));
    // 1.402, 0.344136, 0.714136 and 1.772.
    let r = y + cr + times(cr, 13173);
    let g = y - times(cb, 11277) - times(cr, 23401);
    let b = y + cb + times(cb, 25297);
    [r >> 6, g >> 6, b >> 6]
}
