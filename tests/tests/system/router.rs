//! The router as clients see it: statuses, headers, protocols, concurrency, and graceful shutdown.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use rustix::process::Signal;
use serde_json::Value;

use crate::application::Bundle;
use crate::harness::Application;

/// Checks that the router's response is a problem document, and returns that.
async fn problem(response: reqwest::Response) -> Value {
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let status = response.status().as_u16();
    let request = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["status"], status);
    assert!(
        document["type"]
            .as_str()
            .unwrap()
            .starts_with("urn:tirage:problem:")
    );
    assert_eq!(
        document["instance"],
        format!("urn:tirage:request:{request}")
    );
    document
}

#[tokio::test]
async fn each_failure_has_its_status_and_the_next_request_is_served() {
    let router = Application::new()
        .guest("hello", "")
        .guest("trap", "")
        .guest("loop-forever", "timeout_ms = 500")
        .guest("eat-memory", "memory_mib = 32")
        .guest("echo", "max_request_body_bytes = 1000")
        .start();
    let client = Client::new();
    for (path, status) in [
        ("/nothing-here", 404),
        ("/trap", 502),
        ("/loop-forever", 504),
        ("/eat-memory", 507),
    ] {
        let response = client.get(router.at(path)).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        problem(response).await;
        let next = client.get(router.at("/hello")).send().await.unwrap();
        assert_eq!(next.status(), 200, "after {path}");
    }
    let large = client.post(router.at("/echo")).body(vec![b'x'; 1001]);
    let response = large.send().await.unwrap();
    assert_eq!(response.status(), 413);
    let document = problem(response).await;
    assert_eq!(document["detail"], "The request's body exceeds 1000 bytes.");
}

