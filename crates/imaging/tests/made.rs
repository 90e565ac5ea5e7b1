//! Prints of pictures that are made here, of every kind that people send.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use support::{Exif, Picture, jpeg, jpeg_decoded, png_decoded, png_of, webp_decoded};
use tirage_imaging::{Encoding, Error, Format, Limits, Prints, Taken, Variant, print};

fn prints(file: &[u8], variants: &[&str]) -> Result<Prints, Error> {
    let variants = Variant::parse_all(variants.iter().copied()).unwrap();
    print(file, &variants, &Limits::default())
}

/// The pixels of the only print.
fn printed(file: &[u8]) -> Picture {
    let prints = prints(file, &["x:4000:png"]).unwrap();
    png_decoded(&prints.variants[0].file)
}

#[test]
fn a_photo_gets_its_four_prints_in_their_order() {
    let prints = prints(&jpeg(&Picture::gradient(2400, 1600), &[]), &[]).unwrap();
    let got: Vec<_> = prints
        .variants
        .iter()
        .map(|print| (print.name.as_str(), print.format, print.width, print.height))
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
    for print in &prints.variants {
        let decoded = match print.format {
            Format::Jpeg => jpeg_decoded(&print.file),
            _ => webp_decoded(&print.file),
        };
        let wanted = Picture::gradient(print.width, print.height);
        assert!(decoded.mean_difference(&wanted) < 2.0, "{}", print.name);
    }
    // SOF2: progressive (T.81, table B.1).
    assert!(
        prints.variants[3]
            .file
            .windows(2)
            .any(|marker| marker == [0xff, 0xc2])
    );
}

#[test]
fn no_print_is_larger_than_the_picture() {
    let prints = prints(&jpeg(&Picture::gradient(100, 60), &[]), &[]).unwrap();
    assert!(
        prints
            .variants
            .iter()
            .all(|print| (print.width, print.height) == (100, 60))
    );
}

#[test]
fn without_any_variant_there_is_still_metadata() {
    let file = jpeg(&Picture::gradient(64, 32), &[]);
    let prints = print(&file, &[], &Limits::default()).unwrap();
    assert!(prints.variants.is_empty());
    assert_eq!((prints.metadata.width, prints.metadata.height), (64, 32));
    assert!(!prints.metadata.blurhash.is_empty() && !prints.metadata.thumbhash.is_empty());
}

#[test]
fn all_eight_orientations_come_upright() {
    let upright = Picture::quarters(48, 32);
    for orientation in 1..=8 {
        let stored = upright.stored_as(orientation);
        let exif = Exif::new().orientation(orientation).bytes();
        let prints = prints(&jpeg(&stored, &[(1, &exif)]), &["x:24:png"]).unwrap();
        assert_eq!((prints.metadata.width, prints.metadata.height), (48, 32));
        assert_eq!(
            (prints.metadata.stored_width, prints.metadata.stored_height),
            (stored.width, stored.height)
        );
        let printed = png_decoded(&prints.variants[0].file);
        assert_eq!((printed.width, printed.height), (24, 16), "{orientation}");
        let difference = printed.mean_difference(&Picture::quarters(24, 16));
        assert!(difference < 6.0, "{orientation}: {difference}");
    }
}

#[test]
fn prints_carry_no_metadata() {
    let exif = Exif::new().orientation(6).position(52.5, 13.4).bytes();
    let file = jpeg(&Picture::gradient(64, 64), &[(1, &exif)]);
    let variants = ["a:32:jpeg", "b:32:webp", "c:32:png", "d:32:webp-lossless"];
    for print in prints(&file, &variants).unwrap().variants {
        for trace in [
            &b"Exif"[..],
            b"EXIF",
            b"eXIf",
            b"ICC_PROFILE",
            b"iCCP",
            b"II*\0",
        ] {
            assert!(!print.file.windows(trace.len()).any(|part| part == trace));
        }
    }
}

