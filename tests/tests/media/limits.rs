//! What a photo may use up, in the running system: time and memory. A photo that wants more fails for a
//! reason that is told and kept; nothing else does, and the next one is printed.

use serde_json::Value;

use crate::client::{check_prints, get, settled, upload};
use crate::picture::{noise, png};
use crate::stack::Stack;

/// The lines of the manifest that say how much time and memory the step has.
const TIMEOUT: &str = "\ntimeout_ms = 30_000\n";
const MEMORY: &str = "\nmemory_mib = 512\n";

/// The failure of a photo, once it is known to stand wherever somebody may look for it.
async fn failure(stack: &Stack, photo: &[u8]) -> Value {
    let id = upload(stack, "too-much.png", "image/png", photo).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "failed", "{media}");
    assert_eq!(media["variants"].as_array().unwrap().len(), 0, "{media}");
    let task = &media["tasks"][0];
    assert_eq!(task["state"], "failed", "{media}");
    assert_eq!(task["failure"], media["failure"]);
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(get(stack, &path).await.json["failure"], media["failure"]);
    // It was one attempt, under one lease: nobody is to try what can't be done.
    assert_eq!(task["attempt"], 1);
    media["failure"].clone()
}

async fn the_next_one_is_printed(stack: &Stack, seed: u64, prints: &[&str]) {
    let id = upload(stack, "next.png", "image/png", &png(48, 32, seed)).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_prints(&media, prints).await;
}

fn assert_failure(failure: &Value, name: &str, status: u16, detail: &str) {
    assert_eq!(failure["type"], format!("urn:tirage:problem:{name}"));
    assert_eq!(failure["status"], status, "{failure}");
    assert!(failure["title"].is_string(), "{failure}");
    let told = failure["detail"].as_str().unwrap();
    assert!(told.contains(detail), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_takes_too_long_fails_and_the_next_one_is_printed() {
    // So many that a large photo keeps the step busy for many times the second that it has.
    let names: Vec<_> = (0..10).map(|number| format!("n{number}")).collect();
    let variants: Vec<_> = names
        .iter()
        .map(|name| format!("{name}:4000:webp:1"))
        .collect();
    let stack = Stack::with_manifest(
        &[("PHOTO_VARIANTS", &variants.join(","))],
        &[(TIMEOUT, "\ntimeout_ms = 2_000\n")],
    )
    .await;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let failure = failure(&stack, &noise(3000, 2000, 1)).await;
    assert_failure(&failure, "step-timeout", 504, "longer than a file may take");
    the_next_one_is_printed(&stack, 1, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_needs_too_much_memory_fails_and_the_next_one_is_printed() {
    // More than the sandbox has: there, what is computed can't save it.
    let allowed = (96 << 20).to_string();
    let stack = Stack::with_manifest(
        &[("PHOTO_MAX_MEMORY_BYTES", &allowed)],
        &[(MEMORY, "\nmemory_mib = 24\n")],
    )
    .await;
    let prints = ["display", "large", "small", "thumb"];

    // By what its header says, and in so many words.
    let computed = failure(&stack, &png(5000, 4000, 1)).await;
    assert_failure(&computed, "too-much-memory", 507, &allowed);
    the_next_one_is_printed(&stack, 2, &prints).await;

    // By what it takes: the sandbox has no more to give, and the step dies.
    let died = failure(&stack, &png(2400, 2000, 3)).await;
    assert_failure(&died, "step-crashed", 502, "more memory than it may have");
    the_next_one_is_printed(&stack, 4, &prints).await;
}
