//! Golden prints: the step that runs in the sandbox makes these very bytes, on every machine. A change of
//! a codec or a filter shows here; whoever means it writes the file anew, with `UPDATE_GOLDEN=1`.

use std::fmt::Write as _;
use std::path::Path;

use crate::client::{fetch, settled, sha256, upload};
use crate::picture::{noise, png};
use crate::stack::Stack;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/golden.txt");

/// Every format and both kinds of JPEG; the first is large enough to be progressive.
pub(crate) const VARIANTS: &str = "large:1100:jpeg:80,fine:300:jpeg:95,small:200:jpeg:70,lossy:120:webp:75,\
                        exact:90:webp-lossless,plain:60:png";

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_makes_the_same_bytes_everywhere() {
    let made = make(&Stack::with(&[("PHOTO_VARIANTS", VARIANTS)]).await).await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &made).unwrap();
    }
    assert_eq!(made, golden(), "prints have changed");
}

/// What is expected of [`make`].
pub(crate) fn golden() -> String {
    std::fs::read_to_string(Path::new(GOLDEN)).unwrap()
}

/// The prints of some pictures on a stack with [`VARIANTS`], a line for each.
pub(crate) async fn make(stack: &Stack) -> String {
    let mut made = String::new();
    let smooth = prints(stack, "smooth", &png(1200, 900, 7), &mut made).await;
    let rough = prints(stack, "rough", &noise(160, 120, 7), &mut made).await;
    // What was just written is read: progressive, with colours of half the size, and with all of them.
    let [progressive, full_colour] = [&smooth[0], &rough[1]];
    prints(stack, "progressive", progressive, &mut made).await;
    prints(stack, "full-colour", full_colour, &mut made).await;
    made
}

/// The prints of a picture, in the order in which they are asked for; a line for each.
async fn prints(stack: &Stack, name: &str, picture: &[u8], lines: &mut String) -> Vec<Vec<u8>> {
    let id = upload(stack, name, "application/octet-stream", picture).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    let variants = media["variants"].as_array().unwrap();
    let mut prints = Vec::new();
    for wanted in VARIANTS.split(',') {
        let wanted = wanted.split(':').next().unwrap();
        let variant = variants
            .iter()
            .find(|variant| variant["name"] == wanted)
            .unwrap();
        let print = fetch(variant).await.bytes().await.unwrap().to_vec();
        writeln!(lines, "{name} {wanted} {} {}", print.len(), sha256(&print)).unwrap();
        prints.push(print);
    }
    prints
}
