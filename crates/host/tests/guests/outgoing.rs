//! Where guests may call, and where not.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tirage_host::{Host, InternalService, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{allowed, ask_json, guest, post, post_in_pieces, start};

/// A server on loopback that answers everything with `it's me`.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nit's me";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

async fn call_out(entries: &[&str], url: &str) -> serde_json::Value {
    let mut spec = guest("call-out");
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    ask_json(&start([spec]), "call-out", &format!("/?url={url}")).await
}

#[tokio::test]
async fn a_host_that_the_manifest_names_answers() {
    let port = server().await;
    let host = format!("http://127.0.0.1:{port}");
    let answer = call_out(&[&host], &host).await;
    assert_eq!(answer["body"], "it's me", "{answer}");
    let named = format!("http://localhost:{port}");
    let answer = call_out(&[&named], &named).await;
    assert_eq!(answer["status"], 200, "{answer}");
}

#[tokio::test]
async fn a_host_that_it_does_not_name_is_refused_as_policy() {
    let port = server().await;
    for entries in [
        vec![],
        vec!["http://example.com"],
        vec!["https://127.0.0.1"],
    ] {
        let answer = call_out(&entries, &format!("http://127.0.0.1:{port}")).await;
        assert_eq!(
            answer["error"], "ErrorCode::HttpRequestDenied",
            "{entries:?}"
        );
    }
}

#[tokio::test]
async fn a_wildcard_does_not_open_the_private_network() {
    let port = server().await;
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        "http://169.254.169.254".to_owned(),
        "http://10.0.0.1".to_owned(),
    ] {
        let answer = call_out(&["*://*:*"], &url).await;
        assert_eq!(
            answer["error"], "ErrorCode::DestinationIpProhibited",
            "{url}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_metadata_service_is_refused_even_if_it_is_named() {
    let answer = call_out(&["http://169.254.169.254"], "http://169.254.169.254").await;
    assert_eq!(answer["error"], "ErrorCode::DestinationIpProhibited");
}

#[tokio::test]
async fn nobody_at_the_other_end_is_an_error_that_the_guest_can_read() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://127.0.0.1:{}", free.local_addr().unwrap().port());
    drop(free);
    let answer = call_out(&[&host], &host).await;
    assert_eq!(answer["error"], "ErrorCode::ConnectionRefused");
}

#[tokio::test]
async fn components_call_each_other_and_stream_both_ways() {
    let mut caller = guest("call-component");
    caller.limits.timeout = Duration::from_secs(10);
    caller.allowed_hosts = allowed(&["http://echo.spin.internal"]);
    let mut echo = guest("echo");
    echo.limits.timeout = Duration::from_secs(10);
    let host = start([caller, echo]);

    let (sender, request) = post_in_pieces();
    let mut answer = host
        .call("call-component", request)
        .await
        .unwrap()
        .into_body();
    for chunk in ["one", "two", "three"] {
        sender.send(Bytes::from(chunk)).await.unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
    }
    drop(sender);
    assert!(answer.frame().await.is_none());
}

#[tokio::test]
async fn a_component_that_may_not_call_another_is_refused() {
    let host = start([guest("call-component"), guest("echo")]);
    let failure = host
        .call("call-component", post("/", "x"))
        .await
        .err()
        .unwrap();
    assert!(
        failure.to_string().contains("HttpRequestDenied"),
        "{failure}"
    );
}

/// Answers with the caller's name.
struct WhoCalls;

impl InternalService for WhoCalls {
    fn call(&self, caller: &str, _: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let body = Full::new(Bytes::from(caller.to_owned()));
        Box::pin(async { Response::new(body.map_err(|never| match never {}).boxed_unsync()) })
    }
}

#[tokio::test]
async fn the_routers_own_services_know_who_calls() {
    let mut spec = guest("call-out");
    spec.allowed_hosts = allowed(&["http://who.tirage.internal"]);
    let host = Host::builder()
        .service("who.tirage.internal", Arc::new(WhoCalls))
        .component(spec)
        .build()
        .unwrap();
    let answer = ask_json(&host, "call-out", "/?url=http://who.tirage.internal/").await;
    assert_eq!(answer["body"], "call-out");
}
