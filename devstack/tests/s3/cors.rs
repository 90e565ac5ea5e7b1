//! What a browser needs in order to upload from another origin.

use http::Method;
use jiff::Timestamp;

use crate::support::{Answer, Server, command, key};

const PAGE: &str = "http://localhost:5173";

async fn preflight(server: &Server, origin: &str) -> Answer {
    let url = format!("{}/tirage/{}", server.ready.endpoint, key());
    let request = server
        .client
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "content-type,x-amz-checksum-sha256",
        );
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_signature() {
    let (server, _folder) = Server::temporary();
    let answer = preflight(&server, PAGE).await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PUT")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "content-type,x-amz-checksum-sha256"
    );
}

#[tokio::test]
async fn pages_may_read_answers_and_errors() {
    let (server, _folder) = Server::temporary();
    let key = key();
    server.put(&key, b"x", true).await;
    let found = server.bucket().get(&key, None, Timestamp::now()).unwrap();
    let mut refused = found.clone();
    refused.headers_mut().remove("authorization");
    for (mut request, status) in [(found, 200), (refused, 403)] {
        request
            .headers_mut()
            .insert("origin", PAGE.parse().unwrap());
        let answer = server.send(request, "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let exposed = answer.header("access-control-expose-headers");
        assert!(exposed.contains("ETag") && exposed.contains("x-amz-checksum-sha256"));
    }
}

#[tokio::test]
async fn with_a_list_of_origins_others_are_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::spawn(command(folder.path()).args(["--allowed-origin", PAGE]));
    let answer = preflight(&server, PAGE).await;
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("vary"), "Origin");
    let answer = preflight(&server, "http://evil.example").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
