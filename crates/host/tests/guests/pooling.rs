//! Pooled connections: each belongs to one component, and no request is sent twice.

use std::time::Duration;

use tirage_host::ComponentSpec;

use crate::harness::{allowed, get_json, guest, positive, start};
use crate::servers::{answering, server};

fn call_out(id: &str, entries: &[&str]) -> ComponentSpec {
    let mut spec = guest("call-out");
    spec.id = id.to_owned();
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    spec
}

#[tokio::test]
async fn consecutive_calls_share_a_connection() {
    let server = answering().await;
    let mut spec = call_out("caller", &[&server.origin()]);
    // The pool belongs to the component, not to an instance.
    spec.limits.requests_per_instance = positive(1);
    let host = start([spec]);
    for _ in 0..5 {
        let response = get_json(&host, "caller", &format!("/?url={}", server.origin())).await;
        assert_eq!(response["body"], "it's me", "{response}");
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn components_do_not_share_connections() {
    let server = answering().await;
    let host = start([
        call_out("may", &[&server.origin()]),
        call_out("may-not", &["http://*:*"]),
        call_out("may-too", &[&server.origin()]),
    ]);
    let target = format!("/?url={}", server.origin());
    assert_eq!(get_json(&host, "may", &target).await["status"], 200);
    assert_eq!(
        get_json(&host, "may-not", &target).await["error"],
        "ErrorCode::DestinationIpProhibited"
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(get_json(&host, "may-too", &target).await["status"], 200);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_closed_pooled_connection_is_replaced() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.respond("only once").await;
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    for _ in 0..3 {
        let response = get_json(&host, "caller", &format!("/?url={}", server.origin())).await;
        assert_eq!(response["body"], "only once", "{response}");
        // Time for the client to notice the closed connection.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn a_request_lost_on_a_pooled_connection_is_not_sent_again() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.respond("first").await;
        connection.request().await;
        if connection.number > 0 {
            connection.respond("sent again").await;
        }
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    let target = format!("/?url={}&method=POST", server.origin());
    assert_eq!(get_json(&host, "caller", &target).await["body"], "first");
    // Time for the connection to return to the pool.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let response = get_json(&host, "caller", &target).await;
    assert_eq!(
        response["error"], "ErrorCode::ConnectionTerminated",
        "{response}"
    );
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_with_an_unread_body_is_not_reused() {
    let server = server(async |mut connection| {
        while connection.request().await {
            let body = match connection.number {
                0 => "x".repeat(2 << 20),
                _ => "new".to_owned(),
            };
            connection.respond(&body).await;
        }
    })
    .await;
    let host = start([call_out("caller", &[&server.origin()])]);
    let target = format!("/?url={}", server.origin());
    assert_eq!(
        get_json(&host, "caller", &target).await["error"],
        "ErrorCode::HttpResponseBodySize(Some(1048576))"
    );
    assert_eq!(get_json(&host, "caller", &target).await["body"], "new");
    assert_eq!(server.connections(), 2);
}
