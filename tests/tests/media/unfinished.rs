//! Uploads that nobody completes: what the sweep makes of them, and what it leaves alone.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tirage_postgres::{Config, Connection, role_config};

use crate::client::{announcement, get, objects, put_once, send};
use crate::picture::png;
use crate::stack::{Stack, sweep};

/// Announces a file under a key; the answer.
async fn announce(stack: &Stack, key: &str, bytes: &[u8]) -> Value {
    let body = announcement("u.png", "image/png", bytes);
    let answer = send(stack, Method::POST, "/api/media", Some(key), Some(body)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    answer.json
}

/// What takes minutes elsewhere has passed.
async fn change(stack: &Stack, change: &str) {
    let base: Config = stack.setting("DATABASE_URL").parse().unwrap();
    let role = role_config(&base, "tirage_api");
    let mut connection = Connection::connect(&role).await.unwrap();
    let statements = format!("begin; set local tirage.sweep = 'on'; {change}; commit");
    connection.batch_execute(&statements).await.unwrap();
}

const EXPIRE: &str =
    "update media set upload_expires_at = now() - interval '1 hour' where state = 'uploading'";

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_comes_again_or_late_is_not_forgotten() {
    let stack = Stack::start().await;
    let bytes = png(30, 30, 200);
    let first = announce(&stack, "one", &bytes).await;
    let id = first["media"]["id"].as_str().unwrap();
    let path = format!("/api/media/{id}");

    // Whoever is given a new URL has the time that it is good for.
    change(&stack, EXPIRE).await;
    let again = announce(&stack, "one", &bytes).await;
    assert_eq!(again["media"]["id"], id);
    assert!(again["upload"].is_object(), "{again}");
    stack.sweep().await.unwrap();
    assert_eq!(get(&stack, &path).await.json["state"], "uploading");

    change(&stack, EXPIRE).await;
    let swept = stack.sweep().await.unwrap();
    assert_eq!(swept["uploads"], 1, "{swept}");
    assert_eq!(get(&stack, &path).await.status, StatusCode::NOT_FOUND);
    // One that was begun before arrives all the same, and doesn't stay.
    stack.sweep().await.unwrap();
    let status = put_once(&again["upload"], &bytes).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(objects(&stack, id).await.len(), 1);
    change(
        &stack,
        "update media set cleanup_due_at = now() - interval '1 s', \
           cleanup_until = now() - interval '1 s' where state = 'deleting'",
    )
    .await;
    let swept = stack.sweep().await.unwrap();
    assert_eq!(swept["cleaned"], 1, "{swept}");
    assert!(objects(&stack, id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_deletes_nothing() {
    let stack = Stack::start().await;
    let announced = announce(&stack, "two", &png(30, 30, 201)).await;
    let path = format!("/api/media/{}", announced["media"]["id"].as_str().unwrap());
    change(&stack, EXPIRE).await;
    let elsewhere = stack.start_second(&[("S3_BUCKET", "elsewhere".to_owned())]);
    let swept = sweep(&elsewhere.url).await.unwrap();
    assert_eq!(
        (&swept["uploads"], &swept["postponed"]),
        (&0.into(), &1.into()),
        "{swept}"
    );
    assert_eq!(get(&stack, &path).await.json["state"], "uploading");

    let swept = stack.sweep().await.unwrap();
    assert_eq!(swept["uploads"], 1, "{swept}");
    assert_eq!(get(&stack, &path).await.status, StatusCode::NOT_FOUND);
}
