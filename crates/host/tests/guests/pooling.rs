//! Connections are kept, for the component that opened them, and a request is never sent twice.

use std::time::Duration;

use tirage_host::ComponentSpec;

use crate::harness::{allowed, ask_json, guest, positive, start};
use crate::servers::{friendly, server};

fn call_out(id: &str, entries: &[&str]) -> ComponentSpec {
    let mut spec = guest("call-out");
    spec.id = id.to_owned();
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    spec
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let server = friendly().await;
    let mut spec = call_out("caller", &[&server.origin()]);
    // Instances come and go; connections are the component's.
    spec.limits.requests_per_instance = positive(1);
    let host = start([spec]);
    for _ in 0..5 {
        let answer = ask_json(&host, "caller", &format!("/?url={}", server.origin())).await;
        assert_eq!(answer["body"], "it's me", "{answer}");
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_connection_is_of_no_use_to_a_component_that_may_not_open_it() {
    let server = friendly().await;
    let host = start([
        call_out("may", &[&server.origin()]),
        call_out("may-not", &["http://*:*"]),
        call_out("may-too", &[&server.origin()]),
    ]);
    let target = format!("/?url={}", server.origin());
    assert_eq!(ask_json(&host, "may", &target).await["status"], 200);
    assert_eq!(
        ask_json(&host, "may-not", &target).await["error"],
        "ErrorCode::DestinationIpProhibited"
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(ask_json(&host, "may-too", &target).await["status"], 200);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_has_ended_is_replaced() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.answer("only once").await;
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    for _ in 0..3 {
        let answer = ask_json(&host, "caller", &format!("/?url={}", server.origin())).await;
        assert_eq!(answer["body"], "only once", "{answer}");
        // The end of the connection takes a moment to be seen.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn a_request_that_a_kept_connection_has_swallowed_is_not_sent_again() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.answer("first").await;
        connection.request().await;
        if connection.number > 0 {
            connection.answer("sent again").await;
        }
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    let target = format!("/?url={}&method=POST", server.origin());
    assert_eq!(ask_json(&host, "caller", &target).await["body"], "first");
    // The connection takes a moment to be kept.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = ask_json(&host, "caller", &target).await;
    assert_eq!(
        answer["error"], "ErrorCode::ConnectionTerminated",
        "{answer}"
    );
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_wanted_to_the_end_is_not_used_again() {
    let server = server(async |mut connection| {
        while connection.request().await {
            let body = match connection.number {
                0 => "x".repeat(2 << 20),
                _ => "new".to_owned(),
            };
            connection.answer(&body).await;
        }
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    let target = format!("/?url={}", server.origin());
    assert_eq!(
        ask_json(&host, "caller", &target).await["error"],
        "ErrorCode::HttpResponseBodySize(Some(1048576))"
    );
    assert_eq!(ask_json(&host, "caller", &target).await["body"], "new");
    assert_eq!(server.connections(), 2);
}
