//! Tests with generated images of every supported kind.

#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use support::{Exif, TestImage, jpeg, jpeg_decoded, png_decoded, png_of, webp_decoded};
use tirage_imaging::{
    CaptureTime, Encoding, Error, Format, Limits, Processed, VariantSpec, process,
};

fn process_with(file: &[u8], variants: &[&str]) -> Result<Processed, Error> {
    let variants = VariantSpec::parse_all(variants.iter().copied()).unwrap();
    process(file, &variants, &Limits::default())
}

/// Processes a file into one PNG, and returns its pixels.
fn output_of(file: &[u8]) -> TestImage {
    let processed = process_with(file, &["x:4000:png"]).unwrap();
    png_decoded(&processed.variants[0].file)
}

#[test]
fn a_photo_gets_the_default_variants_in_order() {
    let processed = process_with(&jpeg(&TestImage::gradient(2400, 1600), &[]), &[]).unwrap();
    let got: Vec<_> = processed
        .variants
        .iter()
        .map(|variant| {
            (
                variant.name.as_str(),
                variant.format,
                variant.width,
                variant.height,
            )
        })
        .collect();
    assert_eq!(
        got,
        [
            ("thumb", Format::WebP, 320, 213),
            ("small", Format::WebP, 640, 427),
            ("display", Format::Jpeg, 1600, 1067),
            ("large", Format::Jpeg, 2048, 1365),
        ]
    );
    for variant in &processed.variants {
        let decoded = match variant.format {
            Format::Jpeg => jpeg_decoded(&variant.file),
            _ => webp_decoded(&variant.file),
        };
        let wanted = TestImage::gradient(variant.width, variant.height);
        assert!(decoded.mean_difference(&wanted) < 2.0, "{}", variant.name);
    }
    // SOF2: progressive (T.81, table B.1).
    assert!(
        processed.variants[3]
            .file
            .windows(2)
            .any(|marker| marker == [0xff, 0xc2])
    );
}

#[test]
fn no_variant_is_larger_than_the_original() {
    let processed = process_with(&jpeg(&TestImage::gradient(100, 60), &[]), &[]).unwrap();
    assert!(
        processed
            .variants
            .iter()
            .all(|variant| (variant.width, variant.height) == (100, 60))
    );
}

#[test]
fn metadata_needs_no_variant() {
    let file = jpeg(&TestImage::gradient(64, 32), &[]);
    let processed = process(&file, &[], &Limits::default()).unwrap();
    assert!(processed.variants.is_empty());
    assert_eq!(
        (processed.metadata.width, processed.metadata.height),
        (64, 32)
    );
    assert!(!processed.metadata.blurhash.is_empty() && !processed.metadata.thumbhash.is_empty());
}

#[test]
fn all_eight_orientations_become_upright() {
    let upright = TestImage::quarters(48, 32);
    for orientation in 1..=8 {
        let stored = upright.stored_as(orientation);
        let exif = Exif::new().orientation(orientation).bytes();
        let processed = process_with(&jpeg(&stored, &[(1, &exif)]), &["x:24:png"]).unwrap();
        assert_eq!(
            (processed.metadata.width, processed.metadata.height),
            (48, 32)
        );
        assert_eq!(
            (
                processed.metadata.stored_width,
                processed.metadata.stored_height
            ),
            (stored.width, stored.height)
        );
        let output = png_decoded(&processed.variants[0].file);
        assert_eq!((output.width, output.height), (24, 16), "{orientation}");
        let difference = output.mean_difference(&TestImage::quarters(24, 16));
        assert!(difference < 6.0, "{orientation}: {difference}");
    }
}

#[test]
fn variants_carry_no_metadata() {
    let exif = Exif::new().orientation(6).position(52.5, 13.4).bytes();
    let file = jpeg(&TestImage::gradient(64, 64), &[(1, &exif)]);
    let variants = ["a:32:jpeg", "b:32:webp", "c:32:png", "d:32:webp-lossless"];
    for variant in process_with(&file, &variants).unwrap().variants {
        for trace in [
            &b"Exif"[..],
            b"EXIF",
            b"eXIf",
            b"ICC_PROFILE",
            b"iCCP",
            b"II*\0",
        ] {
            assert!(!variant.file.windows(trace.len()).any(|part| part == trace));
        }
    }
}

#[test]
fn camera_metadata_is_separate_from_the_position() {
    let exif = Exif::new()
        .text(0x010f, "Maker\0  ")
        .text(0x0110, "Model 1")
        .taken("2024:02:29 23:59:58", Some("-03:30"))
        .position(-33.5, -70.25)
        .bytes();
    let processed = process_with(&jpeg(&TestImage::gradient(16, 16), &[(1, &exif)]), &[]).unwrap();
    let camera = &processed.metadata.camera;
    assert_eq!(camera.make.as_deref(), Some("Maker"));
    assert_eq!(camera.model.as_deref(), Some("Model 1"));
    assert_eq!(
        camera.capture_time,
        Some(CaptureTime::WithOffset("2024-02-29T23:59:58-03:30".into()))
    );
    let position = processed.position.unwrap();
    assert_eq!((position.latitude, position.longitude), (-33.5, -70.25));
    let json = serde_json::to_value(&processed.metadata).unwrap();
    assert_eq!(json["camera"]["taken_at"], "2024-02-29T23:59:58-03:30");
    assert!(!json.to_string().contains("33.5"));
}

