//! Colours as somebody else's decoder sees them: Pillow with LittleCMS, which is told by the same profile.
//!
//! Needs a Python with Pillow: `TIRAGE_PYTHON` (`cargo xtask test` sets it), else `python3`. Pictures in
//! wide colour spaces are made here; the photos among them, and the one in inks, are among the real files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{fetch, settled, upload};
use crate::data;
use crate::stack::Stack;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/colour.py");

/// How far a print may be from the reference: of 255, the mean of all pixels and channels. About half as
/// much again as what was measured, for prints as large as the original and for small ones.
///
/// Pixels that were made, with no codec between them and the print: 0.033 to 0.064.
const SWEEP: f64 = 0.1;
/// JPEG, which two decoders read: 0.181 to 0.319.
const PHOTO: f64 = 0.45;
/// Inks, whose profile is a table that two programs read between its points: 0.324 and 0.477.
const INKS: f64 = 0.7;
/// To ignore the profile is to be so many times farther away.
const TELLS: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn prints_have_the_colours_that_another_decoder_sees() {
    let folder = TempDir::new().unwrap();
    let data = data::folder();
    if data.is_none() {
        println!("no real files here: set TIRAGE_DATA to try photos and inks, too");
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
            Some("sweep") => SWEEP,
            Some("photo") => PHOTO,
            _ => INKS,
        };
        let bytes = std::fs::read(&original).unwrap();
        let id = upload(&stack, name, "application/octet-stream", &bytes).await;
        let media = settled(&stack, &id).await;
        assert_eq!(media["state"], "ready", "{name}: {media}");
        for variant in media["variants"].as_array().unwrap() {
            let size = variant["name"].as_str().unwrap();
            let print = folder.path().join(format!("{size}-of-{name}.png"));
            std::fs::write(&print, fetch(variant).await.bytes().await.unwrap()).unwrap();
            let [by_profile, ignoring] = distances(&original, &print);
            println!("{name}, {size}: {by_profile:.3}, and {ignoring:.3} without the profile");
            assert!(by_profile < bound, "{name}, {size}: {by_profile}");
            assert!(ignoring > TELLS * bound, "{name}, {size} can't tell");
        }
    }
}

/// Of a print from its original, with the original's profile and without.
fn distances(original: &Path, print: &Path) -> [f64; 2] {
    let told = python("compare", [Some(original), Some(print)]);
    let told: Value = serde_json::from_str(&told).unwrap();
    ["by_profile", "ignoring_profile"].map(|name| told[name].as_f64().unwrap())
}

/// What the script prints.
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
