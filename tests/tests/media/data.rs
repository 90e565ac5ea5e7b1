//! Real files, if present: photos, formats, orientations, and hostile files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::{DEFAULT_VARIANTS, check_variants, settled, upload};
use crate::stack::Stack;
use tirage_tests::repository;

/// Returns the folder of real files: `TIRAGE_DATA`, or a folder beside the repository.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("TIRAGE_DATA") {
        Some(folder) => folder.into(),
        None => repository().join("../shared/data"),
    };
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

async fn process(stack: &Stack, file: &Path) -> Value {
    let name = file.file_name().unwrap().to_str().unwrap();
    let id = upload(
        stack,
        name,
        "application/octet-stream",
        &std::fs::read(file).unwrap(),
    )
    .await;
    let media = settled(stack, &id).await;
    println!("{name}: {} {}", media["state"], media["failure"]["detail"]);
    media
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_file_is_processed_or_fails_with_a_reason() {
    let Some(folder) = folder() else {
        println!("skipped: set TIRAGE_DATA to the folder of real files");
        return;
    };
    let stack = Stack::start().await;
    let unsupported = [
        "iphone.heic",
        "photo.jxl",
        "scan.tiff",
        "clip.mp4",
        "drawing.svg",
        "pages.pdf",
    ];
    for part in ["photos", "formats", "orientation", "hostile", "bench"] {
        for file in files(&folder.join(part)) {
            let media = process(&stack, &file).await;
            let name = file.file_name().unwrap().to_str().unwrap();
            if unsupported.contains(&name) {
                assert_eq!(media["failure"]["status"], 415, "{name}: {media}");
            } else if part != "hostile" {
                assert_eq!(media["state"], "ready", "{name}: {media}");
                check_variants(&media, &DEFAULT_VARIANTS).await;
            } else if media["state"] == "failed" {
                let status = media["failure"]["status"].as_u64().unwrap();
                assert!([413, 415, 422, 507].contains(&status), "{name}: {media}");
                assert!(media["failure"]["detail"].is_string(), "{name}: {media}");
            } else {
                // Only the metadata of this file are broken.
                assert_eq!(name, "bad-exif.jpg");
            }
            if part == "orientation" {
                let side = |name: &str| media["metadata"][name].as_u64().unwrap();
                assert!(side("width") > side("height"), "{name}: {media}");
            }
        }
    }
}
