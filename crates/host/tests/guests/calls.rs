//! Successful calls: responses, streams, reuse of instances, concurrency.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tirage_host::{Allocator, Variables};
use tirage_manifest::World;

use crate::harness::{
    assert_streams, get, get_json, get_text, guest, positive, post, start, text, try_start_with,
};

#[tokio::test]
async fn components_of_wasi_0_2_and_0_3_serve_requests() {
    let host = start([guest("hello"), guest("wasi02")]);
    for name in ["hello", "wasi02"] {
        let calls = (0..50).map(|_| get_text(&host, name, "/"));
        for response in futures::future::join_all(calls).await {
            assert!(!response.is_empty());
        }
    }
}

#[tokio::test]
async fn both_allocators_work() {
    for allocator in [Allocator::Pooling, Allocator::OnDemand] {
        let host = try_start_with(allocator, [guest("hello"), guest("count")]).unwrap();
        assert_eq!(get_text(&host, "count", "/").await, "1", "{allocator:?}");
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions_concurrently() {
    let mut spec = guest("echo");
    spec.limits.timeout = Duration::from_secs(10);
    let host = start([spec]);
    assert_streams(&host, "echo").await;
}

#[tokio::test]
async fn a_large_response_arrives_completely() {
    let host = start([guest("big-response")]);
    let body = get_text(&host, "big-response", "/?bytes=10000000").await;
    assert_eq!(body.len(), 10_000_000);
}

#[tokio::test]
async fn a_stream_that_the_guest_handed_to_the_host_outlives_the_idle_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let size = 20_000_000;
    std::fs::write(folder.path().join("file"), vec![b'x'; size]).unwrap();
    let mut spec = guest("give-away");
    spec.world = World::Site;
    spec.limits.timeout = Duration::from_secs(10);
    spec.folders = vec![tirage_host::ReadOnlyFolder {
        source: folder.path().to_owned(),
        destination: "/".to_owned(),
    }];
    let host = start([spec]);
    let mut body = host.call("give-away", get("/")).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    // Longer than the idle timeout of an instance.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(first.len() + rest.len(), size);
}

#[tokio::test]
async fn an_instance_serves_requests_up_to_its_limit() {
    let mut reused = guest("count");
    reused.limits.requests_per_instance = positive(3);
    let host = start([reused]);
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(get_text(&host, "count", "/").await);
    }
    assert_eq!(counts, ["1", "2", "3", "1", "2"]);
}

#[tokio::test]
async fn a_limit_of_one_gives_each_request_a_fresh_instance() {
    let mut fresh = guest("count");
    fresh.limits.requests_per_instance = positive(1);
    let host = start([fresh]);
    for _ in 0..3 {
        assert_eq!(get_text(&host, "count", "/").await, "1");
    }
}

#[tokio::test]
async fn concurrent_requests_share_an_instance() {
    let mut spec = guest("sleep");
    spec.limits.max_concurrency = positive(8);
    let host = start([spec]);
    let begin = std::time::Instant::now();
    let calls = (0..8).map(|_| get_text(&host, "sleep", "/?ms=200"));
    futures::future::join_all(calls).await;
    assert!(begin.elapsed() < Duration::from_millis(8 * 200));
}

#[tokio::test]
async fn a_thousand_concurrent_requests_are_all_served() {
    let mut spec = guest("hello");
    spec.limits.queue_timeout = Duration::from_secs(60);
    spec.limits.timeout = Duration::from_secs(30);
    let host = start([spec]);
    let calls = (0..1000).map(|_| {
        let host = host.clone();
        tokio::spawn(async move { get_text(&host, "hello", "/").await })
    });
    for call in futures::future::join_all(calls).await {
        assert!(!call.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_guest_reads_its_own_variables_only() {
    let mut spec = guest("variables");
    spec.variables = Variables::from_iter([("greeting".to_owned(), "bonjour".to_owned())]);
    let host = start([spec]);
    assert!(
        get_text(&host, "variables", "/?name=greeting")
            .await
            .contains("bonjour")
    );
    let response = host.call("variables", get("/?name=secret")).await.unwrap();
    let response = text(response.into_body()).await;
    assert!(response.to_lowercase().contains("undefined"), "{response}");
}

#[tokio::test]
async fn the_guest_receives_method_target_headers_and_body() {
    let host = start([guest("headers"), guest("echo")]);
    let mut request = post("/some/path?a=1&b=2", "");
    request
        .headers_mut()
        .insert("x-custom", http::HeaderValue::from_static("value"));
    let response = host.call("headers", request).await.unwrap();
    let seen: serde_json::Value = serde_json::from_str(&text(response.into_body()).await).unwrap();
    let seen = seen.to_string();
    for expected in ["POST", "/some/path?a=1&b=2", "x-custom", "value"] {
        assert!(seen.contains(expected), "{expected} is not in {seen}");
    }
    let response = host.call("echo", post("/", "a body")).await.unwrap();
    assert_eq!(text(response.into_body()).await, "a body");
}

#[tokio::test]
async fn a_guest_sees_no_environment_arguments_files_or_input() {
    let host = start([guest("snoop")]);
    let seen = get_json(&host, "snoop", "/").await;
    assert_eq!(seen["environment"], serde_json::json!({}));
    assert_eq!(seen["arguments"], serde_json::json!([]));
    for denied in [
        "root_directory",
        "working_directory",
        "read_etc_passwd",
        "write_file",
        "write_temporary_file",
    ] {
        assert!(
            seen[denied]["error"].is_string(),
            "{denied}: {}",
            seen[denied]
        );
    }
    assert_eq!(seen["standard_input"]["ok"], "");
    assert_eq!(seen["clock_advances"], true);
    assert!(seen["unix_time_ms"]["ok"].as_u64().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn a_guest_sees_its_environment_and_its_folders_read_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page.html"), "hello").unwrap();
    let mut spec = guest("snoop");
    spec.environment = vec![("COLOUR".to_owned(), "blue".to_owned())];
    spec.folders = vec![tirage_host::ReadOnlyFolder {
        source: folder.path().to_owned(),
        destination: "/".to_owned(),
    }];
    let host = start([spec]);
    let seen = get_json(&host, "snoop", "/").await;
    assert_eq!(seen["environment"], serde_json::json!({"COLOUR": "blue"}));
    assert_eq!(
        seen["root_directory"]["ok"],
        serde_json::json!(["page.html"])
    );
    assert!(seen["write_file"]["error"].is_string());
    assert!(seen["read_etc_passwd"]["error"].is_string());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