#[tokio::test]
async fn a_busy_component_answers_503_with_retry_after() {
    let router = Application::new()
        .guest("sleep", "max_concurrency = 1\nqueue_timeout_ms = 100")
        .start();
    let client = Client::new();
    let first = tokio::spawn(client.get(router.at("/sleep?ms=1000")).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = client.get(router.at("/sleep?ms=1")).send().await.unwrap();
    assert_eq!(second.status(), 503);
    assert_eq!(second.headers()["retry-after"], "1");
    problem(second).await;
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_thousand_concurrent_connections_are_served() {
    let router = Application::new().guest("hello", "").start();
    let requests = (0..1000).map(|_| {
        let url = router.at("/hello");
        // A client per request, so that no connection is shared.
        tokio::spawn(async move { Client::new().get(url).send().await?.text().await })
    });
    let requests: Vec<_> = requests.collect();
    for request in requests {
        assert!(!request.await.unwrap().unwrap().is_empty());
    }
}

#[tokio::test]
async fn http_1_and_http_2_without_tls_are_supported() {
    let router = Application::new().guest("hello", "").start();
    let h2 = Client::builder().http2_prior_knowledge().build().unwrap();
    let response = h2.get(router.at("/hello")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
    let response = Client::new().get(router.at("/hello")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
}

#[tokio::test]
async fn head_has_the_headers_of_get_in_both_protocols() {
    let bundle = Bundle::new();
    let router = bundle.router();
    let http_2 = Client::builder().http2_prior_knowledge().build().unwrap();
    for client in [Client::new(), http_2] {
        for path in ["/health", "/", "/api/nothing", "/.well-known/spin/health"] {
            let get = client.get(router.at(path)).send().await.unwrap();
            let head = client.head(router.at(path)).send().await.unwrap();
            assert_eq!(head.status(), get.status(), "{path}");
            let length = &head.headers()["content-length"];
            assert_eq!(length, &get.headers()["content-length"], "{path}");
            assert_ne!(length, "0", "{path}");
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn clients_cannot_forge_the_routers_headers_but_can_set_the_request_id() {
    let router = Application::new().guest("headers", "").start();
    let request = Client::new()
        .get(router.at("/headers/some/path?q=1"))
        .header("spin-client-addr", "1.2.3.4:5")
        .header("spin-path-match-id", "forged")
        .header("x-request-id", "mine-42");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-42");
    let seen: Value = response.json().await.unwrap();
    let header = |name: &str| -> Vec<String> {
        let headers = seen["headers"].as_array().unwrap().iter();
        headers
            .filter(|header| header[0] == name)
            .map(|header| header[1].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(header("x-request-id"), ["mine-42"]);
    assert_eq!(header("spin-path-info"), ["/some/path"]);
    assert_eq!(header("spin-matched-route"), ["/headers/..."]);
    assert_eq!(
        header("spin-full-url"),
        [router.at("/headers/some/path?q=1")]
    );
    assert!(header("spin-path-match-id").is_empty());
    let client = header("spin-client-addr");
    assert!(
        client.len() == 1 && client[0].starts_with("127.0.0.1:"),
        "{client:?}"
    );

    // A request id that could break a log line is replaced.
    let request = Client::new()
        .get(router.at("/headers"))
        .header("x-request-id", "a b\"c");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn well_known_paths_of_spin_and_static_responses_are_served() {
    let router = Application::new()
        .guest("hello", "")
        .toml(
            r#"
            [[trigger.http]]
            route = "/old"
            static_response = { status_code = 301, headers = { location = "/hello" }, body = "moved" }
            "#,
        )
        .start();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let get = |path: &str| client.get(router.at(path)).send();
    assert_eq!(
        get("/.well-known/spin/health")
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "OK"
    );
    let info: Value = get("/.well-known/spin/info")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(info["name"], "guests");
    let moved = get("/old").await.unwrap();
    assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(moved.headers()["location"], "/hello");
    assert_eq!(moved.text().await.unwrap(), "moved");
}

#[tokio::test]
async fn a_stream_runs_for_a_minute_with_a_deadline_of_two_seconds() {
    let router = Application::new()
        .guest("stream-slowly", "timeout_ms = 2000")
        .start();
    let url = router.at("/stream-slowly?chunks=61&interval_ms=1000");
    let begin = Instant::now();
    let mut response = Client::new().get(url).send().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "the head arrives first"
    );
    let mut lines = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
        // Each chunk arrives when it is sent, not with the next one.
        assert!(begin.elapsed() + Duration::from_secs(2) > Duration::from_secs(lines as u64));
    }
    assert_eq!(lines, 61);
    assert!(begin.elapsed() >= Duration::from_secs(60));
}

#[tokio::test]
async fn sigterm_finishes_requests_in_flight_and_refuses_new_ones() {
    let mut router = Application::new().guest("sleep", "").start();
    let request = tokio::spawn(Client::new().get(router.at("/sleep?ms=1500")).send());
    tokio::time::sleep(Duration::from_millis(400)).await;
    router.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = Client::new().get(router.at("/sleep?ms=1")).send().await;
    assert!(refused.unwrap_err().is_connect());
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    assert_eq!(router.ended(Duration::from_secs(5)).code(), Some(0));
}

#[tokio::test]
async fn the_router_exits_when_the_drain_timeout_expires() {
    let mut router = Application::new()
        .guest("sleep", "")
        .start_with(&[], &[("DRAIN_SECONDS", "1")]);
    let request = tokio::spawn(Client::new().get(router.at("/sleep?ms=20000")).send());
    tokio::time::sleep(Duration::from_millis(400)).await;
    let begin = Instant::now();
    router.signal(Signal::TERM);
    assert_eq!(router.ended(Duration::from_secs(5)).code(), Some(0));
    assert!(begin.elapsed() >= Duration::from_millis(900));
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn with_exit_with_stdin_the_router_exits_when_stdin_closes() {
    let mut router = Application::new()
        .guest("hello", "")
        .start_with(&["--exit-with-stdin"], &[]);
    drop(router.stdin.take());
    assert_eq!(router.ended(Duration::from_secs(5)).code(), Some(0));
}

#[tokio::test]
async fn an_open_stdin_does_not_delay_the_exit() {
    let mut router = Application::new()
        .guest("hello", "")
        .start_with(&["--exit-with-stdin"], &[]);
    router.signal(Signal::TERM);
    assert_eq!(router.ended(Duration::from_secs(5)).code(), Some(0));
    drop(router.stdin.take());
}

#[tokio::test]
async fn metrics_are_served_on_their_own_address_only() {
    let router = Application::new()
        .guest("hello", "")
        .guest("trap", "")
        .start_with(&[], &[("METRICS_ADDR", "127.0.0.1:0")]);
    let client = Client::new();
    client.get(router.at("/hello")).send().await.unwrap();
    client.get(router.at("/trap")).send().await.unwrap();
    let public = client.get(router.at("/metrics")).send().await.unwrap();
    assert_eq!(public.status(), 404);

    let log = router.log();
    let address = log
        .split("metrics on ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let metrics = client
        .get(address)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for expected in [
        r#"tirage_requests_total{component="hello",method="GET",status="200"} 1"#,
        r#"tirage_traps_total{component="trap"} 1"#,
        r#"tirage_request_duration_seconds_count{component="hello"} 1"#,
        r#"tirage_instances_started_total{component="hello"} 1"#,
    ] {
        assert!(
            metrics.contains(expected),
            "{expected} is not in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn logs_can_be_json_and_include_output_of_guests() {
    let router = Application::new()
        .guest("trap", "")
        .start_with(&[], &[("LOG_FORMAT", "json")]);
    let request = Client::new()
        .get(router.at("/trap"))
        .header("x-request-id", "find-me");
    request.send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let log = router.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["request_id"] == "find-me" && line["status"] == 502)
    );
    assert!(lines.iter().any(|line| {
        line["component"] == "trap"
            && line["message"]
                .as_str()
                .unwrap()
                .contains("trap as requested")
    }));
}