#[test]
fn a_time_without_zone_is_local() {
    let taken = |time, zone| {
        let exif = Exif::new().taken(time, zone).bytes();
        let file = jpeg(&TestImage::gradient(8, 8), &[(1, &exif)]);
        process_with(&file, &[])
            .unwrap()
            .metadata
            .camera
            .capture_time
    };
    let local = Some(CaptureTime::Local("2024-01-02T03:04:05".into()));
    assert_eq!(taken("2024:01:02 03:04:05", None), local);
    assert_eq!(taken("2024:01:02 03:04:05", Some("nowhere")), local);
    assert_eq!(taken("2024:02:30 03:04:05", None), None);
    assert_eq!(taken("0000:00:00 00:00:00", None), None);
}

#[test]
fn broken_exif_is_ignored() {
    let good = Exif::new().orientation(6).text(0x0110, "Model").bytes();
    for cut in 0..good.len() {
        let file = jpeg(&TestImage::gradient(8, 8), &[(1, &good[..cut])]);
        process_with(&file, &["x:8:png"]).unwrap();
    }
}

#[test]
fn grey_stays_grey() {
    let image = TestImage::gradient(64, 48).grey();
    let processed =
        process_with(&jpeg(&image, &[]), &["a:32:jpeg", "b:32:webp", "c:32:png"]).unwrap();
    let wanted = TestImage::gradient(32, 24).grey().rgb();
    for (variant, decoded) in [
        (0, jpeg_decoded(&processed.variants[0].file)),
        (1, webp_decoded(&processed.variants[1].file)),
        (2, png_decoded(&processed.variants[2].file)),
    ] {
        assert!(decoded.rgb().mean_difference(&wanted) < 3.0, "{variant}");
    }
}

#[test]
fn cmyk_becomes_rgb() {
    // Adobe writes CMYK inverted: here full cyan and half black.
    let file = support::cmyk_jpeg(16, 16, [255, 0, 0, 128]);
    let output = output_of(&file);
    let [r, g, b] = [0, 1, 2].map(|channel| output.pixels[channel]);
    assert!(
        r < 5 && g.abs_diff(127) < 5 && b.abs_diff(127) < 5,
        "{r} {g} {b}"
    );
}

#[test]
fn wide_gamut_colours_become_srgb() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let image = TestImage::of_colour(16, 16, [200, 100, 50]);
    let file = png_of(
        &image,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(&profile),
    );
    let processed = process_with(&file, &["x:16:png"]).unwrap();
    assert!(processed.metadata.profile.is_some());
    let got = &png_decoded(&processed.variants[0].file).pixels[..3];
    // CSS Color 4, 10.7: color(display-p3 0.7843 0.3922 0.1961) in sRGB.
    for (got, wanted) in got.iter().zip([215, 95, 30]) {
        assert!(got.abs_diff(wanted) <= 3, "{got} {wanted}");
    }
}

#[test]
fn an_srgb_profile_changes_nothing() {
    let profile = moxcms::ColorProfile::new_srgb().encode().unwrap();
    let image = TestImage::gradient(32, 32);
    let file = png_of(
        &image,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(&profile),
    );
    assert_eq!(output_of(&file), image);
}

#[test]
fn an_invalid_profile_is_ignored() {
    let image = TestImage::gradient(32, 32);
    let file = png_of(
        &image,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(b"nonsense"),
    );
    assert_eq!(output_of(&file), image);
}

#[test]
fn png_of_any_bit_depth_is_decoded() {
    let image = TestImage::gradient(32, 16);
    let deep: Vec<u8> = image
        .pixels
        .iter()
        .flat_map(|sample| [*sample, 77])
        .collect();
    let deep = TestImage {
        pixels: deep,
        ..image.clone()
    };
    let file = png_of(&deep, png::ColorType::Rgb, png::BitDepth::Sixteen, None);
    assert_eq!(process_with(&file, &[]).unwrap().metadata.bit_depth, 16);
    assert!(output_of(&file).mean_difference(&image) < 1.0);
    // One bit: black and white columns.
    let columns = TestImage {
        width: 16,
        height: 2,
        channels: 1,
        pixels: vec![0x55; 4],
    };
    let file = png_of(
        &columns,
        png::ColorType::Grayscale,
        png::BitDepth::One,
        None,
    );
    assert_eq!(output_of(&file).pixels, [0, 255].repeat(16));
    // A palette with one transparent colour.
    let file = support::palette_png(&[0, 1, 1, 0], &[[9, 8, 7], [1, 2, 3]], &[255, 0]);
    let palette = output_of(&file);
    assert_eq!(palette.channels, 4);
    assert_eq!(palette.pixels[..4], [9, 8, 7, 255]);
    assert_eq!(palette.pixels[7], 0);
}

