//! Uploads that are never completed: which of them the sweep deletes, and which it keeps.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tirage_postgres::{Config, Connection, role_config};

use crate::client::{announcement, get, objects, put_once, send};
use crate::picture::png;
use crate::stack::{Stack, sweep};

/// Announces a file with an idempotency key, and returns the response.
async fn announce(stack: &Stack, key: &str, bytes: &[u8]) -> Value {
    let body = announcement("u.png", "image/png", bytes);
    let answer = send(stack, Method::POST, "/api/media", Some(key), Some(body)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    answer.json
}

/// Runs a statement that changes the database, in place of waiting for minutes.
async fn change(stack: &Stack, statement: &str) {
    let mut connection = connect(stack).await;
    connection.batch_execute(statement).await.unwrap();
}

/// Returns the only value of the only row of a query.
async fn query_value(stack: &Stack, query: &str) -> String {
    let mut connection = connect(stack).await;
    let outcome = connection.execute(query, &[]).await.unwrap();
    outcome.rows[0].text(0).unwrap().to_owned()
}

/// Connects with the role of the api and access to all workspaces.
async fn connect(stack: &Stack) -> Connection {
    let base: Config = stack.setting("DATABASE_URL").parse().unwrap();
    let role = role_config(&base, "tirage_api");
    let mut connection = Connection::connect(&role).await.unwrap();
    connection
        .batch_execute("set tirage.sweep = 'on'")
        .await
        .unwrap();
    connection
}

const EXPIRE: &str =
    "update media set upload_expires_at = now() - interval '1 hour' where state = 'uploading'";

#[tokio::test(flavor = "multi_thread")]
async fn repeated_announcements_extend_uploads_and_late_uploads_are_deleted() {
    let stack = Stack::start().await;
    let bytes = png(30, 30, 200);
    let first = announce(&stack, "one", &bytes).await;
    let id = first["media"]["id"].as_str().unwrap();
    let path = format!("/api/media/{id}");

    // A new URL extends the time limit.
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
    // An upload that began before the deletion still succeeds, and is deleted later.
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
async fn the_sweep_fails_an_upload_that_no_step_reads() {
    let stack = Stack::start().await;
    let bytes = b"notes";
    let announced = announce(&stack, "notes", bytes).await;
    let status = put_once(&announced["upload"], bytes).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    change(&stack, EXPIRE).await;
    let swept = stack.sweep().await.unwrap();
    assert_eq!(
        (&swept["uploads"], &swept["sent"]),
        (&1.into(), &0.into()),
        "{swept}"
    );
    let path = format!("/api/media/{}", announced["media"]["id"].as_str().unwrap());
    let media = get(&stack, &path).await.json;
    assert_eq!(media["state"], "failed", "{media}");
    assert_eq!(
        media["failure"]["type"],
        "urn:tirage:problem:unsupported-format"
    );
    assert_eq!(query_value(&stack, "select count(*) from task").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_deletes_no_uploads() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_ends_in_time_when_storage_does_not_answer() {
    let stack = Stack::start().await;
    for seed in 0..10 {
        announce(&stack, &format!("hangs-{seed}"), &png(30, 30, 300 + seed)).await;
    }
    change(&stack, EXPIRE).await;
    change(
        &stack,
        "insert into idempotency (workspace_id, key, fingerprint, subject, created_at) \
           select '00000000-0000-7000-8000-000000000001', 'old-' || n, '', '', \
             now() - interval '2 days' from generate_series(1, 25000) n",
    )
    .await;
    // Accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let stuck = stack.start_second(&[("S3_ENDPOINT", endpoint)]);
    let begin = Instant::now();
    let swept = sweep(&stuck.url).await.unwrap();
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(
        (&swept["uploads"], &swept["postponed"]),
        (&0.into(), &10.into()),
        "{swept}"
    );
    let old = "select count(*) from idempotency where key like 'old-%'";
    assert_eq!(query_value(&stack, old).await, "0");
    // The next sweep handles the postponed ones.
    let swept = stack.sweep().await.unwrap();
    assert_eq!(swept["uploads"], 10, "{swept}");
}
