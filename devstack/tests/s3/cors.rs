//! CORS: what browsers need to upload from another origin.

use http::Method;
use jiff::Timestamp;

use crate::support::{Answer, Server, key};

const PAGE: &str = "http://localhost:5173";

#[tokio::test]
async fn preflights_need_no_signature() {
    let (server, _folder) = Server::temporary();
    let url = format!("{}/tirage/{}", server.ready.endpoint, key());
    let request = server
        .client
        .request(Method::OPTIONS, url)
        .header("origin", PAGE)
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "content-type,x-amz-checksum-sha256",
        );
    let answer = Answer::read(request.send().await.unwrap()).await;
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
async fn pages_may_read_responses_and_errors() {
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
