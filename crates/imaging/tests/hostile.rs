//! Tests with damaged files: each is processed or refused, and none causes a panic.

#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use support::{Exif, TestImage, animated_gif, jpeg, palette_png, png_of, progressive_jpeg};
use tirage_imaging::{Error, Limits, VariantSpec, process};

/// Deterministic pseudo-random numbers (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let image = TestImage::noise(40, 24);
    let exif = Exif::new().orientation(6).position(1.0, 2.0).bytes();
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let icc = [b"ICC_PROFILE\0\x01\x01", profile.as_slice()].concat();
    let webp = |variant| {
        let variants = VariantSpec::parse_all([variant]).unwrap();
        let processed = process(&jpeg(&image, &[]), &variants, &Limits::default()).unwrap();
        processed.variants[0].file.clone()
    };
    let rgba = image.with_alpha(|x, y| (x * y) as u8);
    vec![
        ("jpeg", jpeg(&image, &[(1, &exif), (2, &icc)])),
        ("grey jpeg", jpeg(&image.grey(), &[])),
        ("progressive jpeg", progressive_jpeg(&image)),
        ("cmyk jpeg", support::cmyk_jpeg(40, 24, [1, 2, 3, 4])),
        (
            "png",
            png_of(
                &rgba,
                png::ColorType::Rgba,
                png::BitDepth::Eight,
                Some(&profile),
            ),
        ),
        (
            "palette",
            palette_png(&[0, 1, 1], &[[1, 2, 3], [4, 5, 6]], &[9]),
        ),
        ("gif", animated_gif(16, 8, &[[1, 2, 3], [4, 5, 6]])),
        ("lossy webp", webp("x:40:webp")),
        ("lossless webp", webp("x:40:webp-lossless")),
        ("avif", support::AVIF.to_vec()),
    ]
}

fn try_to_process(file: &[u8]) -> Result<(), Error> {
    let variants = VariantSpec::parse_all(["a:8:webp", "b:30:jpeg"]).unwrap();
    let limits = Limits {
        pixels: 1_000_000,
        ..Limits::default()
    };
    process(file, &variants, &limits).map(|_| ())
}

#[test]
fn intact_files_are_processed() {
    for (name, file) in files() {
        assert_eq!(try_to_process(&file), Ok(()), "{name}");
    }
}

#[test]
fn changed_bytes_never_panic() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for (_, file) in files() {
        for _ in 0..400 {
            let mut changed = file.clone();
            for _ in 0..=numbers.next(4) {
                let at = numbers.next(changed.len());
                changed[at] = numbers.next(256) as u8;
            }
            // Both results are right.
            let _ = try_to_process(&changed);
        }
    }
}

#[test]
fn changed_headers_never_panic() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (_, file) in files() {
        for _ in 0..200 {
            let mut changed = file.clone();
            let at = numbers.next(changed.len().min(200));
            changed[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.next(5)];
            // A valid checksum, so that the PNG's header is parsed in spite of the change.
            if changed.starts_with(&file[..16]) && file.starts_with(b"\x89PNG") {
                support::fix_png_checksum(&mut changed, 8);
            }
            let _ = try_to_process(&changed);
        }
    }
}

#[test]
fn truncated_files_are_refused() {
    for (name, file) in files() {
        for cut in (0..file.len().saturating_sub(64)).step_by(file.len() / 40 + 1) {
            // A GIF's first frame may be intact although its second one is cut.
            if name == "gif" && cut > 40 {
                continue;
            }
            let error = try_to_process(&file[..cut]).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Broken { .. } | Error::NotAnImage | Error::UnsupportedFormat(_)
                ),
                "{name} cut at {cut}: {error}"
            );
        }
    }
}
