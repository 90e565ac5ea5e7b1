//! The media API, used as clients do.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{
    DEFAULT_VARIANTS, announcement, check_variants, get, objects, post, put_once, send, settled,
    sha256, upload,
};
use crate::picture::png;
use crate::proxy::{Step, Target, When};
use crate::stack::{Settings, Stack, Victim};

async fn problem(stack: &Stack, body: Value) -> (u16, String) {
    let answer = post(stack, "/api/media", body).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let kind = answer.json["type"].as_str().unwrap();
    (
        answer.status.as_u16(),
        kind.trim_start_matches("urn:tirage:problem:").to_owned(),
    )
}

/// Starting a stack takes seconds, so that these tests share one.
#[tokio::test(flavor = "multi_thread")]
async fn the_media_api() {
    let stack = Stack::start().await;
    a_photo_is_announced_uploaded_and_processed(&stack).await;
    a_presigned_url_accepts_only_the_announced_bytes(&stack).await;
    bad_announcements_are_refused(&stack).await;
    requests_with_the_same_key_take_effect_once(&stack).await;
    the_same_bytes_are_deduplicated(&stack).await;
    files_can_be_uploaded_directly(&stack).await;
    a_file_that_no_step_reads_fails_at_complete(&stack).await;
    repeated_direct_uploads_are_stored_once(&stack).await;
    lists_have_pages_and_filters(&stack).await;
    deletion_removes_rows_and_objects(&stack).await;
    a_failure_is_reported_and_can_be_retried(&stack).await;
    unauthenticated_jobs_are_refused(&stack).await;
}

async fn a_photo_is_announced_uploaded_and_processed(stack: &Stack) {
    let bytes = png(400, 300, 100);
    let announced = announcement("a.png", "image/png", &bytes);
    let answer = post(stack, "/api/media", announced).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let (media, upload) = (&answer.json["media"], &answer.json["upload"]);
    assert_eq!(media["state"], "uploading");
    assert_eq!(upload["method"], "PUT");
    assert!(upload["expires_at"].is_string());
    let id = media["id"].as_str().unwrap();

    let path = format!("/api/media/{id}/complete");
    let early = post(stack, &path, json!({})).await;
    assert_eq!(early.status, StatusCode::CONFLICT);

    assert_eq!(put_once(upload, &bytes).await.unwrap(), StatusCode::OK);
    let completed = post(stack, &path, json!({})).await;
    assert_eq!(completed.status, StatusCode::ACCEPTED);
    assert_eq!(
        completed.headers["location"],
        format!("/api/media/{id}").as_str()
    );
    assert_eq!(completed.json["state"], "processing");
    let task = completed.json["tasks"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let media = settled(stack, id).await;
    assert_eq!(media["state"], "ready", "{media}");
    check_variants(&media, &DEFAULT_VARIANTS).await;
    assert_eq!(media["kind"], "photo");
    assert_eq!(media["content_type"], "image/png");
    assert_eq!(media["sha256"], sha256(&bytes));
    assert_eq!(media["metadata"]["width"], 400);
    assert!(media["metadata"]["blurhash"].is_string(), "{media}");
    let thumb = media["variants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|variant| variant["name"] == "thumb")
        .unwrap();
    assert_eq!(
        (&thumb["width"], &thumb["height"]),
        (&json!(320), &json!(240))
    );

    let task = get(stack, &format!("/api/tasks/{task}")).await;
    assert_eq!(task.json["state"], "done");
    // A finished task isn't run again.
    let again = post(stack, &path, json!({})).await;
    assert_eq!(
        (again.status, &again.json["state"]),
        (StatusCode::ACCEPTED, &json!("ready"))
    );
    let retry = format!("/api/tasks/{}/retry", task.json["id"].as_str().unwrap());
    assert_eq!(
        post(stack, &retry, json!({})).await.status,
        StatusCode::CONFLICT
    );
}

/// A presigned URL accepts the announced bytes, of the announced type, once.
async fn a_presigned_url_accepts_only_the_announced_bytes(stack: &Stack) {
    let bytes = png(20, 20, 101);
    let answer = post(
        stack,
        "/api/media",
        announcement("b.png", "image/png", &bytes),
    )
    .await;
    let upload = &answer.json["upload"];
    let mut other_bytes = bytes.clone();
    other_bytes[40] ^= 1;
    for bad in [&other_bytes[..], &bytes[1..], &[&bytes[..], b"x"].concat()] {
        let status = put_once(upload, bad).await.unwrap();
        assert!(status.is_client_error(), "{status}");
    }
    let mut other_type = upload.clone();
    other_type["headers"]["content-type"] = json!("text/html");
    assert_eq!(
        put_once(&other_type, &bytes).await.unwrap(),
        StatusCode::FORBIDDEN
    );
    let id = answer.json["media"]["id"].as_str().unwrap();
    assert!(
        objects(stack, id).await.is_empty(),
        "a refused upload was stored"
    );

    assert_eq!(put_once(upload, &bytes).await.unwrap(), StatusCode::OK);
    assert_eq!(
        put_once(upload, &bytes).await.unwrap(),
        StatusCode::PRECONDITION_FAILED
    );
}

async fn bad_announcements_are_refused(stack: &Stack) {
    for body in [
        json!({}),
        json!([]),
        json!({"filename": "a", "content_type": "image/png", "size": -1}),
        json!({"filename": "a", "content_type": "image/png", "size": 0}),
        json!({"filename": "", "content_type": "image/png", "size": 1}),
        json!({"filename": "a", "content_type": "png", "size": 1}),
        json!({"filename": "a", "content_type": "image/png", "size": 1, "sha256": "0"}),
    ] {
        assert_eq!(problem(stack, body.clone()).await.0, 400, "{body}");
    }
    let large = json!({"filename": "a", "content_type": "image/png", "size": 64 * 1024 * 1024 + 1});
    assert_eq!(
        problem(stack, large).await,
        (413, "body-too-large".to_owned())
    );
    for path in [
        "/api/media/0",
        "/api/media/01990000-0000-7000-8000-000000000001",
    ] {
        assert_eq!(get(stack, path).await.status, StatusCode::NOT_FOUND);
    }
}

async fn requests_with_the_same_key_take_effect_once(stack: &Stack) {
    let create = async |key: &str, size: u64| {
        let body = json!({"filename": "c.png", "content_type": "image/png", "size": size});
        let answer = send(stack, Method::POST, "/api/media", Some(key), Some(body))
            .await
            .unwrap();
        (answer.status.as_u16(), answer.json)
    };
    let answers = futures::future::join_all((0..6).map(|_| create("k1", 9))).await;
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|(status, json)| {
            assert_eq!(*status, 201, "{json}");
            json["media"]["id"].as_str().unwrap()
        })
        .collect();
    assert_eq!(ids.len(), 1);
    let (status, json) = create("k1", 10).await;
    assert_eq!(
        (status, &json["type"]),
        (422, &json!("urn:tirage:problem:idempotency-key-reused"))
    );
    assert_eq!(create("", 9).await.0, 400);

    let describe = async |text: &str| {
        let body = Some(json!({ "text": text }));
        let answer = send(stack, Method::POST, "/api/description", Some("k2"), body);
        let answer = answer.await.unwrap();
        (answer.status.as_u16(), answer.json)
    };
    let answers = futures::future::join_all((0..4).map(|_| describe("once"))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer == &answers[0] && answer.0 == 200),
        "{answers:?}"
    );
    assert_eq!(describe("another").await.0, 422);
}