#[test]
fn transparency_is_kept_and_decides_the_format() {
    let clear = TestImage::gradient(64, 64).with_alpha(|x, _| if x < 32 { 0 } else { 255 });
    let file = png_of(&clear, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let got = process_with(&file, &["a:32:jpeg", "b:32:webp", "c:32:png"]).unwrap();
    assert!(got.metadata.transparency);
    assert_eq!(
        got.variants
            .iter()
            .map(|variant| variant.format)
            .collect::<Vec<_>>(),
        [Format::WebP, Format::WebP, Format::Png]
    );
    for variant in &got.variants[..2] {
        let decoded = webp_decoded(&variant.file);
        assert_eq!(decoded.channels, 4);
        assert_eq!((decoded.pixels[3], decoded.pixels[31 * 4 + 3]), (0, 255));
    }
    // An opaque alpha channel isn't transparency.
    let opaque = TestImage::gradient(64, 64).with_alpha(|_, _| 255);
    let file = png_of(&opaque, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let got = process_with(&file, &["a:32:jpeg"]).unwrap();
    assert!(!got.metadata.transparency);
    assert_eq!(got.variants[0].format, Format::Jpeg);
}

#[test]
fn colours_of_transparent_pixels_do_not_bleed() {
    let image = TestImage::of_colour(64, 64, [255, 0, 0])
        .with_alpha(|x, _| if x < 33 { 0 } else { 255 })
        .paint(|x, _| (x < 33).then_some([0, 255, 0, 0]));
    let file = png_of(&image, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let processed = process_with(&file, &["x:16:png"]).unwrap();
    for pixel in png_decoded(&processed.variants[0].file)
        .pixels
        .chunks_exact(4)
    {
        assert!(
            pixel[3] < 8 || (pixel[0] > 240 && pixel[1] < 16),
            "{pixel:?}"
        );
    }
}

#[test]
fn the_first_frame_of_an_animation_is_used() {
    let file = support::animated_gif(20, 10, &[[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
    let processed = process_with(&file, &["x:20:png"]).unwrap();
    assert_eq!(processed.metadata.frames, 3);
    assert_eq!(
        png_decoded(&processed.variants[0].file).pixels[..3],
        [255, 0, 0]
    );
    // The limit applies to all frames together.
    let limits = Limits {
        pixels: 599,
        ..Limits::default()
    };
    assert_eq!(
        process(&file, &[], &limits),
        Err(Error::TooManyPixels {
            pixels: 600,
            limit: 599
        })
    );
}

#[test]
fn webp_is_decoded_lossy_and_lossless() {
    let image = TestImage::gradient(60, 40);
    for variant in ["x:60:webp:90", "x:60:webp-lossless"] {
        let webp = &process_with(&jpeg(&image, &[]), &[variant])
            .unwrap()
            .variants[0]
            .file;
        assert_eq!(Format::detect(webp), Ok(Format::WebP));
        assert!(output_of(webp).mean_difference(&image) < 3.0, "{variant}");
    }
}

#[test]
fn the_same_bytes_give_the_same_variants() {
    let file = jpeg(&TestImage::gradient(300, 200), &[]);
    assert_eq!(process_with(&file, &[]), process_with(&file, &[]));
}

#[test]
fn quality_determines_the_size() {
    let file = jpeg(&TestImage::noise(200, 200), &[]);
    for encoding in ["jpeg", "webp"] {
        let variants = [30, 90].map(|quality| format!("x:200:{encoding}:{quality}"));
        let [low, high] = variants.map(|variant| {
            process_with(&file, &[&variant]).unwrap().variants[0]
                .file
                .len()
        });
        assert!(low * 3 < high * 2, "{encoding}: {low} {high}");
    }
    let lossless = VariantSpec::new("x", 200, Encoding::WebPLossless).unwrap();
    let webp = &process(&file, &[lossless], &Limits::default())
        .unwrap()
        .variants[0]
        .file;
    assert_eq!(webp_decoded(webp), output_of(&file));
}

#[test]
fn avif_is_decoded_with_alpha() {
    let processed = process_with(support::AVIF, &["x:8:png", "y:8:jpeg"]).unwrap();
    assert!(processed.metadata.transparency);
    assert_eq!(processed.variants[1].format, Format::WebP);
    let image = png_decoded(&processed.variants[0].file);
    assert_eq!((image.width, image.height, image.channels), (8, 4, 4));
    let pixel = |x: usize, y: usize| &image.pixels[(y * 8 + x) * 4..][..4];
    for (at, wanted) in [((1, 0), [220, 40, 30]), ((6, 0), [20, 40, 210])] {
        let pixel = pixel(at.0, at.1);
        let near = pixel
            .iter()
            .zip(wanted)
            .all(|(got, wanted)| got.abs_diff(wanted) < 12);
        assert!(near, "{pixel:?} {wanted:?}");
    }
    assert!(pixel(1, 0)[3] > 240 && pixel(1, 3)[3] < 15);
}
