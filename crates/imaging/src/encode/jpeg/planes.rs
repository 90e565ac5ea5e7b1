//! From pixels to planes of brightness and colour (T.871, 7).

use bytemuck::cast;
use wide::{i16x8, i32x8, u8x16};

use crate::bitmap::{Bitmap, Channels};
use crate::vector::{widen_high, widen_low};

/// One component of all pixels, with whole units of blocks; beyond the picture its last pixels go on.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    /// How many pixels a sample stands for, across and down.
    pub(super) reduction: usize,
    /// How many blocks of it a unit has, across and down.
    pub(super) sampling: usize,
    pub(super) samples: Vec<u8>,
}

/// The planes of a picture: of grey one, else three, those of colour reduced by 1 or 2.
pub(super) fn planes(bitmap: &Bitmap, reduction: usize) -> Vec<Plane> {
    let has_colour = bitmap.channels() != Channels::Grey;
    let unit = if has_colour { 8 * reduction } else { 8 };
    let width = (bitmap.width() as usize).next_multiple_of(unit);
    let height = (bitmap.height() as usize).next_multiple_of(unit);
    let plane = |reduction: usize| Plane {
        width: width / reduction,
        height: height / reduction,
        reduction,
        sampling: unit / (8 * reduction),
        samples: vec![0; width * height / (reduction * reduction)],
    };
    let mut rows = Rows::new(bitmap, width);
    let mut brightness = plane(1);
    if !has_colour {
        for (y, target) in brightness.samples.chunks_exact_mut(width).enumerate() {
            target.copy_from_slice(&rows.get(0, y)[..width]);
        }
        return vec![brightness];
    }
    let (mut blue, mut red) = (plane(reduction), plane(reduction));
    let colours = blue
        .samples
        .chunks_exact_mut(width / reduction)
        .zip(red.samples.chunks_exact_mut(width / reduction));
    let pairs = brightness.samples.chunks_exact_mut(width * reduction);
    for (pair, (target, (blue, red))) in pairs.zip(colours).enumerate() {
        for (index, target) in target.chunks_exact_mut(width).enumerate() {
            let row = rows.get(index, pair * reduction + index);
            across(row, target, |pixels| brightness_of(split(pixels)));
        }
        if reduction == 1 {
            let row = rows.row(0);
            across(row, blue, |pixels| colour_of(split(pixels), BLUE));
            across(row, red, |pixels| colour_of(split(pixels), RED));
        } else {
            reduced(rows.row(0), rows.row(1), blue, red);
        }
    }
    vec![brightness, blue, red]
}

/// Rows of a picture with three channels, or one, that go on to a width, and below its end.
struct Rows<'b> {
    bitmap: &'b Bitmap,
    buffers: [Vec<u8>; 2],
}

impl<'b> Rows<'b> {
    fn new(bitmap: &'b Bitmap, width: usize) -> Self {
        let buffer = vec![0; width.next_multiple_of(32) * 3];
        Self {
            bitmap,
            buffers: [buffer.clone(), buffer],
        }
    }

    fn get(&mut self, buffer: usize, y: usize) -> &[u8] {
        let y = y.min(self.bitmap.height() as usize - 1);
        let count = self.bitmap.channels().count();
        let length = self.bitmap.width() as usize * count;
        let row = &self.bitmap.pixels()[y * length..(y + 1) * length];
        let buffer = &mut self.buffers[buffer];
        let kept = match count {
            4 => {
                let pixels = buffer.as_chunks_mut::<3>().0;
                for (target, source) in pixels.iter_mut().zip(row.as_chunks::<4>().0) {
                    target.copy_from_slice(&source[..3]);
                }
                3
            }
            _ => {
                buffer[..length].copy_from_slice(row);
                count
            }
        };
        let end = self.bitmap.width() as usize * kept;
        let (row, beyond) = buffer.split_at_mut(end);
        for target in beyond.chunks_exact_mut(kept) {
            target.copy_from_slice(&row[end - kept..]);
        }
        buffer
    }

