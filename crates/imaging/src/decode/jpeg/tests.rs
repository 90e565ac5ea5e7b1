//! Tests of the decoder against `jpeg-decoder`.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::bitmap::{Bitmap, Channels};
use crate::decode::{Plan, decode};
use crate::error::Error;
use crate::header::Header;
use crate::jpeg::testing::{decode_with_reference, mean_difference};
use crate::limits::Limits;

/// A smooth image, whose colours change as slowly as its luma.
fn smooth(width: u32, height: u32, channels: usize) -> Vec<u8> {
    let wave = |at: u32, length: f64| (f64::from(at) / length).sin() * 60.0 + 128.0;
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let samples = [
            wave(x, 15.0),
            wave(y, 19.0),
            wave(x + y, 23.0),
            wave(x + 2 * y, 31.0),
        ];
        pixels.extend(samples[..channels].iter().map(|&sample| sample as u8));
    }
    pixels
}

fn file(
    (width, height): (u16, u16),
    colours: ColorType,
    set: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let channels = match colours {
        ColorType::Luma => 1,
        ColorType::Cmyk | ColorType::CmykAsYcck => 4,
        _ => 3,
    };
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 92);
    set(&mut encoder);
    let pixels = smooth(width.into(), height.into(), channels);
    encoder.encode(&pixels, width, height, colours).unwrap();
    file
}

/// Decodes with our decoder at a fraction of the size.
fn ours(file: &[u8], reduction: u32) -> Result<Bitmap, Error> {
    let header = Header::read(file, &Limits::default())?;
    let plan = Plan::new(&header, header.width / reduction, header.height / reduction);
    assert_eq!(plan.reduction, reduction);
    decode(file, &header, plan)
}

#[test]
fn every_sampling_factor_is_decoded() {
    use SamplingFactor::{F_1_1, F_1_2, F_1_4, F_2_1, F_2_2, F_2_4, F_4_1, F_4_2};
    for sampling in [F_1_1, F_2_1, F_1_2, F_2_2, F_4_1, F_4_2, F_1_4, F_2_4] {
        for size in [(64, 64), (1, 1), (17, 31), (95, 66)] {
            for is_progressive in [false, true] {
                let file = file(size, ColorType::Rgb, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(is_progressive);
                });
                let bitmap = ours(&file, 1).unwrap();
                assert_eq!(
                    (bitmap.width(), bitmap.height(), bitmap.channels()),
                    (size.0.into(), size.1.into(), Channels::Rgb)
                );
                let difference = mean_difference(bitmap.pixels(), &decode_with_reference(&file));
                // `jpeg-decoder` repeats chroma samples that are subsampled by 4; ours are filtered.
                assert!(difference < 2.5, "{sampling:?} {size:?}: {difference}");
            }
        }
    }
}

#[test]
fn every_colour_space_is_decoded() {
    for colours in [
        ColorType::Luma,
        ColorType::Rgb,
        ColorType::Cmyk,
        ColorType::CmykAsYcck,
    ] {
        let file = file((70, 50), colours, |_| ());
        let bitmap = ours(&file, 1).unwrap();
        let mut theirs = decode_with_reference(&file);
        if colours == ColorType::Cmyk || colours == ColorType::CmykAsYcck {
            assert_eq!(bitmap.channels(), Channels::Cmyk);
            assert!(mean_difference(bitmap.pixels(), &smooth(70, 50, 4)) < 2.0);
            continue;
        }
        theirs.truncate(bitmap.pixels().len());
        assert!(
            mean_difference(bitmap.pixels(), &theirs) < 1.0,
            "{colours:?}"
        );
    }
}

#[test]
fn restart_intervals_are_decoded() {
    for is_progressive in [false, true] {
        for interval in [1, 2, 3, 7, 100] {
            let file = file((150, 90), ColorType::Rgb, |encoder| {
                encoder.set_progressive(is_progressive);
                encoder.set_restart_interval(interval);
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
            });
            let bitmap = ours(&file, 1).unwrap();
            let difference = mean_difference(bitmap.pixels(), &decode_with_reference(&file));
            assert!(difference < 1.0, "every {interval}: {difference}");
        }
    }
}

#[test]
fn a_wrong_restart_marker_is_an_error() {
    let whole = file((150, 90), ColorType::Rgb, |encoder| {
        encoder.set_restart_interval(2)
    });
    let at = whole
        .windows(2)
        .position(|pair| pair == [0xff, 0xd3])
        .unwrap();
    let mut other = whole.clone();
    other[at + 1] = 0xd5;
    assert!(matches!(ours(&other, 1), Err(Error::Broken { .. })));
}

#[test]
fn a_scaled_image_is_the_mean_of_its_pixels() {
    use SamplingFactor::{F_1_1, F_2_1, F_2_2};
    for sampling in [F_1_1, F_2_1, F_2_2] {
        for (is_progressive, reduction) in
            [(false, 2), (false, 4), (false, 8), (true, 2), (true, 8)]
        {
            let file = file((240, 160), ColorType::Rgb, |encoder| {
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(is_progressive);
            });
            let bitmap = ours(&file, reduction).unwrap();
            let side = reduction as usize;
            let (width, height) = (240 / side, 160 / side);
            assert_eq!(
                (bitmap.width() as usize, bitmap.height() as usize),
                (width, height)
            );
            let whole = decode_with_reference(&file);
            let mut means = Vec::new();
            for (y, x, channel) in (0..height).flat_map(|y| {
                (0..width).flat_map(move |x| [0, 1, 2].map(|channel| (y, x, channel)))
            }) {
                let sum: usize = (0..side * side)
                    .map(|index| {
                        let (row, column) = (y * side + index / side, x * side + index % side);
                        usize::from(whole[(row * 240 + column) * 3 + channel])
                    })
                    .sum();
                means.push((sum / (side * side)) as u8);
            }
            let difference = mean_difference(bitmap.pixels(), &means);
            // Chroma that is subsampled in one direction only keeps half of the pixels in it.
            let most = if reduction == 8 { 4.0 } else { 1.5 };
            assert!(
                difference < most,
                "{sampling:?} by {reduction}: {difference}"
            );
        }
    }
}
