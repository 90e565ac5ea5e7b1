//! The step of `docs/steps.md`. `crates/manifest/tests/docs.rs` checks that the page shows this very step.

use tirage_host::ComponentSpec;
use tirage_manifest::World;

use crate::harness::{allowed, ask_json, guest, positive, post, start, text};

const SHA256_OF_BYTES: &str = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// As the router runs a step: one request for an instance.
fn step() -> ComponentSpec {
    let mut spec = guest("checksum");
    spec.world = World::Step;
    spec.limits.requests_per_instance = positive(1);
    spec.limits.concurrent_requests_per_instance = positive(1);
    spec
}

#[tokio::test]
async fn the_step_of_the_readme_answers_what_a_file_hashes_to() {
    let host = start([step()]);
    let request = post("/steps/checksum/", "bytes");
    let response = host.call("checksum", request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: serde_json::Value =
        serde_json::from_str(&text(response.into_body()).await).unwrap();
    let expected = serde_json::json!({ "bytes": 5, "sha256": SHA256_OF_BYTES });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn other_components_call_it_by_its_name() {
    let mut caller = guest("call-out");
    caller.allowed_hosts = allowed(&["http://checksum.spin.internal"]);
    let host = start([caller, step()]);
    let target = "/?method=POST&url=http://checksum.spin.internal/";
    let answer = ask_json(&host, "call-out", target).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let body = answer["body"].as_str().unwrap();
    assert!(body.contains(SHA256_OF_NOTHING), "{body}");
}
