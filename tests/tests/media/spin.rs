//! The main job under Spin, which runs the same functions from the same manifest.
//!
//! Spin is optional: the runner counts the test as ignored unless `cargo xtask test` finds `TIRAGE_SPIN`, the path
//! of Spin 4.1 or newer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};

use crate::client::{announcement, check_variants, get, objects, post, send, settled, upload};
use crate::golden::{VARIANTS, golden, make};
use crate::picture::png;
use crate::stack::Stack;

const VARIANT_NAMES: [&str; 6] = ["exact", "fine", "large", "lossy", "plain", "small"];

/// A debug build of Spin compiles the components for minutes.
const START_TIMEOUT: Duration = Duration::from_secs(300);

#[ignore = "needs Spin: set TIRAGE_SPIN to the path of Spin 4.1 or newer"]
#[tokio::test(flavor = "multi_thread")]
async fn photos_are_processed_under_spin() {
    let program = std::env::var_os("TIRAGE_SPIN").expect("TIRAGE_SPIN is the path of Spin");
    let stack = Stack::under_spin(PathBuf::from(program), &[("PHOTO_VARIANTS", VARIANTS)]).await;
    let begin = Instant::now();
    while send(&stack, Method::GET, "/health", None, None)
        .await
        .is_none()
    {
        assert!(begin.elapsed() < START_TIMEOUT, "Spin doesn't listen");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    assert_eq!(
        make(&stack).await,
        golden(),
        "variants differ from the router's"
    );

    // Uploaded to the bucket, and announced again with the same hash.
    let photo = png(64, 48, 1);
    let id = upload(&stack, "one.png", "image/png", &photo).await;
    let media = settled(&stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, &VARIANT_NAMES).await;
    assert_eq!(objects(&stack, &id).await.len(), 1 + VARIANT_NAMES.len());
    let again = post(
        &stack,
        "/api/media",
        announcement("1.png", "image/png", &photo),
    )
    .await;
    assert_eq!(
        (again.status, &again.json["media"]["id"]),
        (StatusCode::OK, &media["id"])
    );

    // Uploaded through the function.
    let sent = reqwest::Client::new()
        .post(stack.at("/api/media"))
        .header("content-type", "image/png")
        .body(png(64, 48, 2))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let direct: serde_json::Value = sent.json().await.unwrap();
    let direct = settled(&stack, direct["id"].as_str().unwrap()).await;
    assert_eq!(direct["state"], "ready", "{direct}");
    check_variants(&direct, &VARIANT_NAMES).await;

    // A broken picture fails with a reason.
    let broken = upload(&stack, "broken.png", "image/png", &png(64, 48, 3)[..60]).await;
    let broken = settled(&stack, &broken).await;
    assert_eq!(broken["tasks"][0]["failure"]["status"], 422, "{broken}");

    // The change feed has all changes. Under Spin, the stream ends by itself.
    let live = reqwest::Client::new().get(stack.at("/api/live"));
    let live = live.header("last-event-id", "0").send().await.unwrap();
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    let events = live.text().await.unwrap();
    assert!(
        events.contains(&format!(
            "\"id\":\"{id}\",\"action\":\"updated\",\"state\":\"ready\""
        )),
        "{events}"
    );

    // Deletion removes all objects immediately, without a sweep.
    let deleted = send(
        &stack,
        Method::DELETE,
        &format!("/api/media/{id}"),
        None,
        None,
    )
    .await;
    assert_eq!(deleted.unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!(
        get(&stack, &format!("/api/media/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
    assert!(objects(&stack, &id).await.is_empty());
}
