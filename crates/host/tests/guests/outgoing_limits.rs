//! Servers that take too long, say too much or talk nonsense: each costs the guest an error that says
//! what it was, and nobody anything else.

use std::future::pending;
use std::time::Duration;

use serde_json::Value;
use tirage_host::Host;
use tirage_manifest::OutgoingLimits;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{allowed, ask_json, guest, limits, positive, start};
use crate::servers::{Server, friendly, repeating, saying, server};

/// A host with the guest that calls out, under these limits.
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
    ask_json(host, "call-out", &format!("/?url={}", server.origin())).await
}

async fn error(host: &Host, server: &Server) -> String {
    let answer = fetch(host, server).await;
    answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("no error: {answer}"))
        .to_owned()
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let server = saying("").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_server_that_begins_to_answer_and_stops() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-le").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_server_that_says_again_and_again_that_it_will_answer() {
    let server = repeating("", "HTTP/1.1 100 Continue\r\n\r\n").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::HttpResponseTimeout"
    );
}

#[tokio::test]
async fn a_guest_may_be_less_patient_than_its_host() {
    let silent = saying("").await;
    let stops = saying("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let host = host(|_| {});
    for (server, patience, expected) in [
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
        let target = format!("/?url={}&{patience}", server.origin());
        let answer = ask_json(&host, "call-out", &target).await;
        assert_eq!(answer["error"], expected, "{answer}");
    }
}

/// A listener whose queue is full: connections to it don't come about.
async fn unreachable() -> (u16, tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the queue never fills");
    }
    (address.port(), listener, waiting)
}

#[tokio::test]
async fn a_connection_that_does_not_come_about() {
    let (port, _listener, _waiting) = unreachable().await;
    let target = format!("/?url=http://127.0.0.1:{port}");
    let impatient = host(|limits| limits.connect_timeout = Duration::from_millis(200));
    let answer = ask_json(&impatient, "call-out", &target).await;
    assert_eq!(answer["error"], "ErrorCode::ConnectionTimeout");
    let patient = host(|limits| limits.connect_timeout = Duration::from_secs(20));
    let answer = ask_json(&patient, "call-out", &format!("{target}&connect_ms=200")).await;
    assert_eq!(answer["error"], "ErrorCode::ConnectionTimeout");
}

#[tokio::test]
async fn headers_without_end() {
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
async fn too_many_headers_and_too_long_ones() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection
            .say("HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\ncontent-length: 0\r\n\r\n")
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
        let answer = fetch(&host, &server).await;
        assert_eq!(answer["error"], expected, "{count} headers, {bytes} bytes");
    }
}

#[tokio::test]
async fn a_body_without_end() {
    let host = host(|_| {});
    // Long pieces: the guest keeps each in a buffer of its own.
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
async fn a_body_that_is_announced_too_long_is_not_waited_for() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n").await;
    assert_eq!(
        error(&host(|_| {}), &server).await,
        "ErrorCode::HttpResponseBodySize(Some(1048576))"
    );
}

#[tokio::test]
async fn a_body_of_just_the_limit() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection.answer(&"x".repeat(1 << 20)).await;
    })
    .await;
    let answer = fetch(&host(|_| {}), &server).await;
    assert_eq!(answer["body"].as_str().unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_body_that_stops_in_the_middle() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let host = host(|limits| limits.timeout = Duration::from_millis(200));
    assert_eq!(
        error(&host, &server).await,
        "ErrorCode::ConnectionReadTimeout"
    );
}

#[tokio::test]
async fn a_body_that_drips() {
    let server = server(async |mut connection| {
        connection.request().await;
        connection
            .say("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            .await;
        while connection.say("x").await {
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
async fn a_connection_that_closes_in_the_middle_of_a_body_is_no_end_of_it() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let server = server(move |mut connection| async move {
            connection.request().await;
            connection.say(text).await;
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
async fn nonsense() {
    for text in [
        "good morning\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a number\r\n",
    ] {
        let server = saying(text).await;
        assert_eq!(
            error(&host(|_| {}), &server).await,
            "ErrorCode::HttpProtocolError",
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_closes_without_a_word() {
    let server = server(async |mut connection| {
        connection.request().await;
    })
    .await;
    assert_eq!(
        error(&host(|_| {}), &server).await,
        "ErrorCode::ConnectionTerminated"
    );
    assert_eq!(server.requests().len(), 1, "it was sent again");
}

#[tokio::test]
async fn no_more_calls_at_once_than_allowed_and_as_many_as_before_when_one_has_ended() {
    let slow = server(async |mut connection| {
        connection.request().await;
        connection
            .say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha")
            .await;
        pending().await
    })
    .await;
    let quick = friendly().await;
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
        // Until the other call has begun, this one is the only one.
        refused = fetch(&host, &quick).await["error"].take();
    }
    assert_eq!(holding.await.unwrap(), "ErrorCode::ConnectionReadTimeout");
    assert_eq!(fetch(&host, &quick).await["body"], "it's me");
}