#[test]
fn what_the_camera_wrote_is_told_and_its_position_apart() {
    let exif = Exif::new()
        .text(0x010f, "Maker\0  ")
        .text(0x0110, "Model 1")
        .taken("2024:02:29 23:59:58", Some("-03:30"))
        .position(-33.5, -70.25)
        .bytes();
    let prints = prints(&jpeg(&Picture::gradient(16, 16), &[(1, &exif)]), &[]).unwrap();
    let camera = &prints.metadata.camera;
    assert_eq!(camera.make.as_deref(), Some("Maker"));
    assert_eq!(camera.model.as_deref(), Some("Model 1"));
    assert_eq!(
        camera.taken,
        Some(Taken::At("2024-02-29T23:59:58-03:30".into()))
    );
    let position = prints.position.unwrap();
    assert_eq!((position.latitude, position.longitude), (-33.5, -70.25));
    let json = serde_json::to_value(&prints.metadata).unwrap();
    assert_eq!(json["camera"]["taken_at"], "2024-02-29T23:59:58-03:30");
    assert!(!json.to_string().contains("33.5"));
}

#[test]
fn a_time_without_zone_is_told_apart() {
    let taken = |time, zone| {
        let exif = Exif::new().taken(time, zone).bytes();
        let file = jpeg(&Picture::gradient(8, 8), &[(1, &exif)]);
        prints(&file, &[]).unwrap().metadata.camera.taken
    };
    let local = Some(Taken::AtLocal("2024-01-02T03:04:05".into()));
    assert_eq!(taken("2024:01:02 03:04:05", None), local);
    assert_eq!(taken("2024:01:02 03:04:05", Some("nowhere")), local);
    assert_eq!(taken("2024:02:30 03:04:05", None), None);
    assert_eq!(taken("0000:00:00 00:00:00", None), None);
}

#[test]
fn broken_exif_costs_only_itself() {
    let good = Exif::new().orientation(6).text(0x0110, "Model").bytes();
    for cut in 0..good.len() {
        let file = jpeg(&Picture::gradient(8, 8), &[(1, &good[..cut])]);
        prints(&file, &["x:8:png"]).unwrap();
    }
}

#[test]
fn grey_stays_grey() {
    let picture = Picture::gradient(64, 48).grey();
    let prints = prints(
        &jpeg(&picture, &[]),
        &["a:32:jpeg", "b:32:webp", "c:32:png"],
    )
    .unwrap();
    let wanted = Picture::gradient(32, 24).grey().rgb();
    for (print, decoded) in [
        (0, jpeg_decoded(&prints.variants[0].file)),
        (1, webp_decoded(&prints.variants[1].file)),
        (2, png_decoded(&prints.variants[2].file)),
    ] {
        assert!(decoded.rgb().mean_difference(&wanted) < 3.0, "{print}");
    }
}

#[test]
fn inks_become_light() {
    // Adobe writes inks inverted: here all of cyan, a half of black.
    let file = support::cmyk_jpeg(16, 16, [255, 0, 0, 128]);
    let printed = printed(&file);
    let [r, g, b] = [0, 1, 2].map(|channel| printed.pixels[channel]);
    assert!(
        r < 5 && g.abs_diff(127) < 5 && b.abs_diff(127) < 5,
        "{r} {g} {b}"
    );
}

#[test]
fn wide_colours_become_srgb() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let picture = Picture::of_colour(16, 16, [200, 100, 50]);
    let file = png_of(
        &picture,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(&profile),
    );
    let prints = prints(&file, &["x:16:png"]).unwrap();
    assert!(prints.metadata.profile.is_some());
    let got = &png_decoded(&prints.variants[0].file).pixels[..3];
    // CSS Color 4, 10.7: color(display-p3 0.7843 0.3922 0.1961) in sRGB.
    for (got, wanted) in got.iter().zip([215, 95, 30]) {
        assert!(got.abs_diff(wanted) <= 3, "{got} {wanted}");
    }
}

