//! Limits on a photo's time and memory, in the running system. A photo that exceeds them fails with a
//! recorded reason. Nothing else fails, and the next photo is processed.

use serde_json::Value;

use crate::client::{DEFAULT_VARIANTS, check_variants, get, settled, upload};
use crate::picture::{noise, png};
use crate::stack::Stack;

/// The lines of the manifest with the step's timeout and memory limit.
const TIMEOUT: &str = "\ntimeout_ms = 30_000\n";
const MEMORY: &str = "\nmemory_mib = 512\n";

/// Uploads a photo that fails, checks that media item and task record the same failure, and returns it.
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
    // One attempt only: such a failure isn't retried.
    assert_eq!(task["attempt"], 1);
    media["failure"].clone()
}

async fn next_photo_is_processed(stack: &Stack, seed: u64, variants: &[&str]) {
    let id = upload(stack, "next.png", "image/png", &png(48, 32, seed)).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, variants).await;
}

fn assert_failure(failure: &Value, name: &str, status: u16, detail: &str) {
    assert_eq!(failure["type"], format!("urn:tirage:problem:{name}"));
    assert_eq!(failure["status"], status, "{failure}");
    assert!(failure["title"].is_string(), "{failure}");
    let actual = failure["detail"].as_str().unwrap();
    assert!(actual.contains(detail), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_takes_too_long_fails_and_the_next_one_is_processed() {
    // So many that a large photo takes many times the step's timeout.
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
    next_photo_is_processed(&stack, 1, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_needs_too_much_memory_fails_and_the_next_one_is_processed() {
    // The estimate's limit is above the sandbox's, so that the sandbox's limit is reached too.
    let allowed = (96 << 20).to_string();
    let stack = Stack::with_manifest(
        &[("PHOTO_MAX_MEMORY_BYTES", &allowed)],
        &[(MEMORY, "\nmemory_mib = 24\n")],
    )
    .await;

    // Refused by the estimate from its header.
    let computed = failure(&stack, &png(5000, 4000, 1)).await;
    assert_failure(&computed, "too-much-memory", 507, &allowed);
    next_photo_is_processed(&stack, 2, &DEFAULT_VARIANTS).await;

    // Stopped by the sandbox's limit.
    let crashed = failure(&stack, &png(2400, 2000, 3)).await;
    assert_failure(
        &crashed,
        "step-crashed",
        502,
        "more memory than it may have",
    );
    next_photo_is_processed(&stack, 4, &DEFAULT_VARIANTS).await;
}