async fn the_same_bytes_are_deduplicated(stack: &Stack) {
    let bytes = png(60, 60, 102);
    let id = upload(stack, "d.png", "image/png", &bytes).await;
    settled(stack, &id).await;
    let again = post(
        stack,
        "/api/media",
        announcement("e.png", "image/png", &bytes),
    )
    .await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json["media"]["id"], id.as_str());
    assert_eq!(again.json.get("upload"), None);
}

/// Uploads a file as the body of a request to the api.
async fn post_file(
    stack: &Stack,
    name: &str,
    key: Option<&str>,
    bytes: Vec<u8>,
) -> (StatusCode, Value) {
    let mut request = reqwest::Client::new()
        .post(stack.at(&format!("/api/media?filename={name}")))
        .header("content-type", "application/octet-stream")
        .body(bytes);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn files_can_be_uploaded_directly(stack: &Stack) {
    let bytes = png(80, 50, 103);
    let direct = async |body: Vec<u8>, name: &str| post_file(stack, name, None, body).await;
    let (status, media) = direct(bytes.clone(), "f.bin").await;
    assert_eq!(status, StatusCode::CREATED, "{media}");
    assert_eq!(media["filename"], "f.bin");
    // Detected from the bytes, not from the name.
    assert_eq!(media["content_type"], "image/png");
    assert_eq!(media["sha256"], sha256(&bytes));
    let media = settled(stack, media["id"].as_str().unwrap()).await;
    check_variants(&media, &DEFAULT_VARIANTS).await;

    // reqwest sends no content-length for an empty body.
    assert_eq!(direct(Vec::new(), "g").await.0, StatusCode::LENGTH_REQUIRED);
    assert_eq!(status_of_too_large(stack), "413");
    // Larger than the function's memory limit.
    let (status, large) = direct(vec![7; 60 * 1024 * 1024], "i").await;
    assert_eq!(status, StatusCode::CREATED, "{large}");
    assert_eq!(
        (&large["state"], &large["kind"]),
        (&json!("failed"), &json!("other"))
    );
    assert_unsupported(&large, "The format of this file is unknown.");
    assert_eq!(large["sha256"], sha256(&vec![7; 60 * 1024 * 1024]));
}

/// The media item failed because of its format, and no worker will be asked.
fn assert_unsupported(media: &Value, detail: &str) {
    assert_eq!(media["state"], "failed", "{media}");
    assert_eq!(media["tasks"], json!([]), "{media}");
    let failure = &media["failure"];
    assert_eq!(failure["type"], "urn:tirage:problem:unsupported-format");
    assert_eq!(failure["status"], 415, "{failure}");
    let text = failure["detail"].as_str().unwrap();
    assert!(text.starts_with(detail), "{failure}");
    assert!(text.contains("JPEG, PNG, WebP, GIF and AVIF"), "{failure}");
    assert!(media["finished_at"].is_string(), "{media}");
}

async fn a_file_that_no_step_reads_fails_at_complete(stack: &Stack) {
    let complete = async |id: &str| {
        let path = format!("/api/media/{id}/complete");
        let answer = post(stack, &path, json!({})).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
        answer.json
    };
    let put = async |name: &str, content_type: &str, bytes: &[u8]| {
        let announced = announcement(name, content_type, bytes);
        let answer = post(stack, "/api/media", announced).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        let status = put_once(&answer.json["upload"], bytes).await.unwrap();
        assert_eq!(status, StatusCode::OK);
        answer.json["media"]["id"].as_str().unwrap().to_owned()
    };

    // 30 MB that claim to be a photo: only the first bytes are read.
    let large = [b"notes, ".repeat(30_000_000 / 7), png(20, 20, 107)].concat();
    let id = put("notes.png", "image/png", &large).await;
    let begin = Instant::now();
    let media = complete(&id).await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_unsupported(&media, "The format of this file is unknown.");
    assert_eq!(
        (&media["kind"], &media["sha256"]),
        (&json!("other"), &json!(sha256(&large)))
    );
    // A sweep and a second call change nothing.
    let swept = stack.sweep().await.unwrap();
    assert_eq!(swept["sent"], 0, "{swept}");
    assert_unsupported(&complete(&id).await, "The format of this file is unknown.");
    assert_eq!(objects(stack, &id).await.len(), 1);

    let pdf = b"%PDF-1.7\n";
    let id = put("pages.pdf", "application/pdf", pdf).await;
    let media = complete(&id).await;
    assert_unsupported(&media, "Files of type application/pdf are not read yet.");
    assert_eq!(media["kind"], "document");
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let (status, media) = post_file(stack, "iphone.heic", None, heic.to_vec()).await;
    assert_eq!(status, StatusCode::CREATED, "{media}");
    assert_unsupported(&media, "HEIC images are not read yet.");
    assert_eq!(media["kind"], "photo");
}

/// The first request stores the bytes, but its response is lost.
async fn repeated_direct_uploads_are_stored_once(stack: &Stack) {
    let bytes = png(80, 50, 106);
    let mut other_bytes = bytes.clone();
    other_bytes[40] ^= 1;
    let direct = async |bytes: &[u8]| {
        let (status, json) = post_file(stack, "m.png", Some("k3"), bytes.to_vec()).await;
        (status.as_u16(), json)
    };
    let step = Step {
        target: Some(Target::ObjectStore),
        call: 1,
        when: When::After,
    };
    stack.proxy.plan(step, || {});
    assert_eq!(direct(&bytes).await.0, 503);
    assert!(stack.proxy.has_acted());

    let reused = json!("urn:tirage:problem:idempotency-key-reused");
    let (status, problem) = direct(&other_bytes).await;
    assert_eq!((status, &problem["type"]), (422, &reused), "{problem}");
    let (status, media) = direct(&bytes).await;
    assert_eq!(status, 201, "{media}");
    assert_eq!(media["sha256"], sha256(&bytes));
    let id = media["id"].as_str().unwrap();
    assert_eq!(settled(stack, id).await["state"], "ready");

    let (status, again) = direct(&bytes).await;
    assert_eq!((status, &again["id"]), (201, &media["id"]), "{again}");
    let (status, problem) = direct(&other_bytes).await;
    assert_eq!((status, &problem["type"]), (422, &reused), "{problem}");
}

/// Calls the object store without the proxy, which would collect the body first.
#[tokio::test(flavor = "multi_thread")]
async fn a_direct_upload_without_storage_is_a_503() {
    let direct = |settings: &mut Settings| {
        let find = |name| settings.iter().position(|(known, _)| *known == name);
        let (from, to) = (find("S3_PUBLIC_ENDPOINT"), find("S3_ENDPOINT"));
        settings[to.unwrap()].1 = settings[from.unwrap()].1.clone();
    };
    let stack = Stack::adapted(direct, &[]).await;
    stack.kill(Victim::ObjectStore);
    let bytes = vec![7; 1 << 20];
    let answer = post_file(&stack, "down.bin", None, bytes).await;
    assert_eq!(answer.0, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.1);
}

/// Returns the status for a content-length above the limit, before any byte of the body is sent.
fn status_of_too_large(stack: &Stack) -> String {
    let address = stack.address();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = 64 * 1024 * 1024 + 1;
    let head =
        format!("POST /api/media HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

async fn lists_have_pages_and_filters(stack: &Stack) {
    let mut path = "/api/media?limit=2&state=ready".to_owned();
    let mut ids = Vec::new();
    loop {
        let page = get(stack, &path).await;
        assert_eq!(page.status, StatusCode::OK);
        let media = page.json["media"].as_array().unwrap();
        assert!(media.len() <= 2);
        assert!(media.iter().all(|media| media["state"] == "ready"));
        ids.extend(
            media
                .iter()
                .map(|media| media["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page.json["next"].as_str() else {
            assert!(!page.headers.contains_key("link"));
            break;
        };
        let link = page.headers["link"].to_str().unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
        assert!(
            path.ends_with(next) && link.ends_with("rel=\"next\""),
            "{link}"
        );
    }
    assert!(ids.len() >= 3);
    assert!(
        ids.is_sorted_by(|one, other| one > other),
        "newest first, without duplicates"
    );
    for query in ["limit=0", "cursor=x", "kind=x", "state=x"] {
        let answer = get(stack, &format!("/api/media?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

async fn deletion_removes_rows_and_objects(stack: &Stack) {
    let id = upload(stack, "j.png", "image/png", &png(30, 30, 104)).await;
    let media = settled(stack, &id).await;
    let path = format!("/api/media/{id}");
    let delete = async || {
        send(stack, Method::DELETE, &path, None, None)
            .await
            .unwrap()
            .status
    };
    assert_eq!(delete().await, StatusCode::NO_CONTENT);
    assert_eq!(delete().await, StatusCode::NOT_FOUND);
    assert_eq!(get(stack, &path).await.status, StatusCode::NOT_FOUND);
    assert!(objects(stack, &id).await.is_empty());
    let variant = reqwest::get(media["variants"][0]["url"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(variant.status(), StatusCode::NOT_FOUND);
    let task = media["tasks"][0]["id"].as_str().unwrap();
    assert_eq!(
        get(stack, &format!("/api/tasks/{task}")).await.status,
        StatusCode::NOT_FOUND
    );
}

async fn a_failure_is_reported_and_can_be_retried(stack: &Stack) {
    let mut broken = png(30, 30, 105);
    broken.truncate(60);
    let id = upload(stack, "k.png", "image/png", &broken).await;
    let media = settled(stack, &id).await;
    assert_eq!(media["state"], "failed");
    let failure = &media["failure"];
    assert_eq!(failure["status"], 422, "{failure}");
    assert!(
        failure["detail"].is_string() && failure["type"].is_string(),
        "{failure}"
    );
    assert_eq!(&media["tasks"][0]["failure"], failure);

    let task = media["tasks"][0]["id"].as_str().unwrap();
    let path = format!("/api/tasks/{task}/retry");
    let retried = send(stack, Method::POST, &path, Some("again"), None)
        .await
        .unwrap();
    assert_eq!(retried.status, StatusCode::ACCEPTED);
    assert_eq!(retried.json["attempt"], 2);
    settled(stack, &id).await;
    let repeated = send(stack, Method::POST, &path, Some("again"), None)
        .await
        .unwrap();
    assert_eq!(repeated.json["attempt"], 2, "the same request again");
}

async fn unauthenticated_jobs_are_refused(stack: &Stack) {
    for (path, body, status) in [
        ("/jobs/photo", "{}", 400),
        (
            "/jobs/photo",
            r#"{"v":1,"task":"01990000-0000-7000-8000-000000000001","kind":"photo","attempt":1,"mac":"00"}"#,
            403,
        ),
        ("/jobs/video", "{}", 404),
        ("/jobs/sweep", "{}", 403),
    ] {
        let answer = reqwest::Client::new()
            .post(stack.at(path))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path} {body}");
    }
}
