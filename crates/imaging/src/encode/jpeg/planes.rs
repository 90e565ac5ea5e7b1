//! From pixels to planes of brightness and colour (T.871, 7).

use bytemuck::cast;
use wide::{i16x8, i32x8, u8x16};

use crate::bitmap::{Bitmap, Channels};
use crate::vector::{widen_high, widen_low};

/// A row of units of one component. Beyond the picture its last pixels go on.
pub(super) struct Plane {
    /// In samples, and 8 times `sampling` high.
    pub(super) width: usize,
    /// How many pixels a sample stands for, across and down.
    pub(super) reduction: usize,
    /// How many blocks of it a unit has, across and down.
    pub(super) sampling: usize,
    pub(super) samples: Vec<u8>,
}

/// The planes of a picture, row of units after row of units: of grey one, else three, those of colour
/// reduced by 1 or 2.
pub(super) struct Planes<'b> {
    rows: Rows<'b>,
    planes: Vec<Plane>,
    /// The next row of pixels.
    next: usize,
}

impl<'b> Planes<'b> {
    pub(super) fn new(bitmap: &'b Bitmap, reduction: usize) -> Self {
        let reductions: &[usize] = match bitmap.channels() {
            Channels::Grey => &[1],
            _ => &[1, reduction, reduction],
        };
        let most = reductions.iter().max().map_or(1, |most| *most);
        let width = (bitmap.width() as usize).next_multiple_of(8 * most);
        let plane = |&reduction: &usize| Plane {
            width: width / reduction,
            reduction,
            sampling: most / reduction,
            samples: vec![0; width / reduction * 8 * most / reduction],
        };
        Self {
            rows: Rows::new(bitmap, width),
            planes: reductions.iter().map(plane).collect(),
            next: 0,
        }
    }

    /// As they are, for their shapes.
    pub(super) fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// The next row of units, until there is none.
    pub(super) fn advance(&mut self) -> Option<&[Plane]> {
        if self.next >= self.rows.bitmap.height() as usize {
            return None;
        }
        let from = self.next;
        match self.planes.as_mut_slice() {
            [brightness, blue, red] => {
                self.next += 8 * brightness.sampling;
                fill(&mut self.rows, from, brightness, blue, red);
            }
            planes => {
                self.next += 8;
                for plane in planes {
                    for (y, target) in plane.samples.chunks_exact_mut(plane.width).enumerate() {
                        target.copy_from_slice(&self.rows.get(0, from + y)[..plane.width]);
                    }
                }
            }
        }
        Some(&self.planes)
    }
}

/// The planes of rows of pixels from this one on.
fn fill(
    rows: &mut Rows<'_>,
    from: usize,
    brightness: &mut Plane,
    blue: &mut Plane,
    red: &mut Plane,
) {
    let width = brightness.width;
    let colours = blue
        .samples
        .chunks_exact_mut(blue.width)
        .zip(red.samples.chunks_exact_mut(red.width));
    if blue.reduction == 1 {
        let targets = brightness.samples.chunks_exact_mut(width).zip(colours);
        for (y, (target, (blue, red))) in targets.enumerate() {
            whole(rows.get(0, from + y), target, blue, red);
        }
        return;
    }
    let pairs = brightness.samples.chunks_exact_mut(2 * width).zip(colours);
    for (pair, (targets, (blue, red))) in pairs.enumerate() {
        rows.get(0, from + 2 * pair);
        rows.get(1, from + 2 * pair + 1);
        let (upper, lower) = targets.split_at_mut(width);
        halved([rows.row(0), rows.row(1)], [upper, lower], blue, red);
    }
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

/// A row with colours of its size, sixteen pixels at a time.
fn whole(row: &[u8], brightness: &mut [u8], blue: &mut [u8], red: &mut [u8]) {
    let targets = brightness
        .chunks_mut(16)
        .zip(blue.chunks_mut(16))
        .zip(red.chunks_mut(16));
    for (pixels, ((brightness, blue), red)) in row.as_chunks().0.iter().zip(targets) {
        let pixels = split(pixels);
        put(&component(pixels, BRIGHTNESS), brightness);
        put(&component(pixels, BLUE), blue);
        put(&component(pixels, RED), red);
    }
}

/// Two rows, with colours for each square of four pixels, sixteen across at a time.
fn halved(rows: [&[u8]; 2], targets: [&mut [u8]; 2], blue: &mut [u8], red: &mut [u8]) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<48>().0);
    let [upper_target, lower_target] = targets;
    let targets = upper_target
        .chunks_mut(16)
        .zip(lower_target.chunks_mut(16))
        .zip(blue.chunks_mut(8).zip(red.chunks_mut(8)));
    for ((upper, lower), ((upper_target, lower_target), (blue, red))) in
        upper.iter().zip(lower).zip(targets)
    {
        let (upper, lower) = (split(upper), split(lower));
        put(&component(upper, BRIGHTNESS), upper_target);
        put(&component(lower, BRIGHTNESS), lower_target);
        let squares = [0, 1, 2].map(|channel| {
            let low = widen_low(upper[channel]) + widen_low(lower[channel]);
            let high = widen_high(upper[channel]) + widen_high(lower[channel]);
            let ones = i16x8::splat(1);
            let sums: i32x8 = cast([low.dot(ones), high.dot(ones)]);
            // Sixty-fourths of the mean.
            i16x8::from_i32x8_saturate(sums) << 4
        });
        let narrow = |samples: i16x8| u8x16::narrow_i16x8(samples, samples).to_array();
        put(&narrow(weigh(squares, BLUE)), blue);
        put(&narrow(weigh(squares, RED)), red);
    }
}

/// As many samples as the target has. Eight or sixteen, which the compiler knows how to copy; others it
/// would leave to the sandbox's host.
#[inline(always)]
fn put(samples: &[u8; 16], target: &mut [u8]) {
    if let Ok(target) = <&mut [u8; 16]>::try_from(&mut *target) {
        *target = *samples;
    } else if let Ok(target) = <&mut [u8; 8]>::try_from(&mut *target) {
        target.copy_from_slice(&samples[..8]);
    } else {
        target.copy_from_slice(&samples[..target.len()]);
    }
}

/// What red, green and blue contribute, in 2^15ths, and where the middle is.
type Weights = ([i16; 3], i16);

const BRIGHTNESS: Weights = ([9798, 19235, 3735], 0);
const BLUE: Weights = ([-5529, -10855, 16384], 128);
const RED: Weights = ([16384, -13720, -2664], 128);

/// A component of sixteen pixels.
#[inline(always)]
fn component(pixels: [u8x16; 3], weights: Weights) -> [u8; 16] {
    let low = weigh(pixels.map(|samples| widen_low(samples) << 6), weights);
    let high = weigh(pixels.map(|samples| widen_high(samples) << 6), weights);
    u8x16::narrow_i16x8(low, high).to_array()
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