#[test]
fn an_srgb_profile_changes_nothing() {
    let profile = moxcms::ColorProfile::new_srgb().encode().unwrap();
    let picture = Picture::gradient(32, 32);
    let file = png_of(
        &picture,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(&profile),
    );
    assert_eq!(printed(&file), picture);
}

#[test]
fn a_profile_that_is_none_changes_nothing() {
    let picture = Picture::gradient(32, 32);
    let file = png_of(
        &picture,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        Some(b"nonsense"),
    );
    assert_eq!(printed(&file), picture);
}

#[test]
fn png_of_any_depth_is_read() {
    let picture = Picture::gradient(32, 16);
    let deep: Vec<u8> = picture
        .pixels
        .iter()
        .flat_map(|sample| [*sample, 77])
        .collect();
    let deep = Picture {
        pixels: deep,
        ..picture.clone()
    };
    let file = png_of(&deep, png::ColorType::Rgb, png::BitDepth::Sixteen, None);
    assert_eq!(prints(&file, &[]).unwrap().metadata.bit_depth, 16);
    assert!(printed(&file).mean_difference(&picture) < 1.0);
    // One bit: black and white columns.
    let columns = Picture {
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
    assert_eq!(printed(&file).pixels, [0, 255].repeat(16));
    // A palette of which one colour is transparent.
    let file = support::palette_png(&[0, 1, 1, 0], &[[9, 8, 7], [1, 2, 3]], &[255, 0]);
    let palette = printed(&file);
    assert_eq!(palette.channels, 4);
    assert_eq!(palette.pixels[..4], [9, 8, 7, 255]);
    assert_eq!(palette.pixels[7], 0);
}

#[test]
fn transparency_stays_and_decides_the_format() {
    let clear = Picture::gradient(64, 64).with_alpha(|x, _| if x < 32 { 0 } else { 255 });
    let file = png_of(&clear, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let got = prints(&file, &["a:32:jpeg", "b:32:webp", "c:32:png"]).unwrap();
    assert!(got.metadata.transparency);
    assert_eq!(
        got.variants
            .iter()
            .map(|print| print.format)
            .collect::<Vec<_>>(),
        [Format::WebP, Format::WebP, Format::Png]
    );
    for print in &got.variants[..2] {
        let decoded = webp_decoded(&print.file);
        assert_eq!(decoded.channels, 4);
        assert_eq!((decoded.pixels[3], decoded.pixels[31 * 4 + 3]), (0, 255));
    }
    // An alpha channel that is opaque throughout is no transparency.
    let opaque = Picture::gradient(64, 64).with_alpha(|_, _| 255);
    let file = png_of(&opaque, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let got = prints(&file, &["a:32:jpeg"]).unwrap();
    assert!(!got.metadata.transparency);
    assert_eq!(got.variants[0].format, Format::Jpeg);
}

#[test]
fn hidden_colours_do_not_bleed() {
    let picture = Picture::of_colour(64, 64, [255, 0, 0])
        .with_alpha(|x, _| if x < 33 { 0 } else { 255 })
        .paint(|x, _| (x < 33).then_some([0, 255, 0, 0]));
    let file = png_of(&picture, png::ColorType::Rgba, png::BitDepth::Eight, None);
    let prints = prints(&file, &["x:16:png"]).unwrap();
    for pixel in png_decoded(&prints.variants[0].file).pixels.chunks_exact(4) {
        assert!(
            pixel[3] < 8 || (pixel[0] > 240 && pixel[1] < 16),
            "{pixel:?}"
        );
    }
}

#[test]
fn of_an_animation_the_first_frame_is_printed() {
    let file = support::animated_gif(20, 10, &[[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
    let prints = prints(&file, &["x:20:png"]).unwrap();
    assert_eq!(prints.metadata.frames, 3);
    assert_eq!(
        png_decoded(&prints.variants[0].file).pixels[..3],
        [255, 0, 0]
    );
    // All frames count.
    let limits = Limits {
        pixels: 599,
        ..Limits::default()
    };
    assert_eq!(
        print(&file, &[], &limits),
        Err(Error::TooManyPixels {
            pixels: 600,
            limit: 599
        })
    );
}

#[test]
fn webp_is_read_lossy_and_lossless() {
    let picture = Picture::gradient(60, 40);
    for variant in ["x:60:webp:90", "x:60:webp-lossless"] {
        let webp = &prints(&jpeg(&picture, &[]), &[variant]).unwrap().variants[0].file;
        assert_eq!(Format::of(webp), Ok(Format::WebP));
        assert!(printed(webp).mean_difference(&picture) < 3.0, "{variant}");
    }
}

#[test]
fn limits_are_said_with_what_they_are() {
    let file = jpeg(&Picture::gradient(100, 100), &[]);
    let limited = |limits: Limits| print(&file, &Variant::defaults(), &limits).unwrap_err();
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
        "the picture has 10000 pixels in all, and 9999 are allowed"
    );
    let error = limited(Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    });
    assert!(matches!(error, Error::TooMuchMemory { needed, limit: 0x10_0000 } if needed > 1 << 20));
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_memory_is_taken() {
    // 16 384 x 16 384 pixels of 8 bytes would be 2 GiB.
    let picture = Picture {
        width: 1,
        height: 1,
        channels: 4,
        pixels: vec![0; 8],
    };
    let mut file = png_of(&picture, png::ColorType::Rgba, png::BitDepth::Sixteen, None);
    file[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    support::mend_png_checksum(&mut file, 8);
    let limits = Limits {
        pixels: u64::MAX,
        ..Limits::default()
    };
    let error = print(&file, &Variant::defaults(), &limits).unwrap_err();
    assert!(matches!(error, Error::TooMuchMemory { .. }), "{error}");
    assert!(matches!(
        prints(&file, &[]),
        Err(Error::TooManyPixels { .. })
    ));
}

#[test]
fn the_same_bytes_give_the_same_prints() {
    let file = jpeg(&Picture::gradient(300, 200), &[]);
    assert_eq!(prints(&file, &[]), prints(&file, &[]));
}

#[test]
fn qualities_are_obeyed() {
    let file = jpeg(&Picture::noise(200, 200), &[]);
    for encoding in ["jpeg", "webp"] {
        let variants = [30, 90].map(|quality| format!("x:200:{encoding}:{quality}"));
        let [low, high] =
            variants.map(|variant| prints(&file, &[&variant]).unwrap().variants[0].file.len());
        assert!(low * 3 < high * 2, "{encoding}: {low} {high}");
    }
    let lossless = Variant::new("x", 200, Encoding::WebPLossless).unwrap();
    let webp = &print(&file, &[lossless], &Limits::default())
        .unwrap()
        .variants[0]
        .file;
    assert_eq!(webp_decoded(webp), printed(&file));
}

#[test]
fn avif_is_read_with_its_opacity() {
    let prints = prints(support::AVIF, &["x:8:png", "y:8:jpeg"]).unwrap();
    assert!(prints.metadata.transparency);
    assert_eq!(prints.variants[1].format, Format::WebP);
    let picture = png_decoded(&prints.variants[0].file);
    assert_eq!((picture.width, picture.height, picture.channels), (8, 4, 4));
    let pixel = |x: usize, y: usize| &picture.pixels[(y * 8 + x) * 4..][..4];
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

#[test]
fn prints_that_are_kept_count_as_memory() {
    let file = jpeg(&Picture::gradient(600, 400), &[]);
    let limits = Limits {
        memory_bytes: 40 << 20,
        ..Limits::default()
    };
    let prints = |count: usize| {
        let variants: Vec<_> = (0..count).map(|n| format!("n{n}:600:jpeg:100")).collect();
        let variants = Variant::parse_all(variants.iter().map(String::as_str)).unwrap();
        print(&file, &variants, &limits)
    };
    assert!(prints(10).is_ok());
    assert!(matches!(prints(40), Err(Error::TooMuchMemory { .. })));
}
