//! A client that does what a sensible one would: it asks again when it gets no answer, with the same
//! idempotency key, and believes what it is told.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tirage_s3::{Bucket, Key, List, Listing};

use crate::stack::Stack;

/// The bucket's host, where its name is in it; on any port.
pub(crate) const BUCKET_HOST: &str = "tirage.localhost";

/// Longer than anything here takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, and its body if that is JSON.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) json: Value,
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One request; none if there was no answer.
pub(crate) async fn send(
    stack: &Stack,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> Option<Answer> {
    let mut request = reqwest::Client::new()
        .request(method, stack.at(path))
        .timeout(Duration::from_secs(15));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.ok()?;
    Some(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        json: response.json().await.unwrap_or(Value::Null),
    })
}

pub(crate) async fn get(stack: &Stack, path: &str) -> Answer {
    send(stack, Method::GET, path, None, None).await.unwrap()
}

pub(crate) async fn post(stack: &Stack, path: &str, body: Value) -> Answer {
    send(stack, Method::POST, path, None, Some(body))
        .await
        .unwrap()
}

/// The same, until there is an answer that isn't "later".
async fn insist(
    stack: &Stack,
    method: Method,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Answer {
    let begin = Instant::now();
    loop {
        let answer = send(stack, method.clone(), path, Some(key), body.clone()).await;
        if let Some(answer) = answer
            && !answer.status.is_server_error()
        {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{path} is never answered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn announcement(filename: &str, content_type: &str, bytes: &[u8]) -> Value {
    json!({
        "filename": filename,
        "content_type": content_type,
        "size": bytes.len(),
        "sha256": sha256(bytes),
    })
}

/// Announces, uploads and completes; the media's id.
pub(crate) async fn upload(
    stack: &Stack,
    filename: &str,
    content_type: &str,
    bytes: &[u8],
) -> String {
    let announced = announcement(filename, content_type, bytes);
    let key = sha256(bytes);
    let answer = insist(stack, Method::POST, "/api/media", &key, Some(announced)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let id = answer.json["media"]["id"].as_str().unwrap().to_owned();
    if answer.json["upload"].is_object() {
        put(&answer.json["upload"], bytes).await;
    }
    let path = format!("/api/media/{id}/complete");
    let completed = insist(stack, Method::POST, &path, "complete", None).await;
    assert_eq!(completed.status, StatusCode::ACCEPTED, "{}", completed.json);
    id
}

/// Puts the bytes where the answer says, until they are there.
pub(crate) async fn put(upload: &Value, bytes: &[u8]) {
    let begin = Instant::now();
    loop {
        let status = put_once(upload, bytes).await;
        match status {
            // The second: an earlier try got through, and its answer did not.
            Some(StatusCode::OK | StatusCode::PRECONDITION_FAILED) => return,
            _ => assert!(
                begin.elapsed() < PATIENCE,
                "the upload never works: {status:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A client that knows the bucket's own name, as browsers and curl know it: not every system does.
fn storage() -> reqwest::Client {
    reqwest::Client::builder()
        .resolve(BUCKET_HOST, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .build()
        .unwrap()
}

/// A print, from where its row says.
pub(crate) async fn fetch(variant: &Value) -> reqwest::Response {
    let url = variant["url"].as_str().unwrap();
    storage().get(url).send().await.unwrap()
}

pub(crate) async fn put_once(upload: &Value, bytes: &[u8]) -> Option<StatusCode> {
    let mut request = storage()
        .put(upload["url"].as_str().unwrap())
        .body(bytes.to_vec());
    for (name, value) in upload["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    Some(request.send().await.ok()?.status())
}

/// The media, as soon as it is ready or has failed. A schedule sweeps meanwhile.
pub(crate) async fn settled(stack: &Stack, id: &str) -> Value {
    let begin = Instant::now();
    let mut swept = Instant::now();
    loop {
        let answer = send(stack, Method::GET, &format!("/api/media/{id}"), None, None).await;
        if let Some(answer) = answer
            && answer.status == StatusCode::OK
            && (answer.json["state"] == "ready" || answer.json["state"] == "failed")
        {
            return answer.json;
        }
        assert!(begin.elapsed() < PATIENCE, "media {id} is never done");
        if swept.elapsed() > Duration::from_millis(500) {
            stack.sweep().await;
            swept = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every print can be fetched and is what it says.
pub(crate) async fn check_prints(media: &Value, expected: &[&str]) {
    let variants = media["variants"].as_array().unwrap();
    let names: BTreeSet<_> = variants
        .iter()
        .map(|variant| variant["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, expected.iter().copied().collect(), "{media}");
    for variant in variants {
        let response = fetch(variant).await;
        assert_eq!(response.status(), StatusCode::OK, "{variant}");
        assert_eq!(
            response.headers()["content-type"],
            variant["content_type"].as_str().unwrap()
        );
        let bytes = response.bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, variant["size"].as_u64().unwrap());
        assert_eq!(sha256(&bytes), variant["sha256"].as_str().unwrap());
    }
}

/// The names of all objects that are stored for a media.
pub(crate) async fn objects(stack: &Stack, id: &str) -> BTreeSet<String> {
    let bucket = Bucket::from_settings(|name| {
        let name = match name {
            // The store itself, not the proxy.
            "S3_ENDPOINT" => "S3_PUBLIC_ENDPOINT",
            name => name,
        };
        stack.find_setting(name).map(str::to_owned)
    })
    .unwrap();
    let workspace = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    let prefix = Key::prefix_of_media(workspace, id.parse().unwrap());
    let list = List {
        prefix: &prefix,
        continuation: None,
        max_keys: None,
    };
    let request = bucket.list(&list, jiff::Timestamp::now()).unwrap();
    let response = storage()
        .get(request.uri().to_string())
        .headers(request.headers().clone())
        .send()
        .await
        .unwrap();
    let listing = Listing::parse(&response.bytes().await.unwrap()).unwrap();
    listing
        .objects
        .iter()
        .map(|object| object.key.trim_start_matches(&prefix).to_owned())
        .collect()
}