    fn row(&self, buffer: usize) -> &[u8] {
        &self.buffers[buffer]
    }
}

/// Sixteen samples of sixteen pixels, all along a row.
#[inline(always)]
fn across(row: &[u8], target: &mut [u8], sample: impl Fn(&[u8; 48]) -> u8x16) {
    for (pixels, target) in row.as_chunks().0.iter().zip(target.chunks_mut(16)) {
        let samples = sample(pixels).to_array();
        target.copy_from_slice(&samples[..target.len()]);
    }
}

/// Colours of two rows, for each square of four pixels.
fn reduced(upper: &[u8], lower: &[u8], blue: &mut [u8], red: &mut [u8]) {
    let rows = upper
        .as_chunks::<48>()
        .0
        .iter()
        .zip(lower.as_chunks::<48>().0);
    let targets = blue.chunks_mut(8).zip(red.chunks_mut(8));
    for ((upper, lower), (blue, red)) in rows.zip(targets) {
        let (upper, lower) = (split(upper), split(lower));
        let squares = [0, 1, 2].map(|channel| {
            let low = widen_low(upper[channel]) + widen_low(lower[channel]);
            let high = widen_high(upper[channel]) + widen_high(lower[channel]);
            let ones = i16x8::splat(1);
            let sums: i32x8 = cast([low.dot(ones), high.dot(ones)]);
            // Sixty-fourths of the mean.
            i16x8::from_i32x8_saturate(sums) << 4
        });
        let narrow = |samples: i16x8| u8x16::narrow_i16x8(samples, samples).to_array();
        blue.copy_from_slice(&narrow(weigh(squares, BLUE))[..blue.len()]);
        red.copy_from_slice(&narrow(weigh(squares, RED))[..red.len()]);
    }
}

/// What red, green and blue contribute, in 2^15ths, and where the middle is.
type Weights = ([i16; 3], i16);

const BRIGHTNESS: Weights = ([9798, 19235, 3735], 0);
const BLUE: Weights = ([-5529, -10855, 16384], 128);
const RED: Weights = ([16384, -13720, -2664], 128);

#[inline(always)]
fn brightness_of(pixels: [u8x16; 3]) -> u8x16 {
    colour_of(pixels, BRIGHTNESS)
}

#[inline(always)]
fn colour_of(pixels: [u8x16; 3], weights: Weights) -> u8x16 {
    let low = weigh(pixels.map(|samples| widen_low(samples) << 6), weights);
    let high = weigh(pixels.map(|samples| widen_high(samples) << 6), weights);
    u8x16::narrow_i16x8(low, high)
}

/// A component of eight pixels, which are in sixty-fourths.
#[inline(always)]
fn weigh([r, g, b]: [i16x8; 3], ([red, green, blue], middle): Weights) -> i16x8 {
    let times = |samples: i16x8, weight: i16| samples.mul_scale_round(i16x8::splat(weight));
    let sum = times(r, red) + times(g, green) + times(b, blue);
    ((sum + i16x8::splat(32)) >> 6) + i16x8::splat(middle)
}

/// Red, green and blue of sixteen pixels.
#[inline(always)]
fn split(pixels: &[u8; 48]) -> [u8x16; 3] {
    let mut parts = [[0; 16]; 3];
    for (part, bytes) in parts.iter_mut().zip(pixels.as_chunks::<16>().0) {
        *part = *bytes;
    }
    let parts = parts.map(u8x16::new);
    PLACES.map(|places| {
        let [a, b, c] = places.map(u8x16::new);
        parts[0].shuffle_zeroing(a) | parts[1].shuffle_zeroing(b) | parts[2].shuffle_zeroing(c)
    })
}

/// For each channel, where in each third of sixteen pixels its samples are.
const PLACES: [[[u8; 16]; 3]; 3] = {
    let mut places = [[[255; 16]; 3]; 3];
    let mut byte = 0;
    while byte < 48 {
        // Below 16.
        places[byte % 3][byte / 16][byte / 3] = (byte % 16) as u8;
        byte += 1;
    }
    places
};
