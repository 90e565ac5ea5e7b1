//! Tests of the limits on the file, the pixels and the memory of one image.

mod support;

use support::{TestImage, jpeg, png_of};
use tirage_imaging::{Error, Limits, VariantSpec, process};

#[test]
fn exceeded_limits_are_reported_with_their_values() {
    let file = jpeg(&TestImage::gradient(100, 100), &[]);
    let limited = |limits: Limits| process(&file, &VariantSpec::defaults(), &limits).unwrap_err();
    let limit = file.len() as u64 - 1;
    let error = limited(Limits {
        file_bytes: limit,
        ..Limits::default()
    });
    assert_eq!(
        error,
        Error::FileTooLarge {
            bytes: limit + 1,
            limit
        }
    );
    let error = limited(Limits {
        pixels: 9_999,
        ..Limits::default()
    });
    assert_eq!(
        error.to_string(),
        "the image has 10000 pixels in all frames, more than the limit of 9999"
    );
    let error = limited(Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    });
    assert!(matches!(error, Error::TooMuchMemory { needed, limit: 0x10_0000 } if needed > 1 << 20));
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_allocation() {
    // 16 384 x 16 384 pixels of 8 bytes would be 2 GiB.
    let image = TestImage {
        width: 1,
        height: 1,
        channels: 4,
        pixels: vec![0; 8],
    };
    let mut file = png_of(&image, png::ColorType::Rgba, png::BitDepth::Sixteen, None);
    file[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    support::fix_png_checksum(&mut file, 8);
    let limits = Limits {
        pixels: u64::MAX,
        ..Limits::default()
    };
    let error = process(&file, &VariantSpec::defaults(), &limits).unwrap_err();
    assert!(matches!(error, Error::TooMuchMemory { .. }), "{error}");
    assert!(matches!(
        process(&file, &VariantSpec::defaults(), &Limits::default()),
        Err(Error::TooManyPixels { .. })
    ));
}

#[test]
fn encoded_variants_count_as_memory() {
    let file = jpeg(&TestImage::gradient(600, 400), &[]);
    let limits = Limits {
        memory_bytes: 40 << 20,
        ..Limits::default()
    };
    let process_variants = |count: usize| {
        let variants: Vec<_> = (0..count).map(|n| format!("n{n}:600:jpeg:100")).collect();
        let variants = VariantSpec::parse_all(variants.iter().map(String::as_str)).unwrap();
        process(&file, &variants, &limits)
    };
    assert!(process_variants(10).is_ok());
    assert!(matches!(
        process_variants(40),
        Err(Error::TooMuchMemory { .. })
    ));
}
