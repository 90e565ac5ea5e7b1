//! Failed uploads: they leave nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use http::{Request, header};
use jiff::Timestamp;

use crate::support::{Server, files, key, put, sha256};

#[tokio::test]
async fn a_body_with_a_wrong_checksum_leaves_nothing() {
    let (server, folder) = Server::temporary();
    let (key, body) = (key(), b"right".as_slice());
    let now = Timestamp::now();

    // The checksum is the payload's signed hash too.
    let mut signed = put(&key, body);
    signed.sha256 = Some(sha256(body));
    let signed = server.bucket().put(&signed, now).unwrap();
    assert_eq!(
        server.send(signed, "wrong").await.code(),
        "XAmzContentSHA256Mismatch"
    );

    let wrong = [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-crc32c", "AAAAAA=="),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("x-amz-checksum-sha256", "nonsense"),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    for (name, value) in wrong {
        let request = server.bucket().put(&put(&key, body), now).unwrap();
        let request = server.with_header(request, name, value);
        assert_eq!(
            server.send(request, body).await.code(),
            "BadDigest",
            "{name}"
        );
    }
    assert_eq!(server.get(&key).await.code(), "NoSuchKey");
    assert!(server.keys("").await.is_empty());
    assert!(
        files(folder.path()).is_empty(),
        "{:?}",
        files(folder.path())
    );
}

#[tokio::test]
async fn a_failed_upload_keeps_the_existing_object() {
    let (server, _folder) = Server::temporary();
    let key = key();
    server.put(&key, b"first", true).await;
    let request = server
        .bucket()
        .put(&put(&key, b"second"), Timestamp::now())
        .unwrap();
    let request = server.with_header(request, "x-amz-checksum-crc32", "AAAAAA==");
    assert_eq!(server.send(request, "second").await.code(), "BadDigest");
    assert_eq!(server.get(&key).await.body, b"first");

    server.put(&key, b"second", true).await;
    assert_eq!(server.get(&key).await.body, b"second");
}

#[tokio::test]
async fn an_interrupted_upload_leaves_nothing() {
    let (server, folder) = Server::temporary();
    let (key, body) = (key(), vec![1; 1 << 20]);
    let request = server
        .bucket()
        .put(&put(&key, &body), Timestamp::now())
        .unwrap();
    let mut connection = begin(&server, &request);
    connection.write_all(&body[..500_000]).unwrap();
    eventually("the server has a part of it", || {
        !files(folder.path()).is_empty()
    })
    .await;
    drop(connection);
    eventually("it is cleared away", || files(folder.path()).is_empty()).await;
    assert_eq!(server.get(&key).await.code(), "NoSuchKey");
}

#[test]
fn a_body_above_5_gib_is_refused_before_it_is_sent() {
    let (server, _folder) = Server::temporary();
    let key = key();
    for (length, expected) in [(5 << 30, "100"), ((5 << 30) + 1, "400")] {
        let mut put = put(&key, b"");
        put.content_length = length;
        let request = server.bucket().put(&put, Timestamp::now()).unwrap();
        let request = server.with_header(request, "expect", "100-continue");
        let mut connection = begin(&server, &request);
        let mut status = [0; 12];
        connection.read_exact(&mut status).unwrap();
        let status = std::str::from_utf8(&status).unwrap();
        assert_eq!(status, format!("HTTP/1.1 {expected}"));
    }
}

/// Sends the head of a request. Returns the connection for the body.
pub(crate) fn begin(server: &Server, request: &Request<()>) -> TcpStream {
    let authority = request.uri().authority().unwrap().as_str();
    let mut connection = TcpStream::connect(authority).unwrap();
    let path = request.uri().path_and_query().unwrap();
    let mut head = format!(
        "{} {path} HTTP/1.1\r\nhost: {authority}\r\n",
        request.method()
    );
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    assert!(request.headers().contains_key(header::CONTENT_LENGTH));
    assert!(server.ready.endpoint.ends_with(authority));
    connection
        .write_all(format!("{head}\r\n").as_bytes())
        .unwrap();
    connection
}

/// Waits at most half a minute until `done`.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("not yet, after half a minute: {what}");
}
