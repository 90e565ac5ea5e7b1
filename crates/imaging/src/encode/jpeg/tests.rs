//! What is written is read by a decoder that isn't ours, and by ours.

use super::{Scan, encode, encode_as};
use crate::bitmap::{Bitmap, Channels};
use crate::decode::{Plan, decode};
use crate::header::Header;
use crate::jpeg::testing::{decoded_by_another, mean_difference};
use crate::limits::Limits;

/// Something like a photo: slopes, edges and grain.
fn picture(width: u32, height: u32, channels: Channels) -> Bitmap {
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

fn decoded_by_ours(file: &[u8]) -> Vec<u8> {
    let header = Header::read(file, &Limits::default()).unwrap();
    let plan = Plan::new(&header, header.width, header.height);
    decode(file, &header, plan).unwrap().pixels().to_vec()
}

#[test]
fn another_decoder_sees_the_picture() {
    for (width, height) in [(1, 1), (7, 9), (16, 16), (33, 50), (120, 81)] {
        for channels in [Channels::Grey, Channels::Rgb] {
            let picture = picture(width, height, channels);
            for (quality, most) in [(95, 3.0), (85, 8.0), (30, 16.0)] {
                let file = encode(&picture, quality).unwrap();
                let difference = mean_difference(&decoded_by_another(&file), picture.pixels());
                assert!(
                    difference < most,
                    "{width} x {height}, {quality}: {difference}"
                );
            }
        }
    }
}

#[test]
fn every_order_of_scans_is_the_same_picture() {
    let apart = || {
        [0, 1, 2]
            .map(|component| Scan::new([component], (0, 63), (0, 0)))
            .into()
    };
    for (width, height) in [(9, 5), (64, 48), (201, 155)] {
        for quality in [20, 80, 95] {
            let colour = picture(width, height, Channels::Rgb);
            let grey = picture(width, height, Channels::Grey);
            let same = [
                encode_as(0xc0, Scan::sequential(true), &colour, quality),
                encode_as(0xc2, Scan::progressive(true), &colour, quality),
                encode_as(0xc1, apart(), &colour, quality),
            ];
            let same_grey = [
                encode_as(0xc0, Scan::sequential(false), &grey, quality),
                encode_as(0xc2, Scan::progressive(false), &grey, quality),
            ];
            for files in [&same[..], &same_grey] {
                let files: Vec<_> = files.iter().map(|file| file.as_ref().unwrap()).collect();
                for decoder in [decoded_by_another, decoded_by_ours] {
                    let first = decoder(files[0]);
                    assert!(files.iter().all(|file| decoder(file) == first));
                }
            }
        }
    }
}

#[test]
fn long_runs_of_blocks_without_detail_are_said_in_parts() {
    // More blocks than can end together, and one at the end that has some.
    let mut pixels = vec![77; 2048 * 1032];
    for (index, pixel) in pixels.iter_mut().rev().take(3).enumerate() {
        *pixel = index as u8 * 80;
    }
    let bitmap = Bitmap::new(2048, 1032, Channels::Grey, pixels).unwrap();
    let file = encode(&bitmap, 90).unwrap();
    let decoded = decoded_by_another(&file);
    assert!(mean_difference(&decoded, bitmap.pixels()) < 0.1);
    assert_eq!(decoded, decoded_by_ours(&file));
}

#[test]
fn a_progressive_picture_is_smaller() {
    let picture = picture(400, 300, Channels::Rgb);
    let size = |kind, scans| encode_as(kind, scans, &picture, 80).unwrap().len();
    let (sequential, progressive) = (
        size(0xc0, Scan::sequential(true)),
        size(0xc2, Scan::progressive(true)),
    );
    assert!(progressive < sequential, "{progressive}, {sequential}");
}

/// The same file with the bytes of each scan header changed, its marker and length not.
fn with_scan_headers(file: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut changed = file.to_vec();
    for at in 0..file.len() - 4 {
        if let [0xff, 0xda, high, low] = file[at..at + 4] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            change(&mut changed[at + 4..at + 2 + length]);
        }
    }
    changed
}

#[test]
fn means_may_come_one_component_at_a_time() {
    let picture = picture(70, 45, Channels::Rgb);
    let mut scans: Vec<Scan> = Vec::new();
    scans.extend([0, 1, 2].map(|component| Scan::new([component], (0, 0), (0, 0))));
    scans.extend([2, 0, 1].map(|component| Scan::new([component], (1, 63), (0, 0))));
    let file = encode_as(0xc2, scans, &picture, 85).unwrap();
    let together = encode_as(0xc0, Scan::sequential(true), &picture, 85).unwrap();
    assert_eq!(decoded_by_ours(&file), decoded_by_ours(&together));
}

#[test]
fn what_sequential_scans_say_of_coefficients_means_nothing() {
    let picture = picture(70, 45, Channels::Rgb);
    let apart = [0, 1, 2].map(|component| Scan::new([component], (0, 63), (0, 0)));
    for scans in [Vec::from(apart), Scan::sequential(true)] {
        let file = encode_as(0xc1, scans, &picture, 85).unwrap();
        let odd = with_scan_headers(&file, |header| {
            let end = header.len();
            header[end - 3..].copy_from_slice(&[0, 0, 0x21]);
        });
        assert_ne!(odd, file);
        assert_eq!(decoded_by_ours(&odd), decoded_by_ours(&file));
    }
}

#[test]
fn components_may_all_have_the_same_identifier() {
    let picture = picture(70, 45, Channels::Rgb);
    let file = encode_as(0xc0, Scan::sequential(true), &picture, 85).unwrap();
    let mut same = with_scan_headers(&file, |header| {
        for component in 0..3 {
            header[1 + 2 * component] = 1;
        }
    });
    let frame = same
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    for component in 0..3 {
        same[frame + 10 + 3 * component] = 1;
    }
    assert_eq!(decoded_by_ours(&same), decoded_by_ours(&file));
}

#[test]
fn jfif_beats_what_adobe_says() {
    let picture = picture(70, 45, Channels::Rgb);
    let file = encode(&picture, 85).unwrap();
    let adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    let (start, rest) = file.split_at(2);
    let before_jfif = [start, adobe, rest].concat();
    assert_eq!(decoded_by_ours(&before_jfif), decoded_by_ours(&file));
    // Without JFIF it is believed, as libjpeg does: three channels as they are.
    let without_jfif = [start, adobe, &rest[18..]].concat();
    assert_ne!(decoded_by_ours(&without_jfif), decoded_by_ours(&file));
}

#[test]
fn a_picture_of_very_many_scans_is_refused() {
    let picture = picture(16, 16, Channels::Grey);
    let refused = |count: usize| {
        let mut scans = vec![Scan::new([0], (0, 0), (0, 1))];
        scans.extend((0..count).map(|_| Scan::new([0], (0, 0), (1, 0))));
        let file = encode_as(0xc2, scans, &picture, 80).unwrap();
        let header = Header::read(&file, &Limits::default()).unwrap();
        decode(&file, &header, Plan::new(&header, 16, 16)).is_err()
    };
    assert!(!refused(50));
    assert!(refused(200));
}
