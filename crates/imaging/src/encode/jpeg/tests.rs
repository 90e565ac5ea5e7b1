//! Tests of the encoder, with `jpeg-decoder` and our own decoder.

use super::{Scan, encode, encode_as};
use crate::bitmap::{Bitmap, Channels};
use crate::decode::{Plan, decode};
use crate::header::Header;
use crate::jpeg::marker::{SOF0, SOF2, SOS};
use crate::jpeg::testing::{decode_with_reference, mean_difference};
use crate::limits::Limits;

/// Start of frame: extended sequential.
const SOF1: u8 = 0xc1;

/// A test image like a photo: gradients, edges and grain.
fn test_image(width: u32, height: u32, channels: Channels) -> Bitmap {
    let count = channels.count();
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let grain = ((x * 0x9e37) ^ (y * 0x79b9)).wrapping_mul(0x85eb_ca6b) >> 28;
        let edge = if (x / 13 + y / 9) % 4 == 0 { 60 } else { 0 };
        let rgba = [
            x * 150 / width + grain + edge,
            y * 200 / height + grain,
            40 + (x + y) % 50,
            255,
        ];
        pixels.extend(rgba[..count].iter().map(|&sample| sample.min(255) as u8));
    }
    Bitmap::new(width, height, channels, pixels).unwrap()
}

fn decode_with_ours(file: &[u8]) -> Vec<u8> {
    let header = Header::read(file, &Limits::default()).unwrap();
    let plan = Plan::new(&header, header.width, header.height);
    decode(file, &header, plan).unwrap().pixels().to_vec()
}

#[test]
fn another_decoder_reads_the_image() {
    for (width, height) in [(1, 1), (7, 9), (16, 16), (33, 50), (120, 81)] {
        for channels in [Channels::Grey, Channels::Rgb] {
            let image = test_image(width, height, channels);
            for (quality, most) in [(95, 3.0), (85, 8.0), (30, 16.0)] {
                let file = encode(&image, quality).unwrap();
                let difference = mean_difference(&decode_with_reference(&file), image.pixels());
                assert!(
                    difference < most,
                    "{width} x {height}, {quality}: {difference}"
                );
            }
        }
    }
}

#[test]
fn all_scan_scripts_decode_to_the_same_image() {
    let apart = || {
        [0, 1, 2]
            .map(|component| Scan::new([component], (0, 63), (0, 0)))
            .into()
    };
    for (width, height) in [(9, 5), (64, 48), (201, 155)] {
        for quality in [20, 80, 95] {
            let colour = test_image(width, height, Channels::Rgb);
            let grey = test_image(width, height, Channels::Grey);
            let same = [
                encode_as(SOF0, Scan::sequential(true), &colour, quality),
                encode_as(SOF2, Scan::progressive(true), &colour, quality),
                encode_as(SOF1, apart(), &colour, quality),
            ];
            let same_grey = [
                encode_as(SOF0, Scan::sequential(false), &grey, quality),
                encode_as(SOF2, Scan::progressive(false), &grey, quality),
            ];
            for files in [&same[..], &same_grey] {
                let files: Vec<_> = files.iter().map(|file| file.as_ref().unwrap()).collect();
                for decoder in [decode_with_reference, decode_with_ours] {
                    let first = decoder(files[0]);
                    assert!(files.iter().all(|file| decoder(file) == first));
                }
            }
        }
    }
}

#[test]
fn eob_runs_longer_than_the_maximum_are_split() {
    // More blocks than an EOB run can have, and a nonzero one at the end.
    let mut pixels = vec![77; 2048 * 1032];
    for (index, pixel) in pixels.iter_mut().rev().take(3).enumerate() {
        *pixel = index as u8 * 80;
    }
    let bitmap = Bitmap::new(2048, 1032, Channels::Grey, pixels).unwrap();
    let file = encode(&bitmap, 90).unwrap();
    let decoded = decode_with_reference(&file);
    assert!(mean_difference(&decoded, bitmap.pixels()) < 0.1);
    assert_eq!(decoded, decode_with_ours(&file));
}

