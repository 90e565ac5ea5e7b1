//! The step of `docs/steps.md`. `crates/manifest/tests/docs.rs` checks that the page shows exactly this
//! one.

use tirage_host::ComponentSpec;
use tirage_manifest::World;

use crate::harness::{allowed, get_json, guest, positive, post, start, text};

const SHA256_OF_BYTES: &str = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
const SHA256_OF_EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The step with the limits of the world `step`: one request per instance.
fn step() -> ComponentSpec {
    let mut spec = guest("checksum");
    spec.world = World::Step;
    spec.limits.requests_per_instance = positive(1);
    spec.limits.concurrent_requests_per_instance = positive(1);
    spec
}

#[tokio::test]
async fn the_documented_step_returns_the_hash_of_a_file() {
    let host = start([step()]);
    let request = post("/steps/checksum/", "bytes");
    let response = host.call("checksum", request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let response: serde_json::Value =
        serde_json::from_str(&text(response.into_body()).await).unwrap();
    let expected = serde_json::json!({ "bytes": 5, "sha256": SHA256_OF_BYTES });
    assert_eq!(response, expected);
}

#[tokio::test]
async fn other_components_call_it_by_its_id() {
    let mut caller = guest("call-out");
    caller.allowed_hosts = allowed(&["http://checksum.spin.internal"]);
    let host = start([caller, step()]);
    let target = "/?method=POST&url=http://checksum.spin.internal/";
    let response = get_json(&host, "call-out", target).await;
    assert_eq!(response["status"], 200, "{response}");
    let body = response["body"].as_str().unwrap();
    assert!(body.contains(SHA256_OF_EMPTY), "{body}");
}
