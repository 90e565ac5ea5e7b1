//! The main job under Spin, which runs the same functions from the same manifest.
//!
//! Nobody has to have Spin: the test looks at `TIRAGE_SPIN`, the path of Spin 4.1 or newer, and says so
//! where it isn't set.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};

use crate::client::{announcement, check_prints, get, objects, post, send, settled, upload};
use crate::golden::{VARIANTS, golden, make};
use crate::picture::png;
use crate::stack::Stack;

const PRINTS: [&str; 6] = ["exact", "fine", "large", "lossy", "plain", "small"];

/// A Spin that was not built for release compiles the components for minutes.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_goes_in_and_its_prints_come_out_under_spin() {
    let Some(program) = std::env::var_os("TIRAGE_SPIN") else {
        println!("skipped: TIRAGE_SPIN is not set to the path of Spin 4.1 or newer");
        return;
    };
    let stack = Stack::under_spin(PathBuf::from(program), &[("PHOTO_VARIANTS", VARIANTS)]).await;
    let begin = Instant::now();
    while send(&stack, Method::GET, "/health", None, None)
        .await
        .is_none()
    {
        assert!(begin.elapsed() < PATIENCE, "Spin never listens");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    assert_eq!(
        make(&stack).await,
        golden(),
        "Spin makes other prints than the router"
    );

    // Straight into the bucket, and once more by the same hash.
    let photo = png(64, 48, 1);
    let id = upload(&stack, "one.png", "image/png", &photo).await;
    let media = settled(&stack, &id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_prints(&media, &PRINTS).await;
    assert_eq!(objects(&stack, &id).await.len(), 1 + PRINTS.len());
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

    // Through the function.
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
    check_prints(&direct, &PRINTS).await;

    // What is no picture fails with a sentence.
    let broken = upload(&stack, "broken.png", "image/png", &png(64, 48, 3)[..60]).await;
    let broken = settled(&stack, &broken).await;
    assert_eq!(broken["tasks"][0]["failure"]["status"], 422, "{broken}");

    // The feed has all of it, by a stream that ends by itself.
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

    // Nothing stays of what is deleted: at once, not only after a sweep.
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
