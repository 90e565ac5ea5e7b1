//! A client of the media API that retries requests without a response, with the same idempotency key.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tirage_s3::{Bucket, Key, List, Listing};

use crate::stack::Stack;

/// The host of URLs with the bucket's name in the host.
pub(crate) const BUCKET_HOST: &str = "tirage.localhost";

/// The variants of a photo with default settings.
pub(crate) const DEFAULT_VARIANTS: [&str; 4] = ["display", "large", "small", "thumb"];

/// Longer than any successful operation of these tests takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A response, and its body if that is JSON.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) json: Value,
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Sends a request. Returns `None` if there was no response.
pub(crate) async fn send(
    stack: &Stack,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> Option<Reply> {
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
    Some(Reply {
        status: response.status(),
        headers: response.headers().clone(),
        json: response.json().await.unwrap_or(Value::Null),
    })
}

pub(crate) async fn get(stack: &Stack, path: &str) -> Reply {
    send(stack, Method::GET, path, None, None).await.unwrap()
}

pub(crate) async fn post(stack: &Stack, path: &str, body: Value) -> Reply {
    send(stack, Method::POST, path, None, Some(body))
        .await
        .unwrap()
}

/// Sends a request until there is a response that isn't a server error.
async fn send_until_answered(
    stack: &Stack,
    method: Method,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Reply {
    let begin = Instant::now();
    loop {
        let response = send(stack, method.clone(), path, Some(key), body.clone()).await;
        if let Some(response) = response
            && !response.status.is_server_error()
        {
            return response;
        }
        assert!(begin.elapsed() < TIMEOUT, "no response from {path}");
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

/// Announces, uploads and completes a file. Returns the media item's id.
pub(crate) async fn upload(
    stack: &Stack,
    filename: &str,
    content_type: &str,
    bytes: &[u8],
) -> String {
    let announced = announcement(filename, content_type, bytes);
    let key = sha256(bytes);
    let response =
        send_until_answered(stack, Method::POST, "/api/media", &key, Some(announced)).await;
    assert_eq!(response.status, StatusCode::CREATED, "{}", response.json);
    let id = response.json["media"]["id"].as_str().unwrap().to_owned();
    if response.json["upload"].is_object() {
        put(&response.json["upload"], bytes).await;
    }
    let path = format!("/api/media/{id}/complete");
    let completed = send_until_answered(stack, Method::POST, &path, "complete", None).await;
    assert_eq!(completed.status, StatusCode::ACCEPTED, "{}", completed.json);
    id
}

/// Uploads the bytes to the presigned URL until that succeeds.
pub(crate) async fn put(upload: &Value, bytes: &[u8]) {
    let begin = Instant::now();
    loop {
        let status = put_once(upload, bytes).await;
        match status {
            // The second: an earlier attempt succeeded, but its response was lost.
            Some(StatusCode::OK | StatusCode::PRECONDITION_FAILED) => return,
            _ => assert!(begin.elapsed() < TIMEOUT, "the upload fails: {status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns an HTTP client that resolves [`BUCKET_HOST`], as browsers and curl do. Not every system does.
fn storage() -> reqwest::Client {
    reqwest::Client::builder()
        .resolve(BUCKET_HOST, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .build()
        .unwrap()
}

/// Fetches a variant from its URL.
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

/// Polls until the media item is ready or failed, and returns it. Sweeps meanwhile, as a schedule does.
pub(crate) async fn settled(stack: &Stack, id: &str) -> Value {
    let begin = Instant::now();
    let mut swept = Instant::now();
    loop {
        let response = send(stack, Method::GET, &format!("/api/media/{id}"), None, None).await;
        if let Some(response) = response
            && response.status == StatusCode::OK
            && (response.json["state"] == "ready" || response.json["state"] == "failed")
        {
            return response.json;
        }
        assert!(
            begin.elapsed() < TIMEOUT,
            "media item {id} is never settled"
        );
        if swept.elapsed() > Duration::from_millis(500) {
            stack.sweep().await;
            swept = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that a media item has the expected variants, and that each has the bytes that its row describes.
pub(crate) async fn check_variants(media: &Value, expected: &[&str]) {
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

/// Returns the names of all stored objects of a media item.
pub(crate) async fn objects(stack: &Stack, id: &str) -> BTreeSet<String> {
    let bucket = Bucket::from_settings(|name| {
        let name = match name {
            // The object store itself, not the proxy.
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
