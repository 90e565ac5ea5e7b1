//! Servers that are too slow, send too much or send malformed responses: each causes its own error in
//! the guest.

use std::future::pending;
use std::time::Duration;

use serde_json::Value;
use tirage_host::Host;
use tirage_manifest::OutgoingLimits;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{allowed, get_json, guest, limits, positive, start};
use crate::servers::{Server, answering, repeating, sending, server};

/// A host with the guest `call-out` and changed limits.
fn host(change: impl FnOnce(&mut OutgoingLimits)) -> Host {
    let mut spec = guest("call-out");
    spec.limits.timeout = Duration::from_secs(30);
    spec.limits.outgoing = OutgoingLimits {
        timeout: Duration::from_secs(20),
        total_timeout: Duration::from_secs(20),
        ..limits().outgoing
    };
    change(&mut spec.limits.outgoing);
    spec.allowed_hosts = allowed(&["http://127.0.0.1:*"]);
    start([spec])
}

async fn fetch(host: &Host, server: &Server) -> Value {
    get_json(host, "call-out", &format!("/?url={}", server.origin())).await
}

async fn error(host: &Host, server: &Server) -> String {
    let response = fetch(host, server).await;
    response["error"]
        .as_str()
        .unwrap_or_else(|| panic!("no error: {response}"))
        .to_owned()
}

#[tokio::test]
async fn a_server_that_never_responds() {
    let server = sending("").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_head_that_stalls() {
    let server = sending("HTTP/1.1 200 OK\r\ncontent-le").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn endless_informational_responses() {
    let server = repeating("", "HTTP/1.1 100 Continue\r\n\r\n").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_guest_may_set_shorter_timeouts() {
    let silent = sending("").await;
    let stops = sending("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let host = host(|_| {});
    for (server, timeout, expected) in [
        (
            &silent,
            "first_byte_ms=100",
            "ErrorCode::HttpResponseTimeout",
        ),
        (
            &stops,
            "between_bytes_ms=100",
            "ErrorCode::ConnectionReadTimeout",
        ),
    ] {
        let target = format!("/?url={}&{timeout}", server.origin());
        let response = get_json(&host, "call-out", &target).await;
        assert_eq!(response["error"], expected, "{response}");
    }
}

/// A listener with a full backlog, to which no connection can be established.
async fn full_listener() -> (u16, tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the backlog never fills");
    }
    (address.port(), listener, waiting)
}

#[tokio::test]
async fn a_connection_that_cannot_be_established() {
    let (port, _listener, _waiting) = full_listener().await;
    let target = format!("/?url=http://127.0.0.1:{port}");
    let short = host(|limits| limits.connect_timeout = Duration::from_millis(200));
    let response = get_json(&short, "call-out", &target).await;
    assert_eq!(response["error"], "ErrorCode::ConnectionTimeout");
    let long = host(|limits| limits.connect_timeout = Duration::from_secs(20));
    let response = get_json(&long, "call-out", &format!("{target}&connect_ms=200")).await;
    assert_eq!(response["error"], "ErrorCode::ConnectionTimeout");
}

#[tokio::test]
async fn endless_headers() {
    let host = host(|_| {});
    for piece in ["x-endless: and so on\r\n", "on-and-on"] {
        let server = repeating("HTTP/1.1 200 OK\r\n", piece).await;
        assert_eq!(
            error(&host, &server).await,
            "ErrorCode::HttpResponseHeaderSectionSize(Some(16384))"
        );
    }
}

#[tokio::test]
async fn too_many_or_too_long_headers() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection
            .send("HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    for (count, bytes, expected) in [
        (3, 1000, Value::Null),
        (
            2,
            1000,
            "ErrorCode::HttpResponseHeaderSectionSize(Some(1000))".into(),
        ),
        (3, 31, Value::Null),
        (
            3,
            30,
            "ErrorCode::HttpResponseHeaderSectionSize(Some(30))".into(),
        ),
    ] {
        let host = host(|limits| {
            limits.max_response_headers = positive(count);
            limits.max_response_header_bytes = positive(bytes);
        });
        let response = fetch(&host, &server).await;
        assert_eq!(
            response["error"], expected,
            "{count} headers, {bytes} bytes"
        );
    }
}

#[tokio::test]
async fn an_endless_body() {
    let host = host(|_| {});
    // Long chunks, because the guest keeps each in a buffer of its own.
    let piece = "x".repeat(0x1000);
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n\r\n", piece.clone()),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            format!("1000\r\n{piece}\r\n"),
        ),
    ] {
        let server = repeating(head, piece).await;
        assert_eq!(
            error(&host, &server).await,
            "ErrorCode::HttpResponseBodySize(Some(1048576))"
        );
    }
}

#[tokio::test]
async fn a_content_length_beyond_the_limit_fails_immediately() {
    let server = sending("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n").await;
    assert_eq!(
        error(&host(|_| {}), &server).await,
        "ErrorCode::HttpResponseBodySize(Some(1048576))"
    );
}

#[tokio::test]
async fn a_body_of_exactly_the_limit() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.respond(&"x".repeat(1 << 20)).await;
    })
    .await;
    let response = fetch(&host(|_| {}), &server).await;
    assert_eq!(response["body"].as_str().unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_body_that_stalls() {
    let server = sending("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::ConnectionReadTimeout"
    );
}

#[tokio::test]
async fn a_body_beyond_the_total_timeout() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            .await;
        while connection.send("x").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let host = host(|limits| limits.total_timeout = Duration::from_millis(500));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_connection_closed_within_a_body_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let server = server(move |mut connection| async move {
            connection.request().await;
            connection.send(text).await;
        })
        .await;
        assert_eq!(
            error(&host(|_| {}), &server).await,
            "ErrorCode::HttpResponseIncomplete",
            "{text}"
        );
    }
}

#[tokio::test]
async fn malformed_responses() {
    for text in [
        "good morning\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a number\r\n",
    ] {
        let server = sending(text).await;
        assert_eq!(
            error(&host(|_| {}), &server).await,
            "ErrorCode::HttpProtocolError",
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_closes_without_a_response() {
    let server = server(async |mut connection| {
        connection.request().await;
    })
    .await;
    assert_eq!(
        error(&host(|_| {}), &server).await,
        "ErrorCode::ConnectionTerminated"
    );
    assert_eq!(server.requests().len(), 1, "the request was sent again");
}

#[tokio::test]
async fn concurrent_calls_are_limited_until_one_ends() {
    let slow = server(async |mut connection| {
        connection.request().await;
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha")
            .await;
        pending().await
    })
    .await;
    let quick = answering().await;
    let host = host(|limits| {
        limits.max_concurrency = positive(1);
        limits.connect_timeout = Duration::from_millis(300);
        limits.timeout = Duration::from_millis(1500);
    });
    let holding = tokio::spawn({
        let host = host.clone();
        async move { error(&host, &slow).await }
    });
    let mut refused = Value::Null;
    while refused != "ErrorCode::ConnectionLimitReached" {
        // Succeeds until the other call has begun.
        refused = fetch(&host, &quick).await["error"].take();
    }
    assert_eq!(holding.await.unwrap(), "ErrorCode::ConnectionReadTimeout");
    assert_eq!(fetch(&host, &quick).await["body"], "it's me");
}
