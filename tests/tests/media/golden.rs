//! Golden variants: the step in the sandbox makes the same bytes on every machine. A change of a codec or a
//! filter fails here; `UPDATE_GOLDEN=1` rewrites the file after an intended change.

use std::fmt::Write as _;
use std::path::Path;

use crate::client::{fetch, settled, sha256, upload};
use crate::picture::{noise, png};
use crate::stack::Stack;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/golden.txt");

/// Every format and both kinds of JPEG. The first is large enough to be progressive.
pub(crate) const VARIANTS: &str = "large:1100:jpeg:80,fine:300:jpeg:95,small:200:jpeg:70,lossy:120:webp:75,\
                        exact:90:webp-lossless,plain:60:png";

#[tokio::test(flavor = "multi_thread")]
async fn variants_match_the_golden_bytes() {
    let made = make(&Stack::with(&[("PHOTO_VARIANTS", VARIANTS)]).await).await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &made).unwrap();
    }
    assert_eq!(made, golden(), "variants have changed");
}

/// Returns the expected result of [`make`].
pub(crate) fn golden() -> String {
    std::fs::read_to_string(Path::new(GOLDEN)).unwrap()
}

/// Processes some pictures on a stack with [`VARIANTS`], and returns a line for each variant.
pub(crate) async fn make(stack: &Stack) -> String {
    let mut made = String::new();
    let smooth = variants(stack, "smooth", &png(1200, 900, 7), &mut made).await;
    let rough = variants(stack, "rough", &noise(160, 120, 7), &mut made).await;
    // Decodes our own JPEGs: progressive with subsampled chroma, and with full chroma.
    let [progressive, full_colour] = [&smooth[0], &rough[1]];
    variants(stack, "progressive", progressive, &mut made).await;
    variants(stack, "full-colour", full_colour, &mut made).await;
    made
}

/// Processes a picture and appends a line for each variant. Returns the variants in the order of
/// [`VARIANTS`].
async fn variants(stack: &Stack, name: &str, picture: &[u8], lines: &mut String) -> Vec<Vec<u8>> {
    let id = upload(stack, name, "application/octet-stream", picture).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    let rows = media["variants"].as_array().unwrap();
    let mut variants = Vec::new();
    for wanted in VARIANTS.split(',') {
        let wanted = wanted.split(':').next().unwrap();
        let row = rows.iter().find(|row| row["name"] == wanted).unwrap();
        let variant = fetch(row).await.bytes().await.unwrap().to_vec();
        let hash = sha256(&variant);
        writeln!(lines, "{name} {wanted} {} {hash}", variant.len()).unwrap();
        variants.push(variant);
    }
    variants
}
