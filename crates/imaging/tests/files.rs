//! Files that cameras and people made, where they are at hand: the folder that `TIRAGE_DATA` names, or
//! `shared/data` beside the repository. Without them there is nothing to test here.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Picture, png_decoded};
use tirage_imaging::{Error, Foreign, Limits, Prints, Variant, print};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("TIRAGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// The prints of each file of a folder, by its name.
fn folder(name: &str) -> Vec<(String, Result<Prints, Error>)> {
    let Some(folder) = data().map(|data| data.join(name)) else {
        return Vec::new();
    };
    let variants = Variant::parse_all(["x:400:png"]).unwrap();
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let prints = print(&fs::read(path).unwrap(), &variants, &Limits::default());
            (name, prints)
        })
        .collect()
}

fn picture(prints: &Result<Prints, Error>) -> Picture {
    png_decoded(&prints.as_ref().unwrap().variants[0].file)
}

#[test]
fn all_orientations_look_alike() {
    let files = folder("orientation");
    let Some((_, first)) = files.first() else {
        return;
    };
    let first = picture(first);
    for (name, prints) in &files {
        let difference = picture(prints).mean_difference(&first);
        assert!(difference < 2.0, "{name}: {difference}");
    }
}

#[test]
fn photos_print_and_tell_of_their_camera() {
    for (name, prints) in folder("photos") {
        if name.ends_with(".heic") {
            assert_eq!(prints, Err(Error::UnsupportedFormat(Foreign::Heic)));
            continue;
        }
        let prints = prints.unwrap();
        assert!(prints.metadata.camera.model.is_some(), "{name}");
        assert!(prints.metadata.camera.taken.is_some(), "{name}");
        assert_eq!(prints.position.is_some(), name != "canon.jpg", "{name}");
    }
}

#[test]
fn formats_print_or_are_refused_by_name() {
    for (name, prints) in folder("formats") {
        let refused = match name.as_str() {
            "clip.mp4" => Some(Foreign::Mp4),
            "drawing.svg" => Some(Foreign::Svg),
            "pages.pdf" => Some(Foreign::Pdf),
            "photo.jxl" => Some(Foreign::JpegXl),
            "scan.tiff" => Some(Foreign::Tiff),
            _ => None,
        };
        match refused {
            Some(format) => assert_eq!(prints, Err(Error::UnsupportedFormat(format)), "{name}"),
            None => assert!(prints.is_ok(), "{name}: {prints:?}"),
        }
    }
}

#[test]
fn hostile_files_are_refused_for_what_they_are() {
    for (name, prints) in folder("hostile") {
        match name.as_str() {
            // Its picture is whole.
            "bad-exif.jpg" => assert!(prints.is_ok(), "{prints:?}"),
            "giant.jpg" | "huge-dimensions.png" => {
                assert!(
                    matches!(prints, Err(Error::TooManyPixels { .. })),
                    "{prints:?}"
                );
            }
            _ => assert!(
                matches!(prints, Err(Error::Broken { .. })),
                "{name}: {prints:?}"
            ),
        }
    }
}
