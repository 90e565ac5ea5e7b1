//! Tests with real files: the folder named by `TIRAGE_DATA`, or `shared/data` beside the repository.
//! Without it, these tests do nothing.

#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{TestImage, png_decoded};
use tirage_imaging::{Error, Limits, Processed, UnsupportedFormat, VariantSpec, process};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("TIRAGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// Processes each file of a folder.
fn folder(name: &str) -> Vec<(String, Result<Processed, Error>)> {
    let Some(folder) = data().map(|data| data.join(name)) else {
        return Vec::new();
    };
    let variants = VariantSpec::parse_all(["x:400:png"]).unwrap();
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let processed = process(&fs::read(path).unwrap(), &variants, &Limits::default());
            (name, processed)
        })
        .collect()
}

fn decoded_output(processed: &Result<Processed, Error>) -> TestImage {
    png_decoded(&processed.as_ref().unwrap().variants[0].file)
}

#[test]
fn all_orientations_look_alike() {
    let files = folder("orientation");
    let Some((_, first)) = files.first() else {
        return;
    };
    let first = decoded_output(first);
    for (name, processed) in &files {
        let difference = decoded_output(processed).mean_difference(&first);
        assert!(difference < 2.0, "{name}: {difference}");
    }
}

#[test]
fn photos_have_camera_metadata() {
    for (name, processed) in folder("photos") {
        if name.ends_with(".heic") {
            assert_eq!(
                processed,
                Err(Error::UnsupportedFormat(UnsupportedFormat::Heic))
            );
            continue;
        }
        let processed = processed.unwrap();
        assert!(processed.metadata.camera.model.is_some(), "{name}");
        assert!(processed.metadata.camera.capture_time.is_some(), "{name}");
        assert_eq!(processed.position.is_some(), name != "canon.jpg", "{name}");
    }
}

#[test]
fn formats_are_processed_or_refused_by_name() {
    for (name, processed) in folder("formats") {
        let refused = match name.as_str() {
            "clip.mp4" => Some(UnsupportedFormat::Mp4),
            "drawing.svg" => Some(UnsupportedFormat::Svg),
            "pages.pdf" => Some(UnsupportedFormat::Pdf),
            "photo.jxl" => Some(UnsupportedFormat::JpegXl),
            "scan.tiff" => Some(UnsupportedFormat::Tiff),
            _ => None,
        };
        match refused {
            Some(format) => assert_eq!(processed, Err(Error::UnsupportedFormat(format)), "{name}"),
            None => assert!(processed.is_ok(), "{name}: {processed:?}"),
        }
    }
}

#[test]
fn hostile_files_are_refused_with_the_right_error() {
    for (name, processed) in folder("hostile") {
        match name.as_str() {
            // Its pixels are intact.
            "bad-exif.jpg" => assert!(processed.is_ok(), "{processed:?}"),
            "giant.jpg" | "huge-dimensions.png" => {
                assert!(
                    matches!(processed, Err(Error::TooManyPixels { .. })),
                    "{processed:?}"
                );
            }
            _ => assert!(
                matches!(processed, Err(Error::Broken { .. })),
                "{name}: {processed:?}"
            ),
        }
    }
}
