//! Compares the colours of variants with another decoder: Pillow with LittleCMS, by the same ICC profile.
//!
//! Needs a Python with Pillow: `TIRAGE_PYTHON` (`cargo xtask test` sets it), else `python3`. The script
//! generates pictures in wide colour spaces; the photo among them and the CMYK picture are real files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{fetch, settled, upload};
use crate::data;
use crate::stack::Stack;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/colour.py");

/// Largest distance of generated PNGs from the reference: the mean over all pixels and channels, of 255.
/// About 1.5 times the measured 0.033 to 0.064, for full-size and small variants.
const GENERATED_MAX: f64 = 0.1;
/// The same for a JPEG, which two decoders read. Measured: 0.181 to 0.319.
const PHOTO_MAX: f64 = 0.45;
/// The same for CMYK, whose profile is a table that two programs interpolate. Measured: 0.324 and 0.477.
const CMYK_MAX: f64 = 0.7;
/// Smallest factor by which ignoring the profile must increase the distance.
const MIN_FACTOR_WITHOUT_PROFILE: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn variants_have_the_colours_of_another_decoder() {
    let folder = TempDir::new().unwrap();
    let data = data::folder();
    if data.is_none() {
        println!("set TIRAGE_DATA to the folder of real files to test a photo and CMYK too");
    }
    let photo = data
        .as_ref()
        .map(|data| data.join("bench/photo-2725x2225.jpg"));
    let made = python("make", [Some(folder.path()), photo.as_deref()]);
    let mut originals: Vec<_> = made.lines().map(|name| folder.path().join(name)).collect();
    originals.extend(data.map(|data| data.join("formats/cmyk.jpg")));

    let stack = Stack::with(&[("PHOTO_VARIANTS", "whole:4000:png,small:200:png")]).await;
    for original in originals {
        let name = original.file_name().unwrap().to_str().unwrap();
        let bound = match name.split('-').next() {
            Some("sweep") => GENERATED_MAX,
            Some("photo") => PHOTO_MAX,
            _ => CMYK_MAX,
        };
        let bytes = std::fs::read(&original).unwrap();
        let id = upload(&stack, name, "application/octet-stream", &bytes).await;
        let media = settled(&stack, &id).await;
        assert_eq!(media["state"], "ready", "{name}: {media}");
        for variant in media["variants"].as_array().unwrap() {
            let size = variant["name"].as_str().unwrap();
            let file = folder.path().join(format!("{size}-of-{name}.png"));
            std::fs::write(&file, fetch(variant).await.bytes().await.unwrap()).unwrap();
            let [by_profile, ignoring] = distances(&original, &file);
            println!("{name}, {size}: {by_profile:.3}, and {ignoring:.3} without the profile");
            assert!(by_profile < bound, "{name}, {size}: {by_profile}");
            assert!(
                ignoring > MIN_FACTOR_WITHOUT_PROFILE * bound,
                "{name}, {size}: the picture doesn't depend on its profile"
            );
        }
    }
}

/// Returns the distances of a variant from its original, with and without the original's profile.
fn distances(original: &Path, variant: &Path) -> [f64; 2] {
    let output = python("compare", [Some(original), Some(variant)]);
    let distances: Value = serde_json::from_str(&output).unwrap();
    ["by_profile", "ignoring_profile"].map(|name| distances[name].as_f64().unwrap())
}

/// Runs the script and returns its output.
fn python(command: &str, paths: [Option<&Path>; 2]) -> String {
    let python = std::env::var_os("TIRAGE_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .arg(SCRIPT)
        .arg(command)
        .args(paths.into_iter().flatten())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{} failed: run `cargo xtask test`, or set TIRAGE_PYTHON to a Python with Pillow\n{}",
        PathBuf::from(python).display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