#[test]
fn progressive_is_smaller_than_sequential() {
    let image = test_image(400, 300, Channels::Rgb);
    let size = |kind, scans| encode_as(kind, scans, &image, 80).unwrap().len();
    let (sequential, progressive) = (
        size(SOF0, Scan::sequential(true)),
        size(SOF2, Scan::progressive(true)),
    );
    assert!(progressive < sequential, "{progressive}, {sequential}");
}

/// Changes the content of each scan header; its length stays the same.
fn with_scan_headers(file: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut changed = file.to_vec();
    for at in 0..file.len() - 4 {
        if let [0xff, SOS, high, low] = file[at..at + 4] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            change(&mut changed[at + 4..at + 2 + length]);
        }
    }
    changed
}

#[test]
fn dc_scans_may_have_one_component() {
    let image = test_image(70, 45, Channels::Rgb);
    let mut scans: Vec<Scan> = Vec::new();
    scans.extend([0, 1, 2].map(|component| Scan::new([component], (0, 0), (0, 0))));
    scans.extend([2, 0, 1].map(|component| Scan::new([component], (1, 63), (0, 0))));
    let file = encode_as(SOF2, scans, &image, 85).unwrap();
    let together = encode_as(SOF0, Scan::sequential(true), &image, 85).unwrap();
    assert_eq!(decode_with_ours(&file), decode_with_ours(&together));
}

#[test]
fn spectral_selection_of_sequential_scans_is_ignored() {
    let image = test_image(70, 45, Channels::Rgb);
    let apart = [0, 1, 2].map(|component| Scan::new([component], (0, 63), (0, 0)));
    for scans in [Vec::from(apart), Scan::sequential(true)] {
        let file = encode_as(SOF1, scans, &image, 85).unwrap();
        let odd = with_scan_headers(&file, |header| {
            let end = header.len();
            header[end - 3..].copy_from_slice(&[0, 0, 0x21]);
        });
        assert_ne!(odd, file);
        assert_eq!(decode_with_ours(&odd), decode_with_ours(&file));
    }
}

#[test]
fn components_may_share_an_identifier() {
    let image = test_image(70, 45, Channels::Rgb);
    let file = encode_as(SOF0, Scan::sequential(true), &image, 85).unwrap();
    let mut same = with_scan_headers(&file, |header| {
        for component in 0..3 {
            header[1 + 2 * component] = 1;
        }
    });
    let frame = same
        .windows(2)
        .position(|pair| pair == [0xff, SOF0])
        .unwrap();
    for component in 0..3 {
        same[frame + 10 + 3 * component] = 1;
    }
    assert_eq!(decode_with_ours(&same), decode_with_ours(&file));
}

#[test]
fn jfif_takes_precedence_over_adobe() {
    let image = test_image(70, 45, Channels::Rgb);
    let file = encode(&image, 85).unwrap();
    let adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    let (start, rest) = file.split_at(2);
    let before_jfif = [start, adobe, rest].concat();
    assert_eq!(decode_with_ours(&before_jfif), decode_with_ours(&file));
    // Without JFIF, the Adobe segment decides, as in libjpeg: RGB.
    let without_jfif = [start, adobe, &rest[18..]].concat();
    assert_ne!(decode_with_ours(&without_jfif), decode_with_ours(&file));
}

#[test]
fn an_image_with_too_many_scans_is_refused() {
    let image = test_image(16, 16, Channels::Grey);
    let refused = |count: usize| {
        let mut scans = vec![Scan::new([0], (0, 0), (0, 1))];
        scans.extend((0..count).map(|_| Scan::new([0], (0, 0), (1, 0))));
        let file = encode_as(SOF2, scans, &image, 80).unwrap();
        let header = Header::read(&file, &Limits::default()).unwrap();
        decode(&file, &header, Plan::new(&header, 16, 16)).is_err()
    };
    assert!(!refused(50));
    assert!(refused(200));
}
