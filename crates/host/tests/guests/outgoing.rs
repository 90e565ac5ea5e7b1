//! Where guests may call, and where not.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use rustls::pki_types::PrivateKeyDer;
use tirage_host::{Host, InternalService, Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{allowed, ask, ask_json, guest, positive, post, post_in_pieces, start};
use crate::servers::{friendly, repeating, server};

async fn call_out(entries: &[&str], url: &str) -> serde_json::Value {
    call_out_with(entries, &format!("url={url}")).await
}

async fn call_out_with(entries: &[&str], query: &str) -> serde_json::Value {
    let mut spec = guest("call-out");
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    ask_json(&start([spec]), "call-out", &format!("/?{query}")).await
}

/// What a component of WASI 0.2 is answered.
async fn call_out_02(entries: &[&str], query: &str) -> String {
    let mut spec = guest("call-out-02");
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    ask(&start([spec]), "call-out-02", &format!("/?{query}")).await
}

#[tokio::test]
async fn a_host_that_the_manifest_names_answers() {
    let server = friendly().await;
    let by_address = server.origin();
    let by_name = format!("http://localhost:{}", server.port);
    let by_network = "http://127.0.0.0/8:*";
    for (entry, url) in [
        (&*by_address, &by_address),
        (&by_name, &by_name),
        (by_network, &by_address),
    ] {
        let answer = call_out(&[entry], url).await;
        assert_eq!(answer["body"], "it's me", "{entry}: {answer}");
    }
}

#[tokio::test]
async fn a_host_that_it_does_not_name_is_refused_as_policy() {
    let server = friendly().await;
    for entries in [
        vec![],
        vec!["http://example.com"],
        vec!["https://127.0.0.1"],
        vec!["http://127.0.0.1"],
        vec!["http://10.0.0.0/8:*"],
        vec!["http://self"],
    ] {
        let answer = call_out(&entries, &server.origin()).await;
        assert_eq!(
            answer["error"], "ErrorCode::HttpRequestDenied",
            "{entries:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_wildcard_does_not_open_the_private_network_however_it_is_spelt() {
    let server = friendly().await;
    let port = server.port;
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
    ] {
        let answer = call_out(&["*://*:*"], &format!("http://{host}:{port}")).await;
        assert_eq!(
            answer["error"], "ErrorCode::DestinationIpProhibited",
            "{host}: {answer}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_with_a_dot_at_its_end_is_another_name() {
    let server = friendly().await;
    let named = format!("http://localhost:{}", server.port);
    let dotted = format!("http://localhost.:{}", server.port);
    let answer = call_out(&[&named], &dotted).await;
    assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied");
    // Some resolvers know it, some don't.
    let answer = call_out(&["*://*:*"], &dotted).await;
    assert!(answer["error"].is_string(), "{answer}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_looks_like_an_allowed_host_and_is_another_is_no_address() {
    let server = friendly().await;
    let port = server.port;
    for authority in [
        format!("allowed.test%40127.0.0.1:{port}"),
        format!("allowed.test:80%40127.0.0.1:{port}"),
        format!("%40127.0.0.1:{port}"),
        "127.0.0.1:99999".to_owned(),
        "256.0.0.1".to_owned(),
        "1.2.3.4.5".to_owned(),
        "[::1%25lo]".to_owned(),
        "%2531".to_owned(),
        "".to_owned(),
    ] {
        let query = format!("scheme=http&authority={authority}&path=/");
        let answer = call_out_with(&["*://*:*", "http://allowed.test:*"], &query).await;
        let by_library = answer["refused"] == "authority";
        let by_host = answer["error"] == "ErrorCode::HttpRequestUriInvalid";
        assert!(by_library || by_host, "{authority}: {answer}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_path_is_no_way_to_another_host() {
    let server = friendly().await;
    let authority = format!("127.0.0.1:{}", server.port);
    for path in [
        "http://other.test/",
        "//other.test/",
        "other.test",
        "*",
        "/a%20b",
    ] {
        let query = format!("scheme=http&authority={authority}&path={path}");
        let answer = call_out_with(&[&server.origin()], &query).await;
        if answer["refused"] != "path" {
            assert_eq!(answer["status"], 200, "{path}: {answer}");
        }
    }
    for request in server.requests() {
        let (line, headers) = request.split_once("\r\n").unwrap();
        assert!(line.starts_with("GET /"), "{line}");
        assert!(
            headers.contains(&format!("host: {authority}\r\n")),
            "{headers}"
        );
    }
}

#[tokio::test]
async fn headers_that_are_the_connections_are_not_the_guests_to_set() {
    let server = friendly().await;
    let origin = server.origin();
    for name in [
        "host",
        "Host",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ] {
        let header = format!("header={name}:other.test");
        let answer = call_out_with(&[&origin], &format!("url={origin}&{header}")).await;
        assert_eq!(
            answer["refused"], "header: HeaderError::Forbidden",
            "{name}"
        );
        let query = format!("authority=127.0.0.1:{}&{header}", server.port);
        let answer = call_out_02(&[&origin], &query).await;
        assert!(answer.starts_with("refused: header"), "{name}: {answer}");
    }
    assert_eq!(server.connections(), 0);
    call_out_with(&[&origin], &format!("url={origin}&header=x-own:value")).await;
    assert!(server.requests()[0].contains("x-own: value\r\n"));
}

#[tokio::test]
async fn nobody_is_asked_for_a_tunnel() {
    let server = friendly().await;
    let query = format!("url={}&method=CONNECT", server.origin());
    let answer = call_out_with(&[&server.origin()], &query).await;
    assert_eq!(answer["error"], "ErrorCode::HttpRequestMethodInvalid");
    assert_eq!(server.connections(), 0);
}

/// A TLS server that vouches for itself, as `localhost`.
async fn self_signed() -> u16 {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepting = acceptor.accept(stream);
            tokio::spawn(async move { accepting.await.map(drop) });
        }
    });
    port
}

#[tokio::test]
async fn https_is_spoken_to_servers_that_somebody_known_vouches_for() {
    let unknown = format!("https://localhost:{}", self_signed().await);
    let answer = call_out(&[&unknown], &unknown).await;
    assert_eq!(answer["error"], "ErrorCode::TlsCertificateError");
    let plain = server(async |mut connection| {
        connection.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending().await
    })
    .await;
    let plain = format!("https://localhost:{}", plain.port);
    let answer = call_out(&[&plain], &plain).await;
    assert_eq!(answer["error"], "ErrorCode::TlsProtocolError");
}

#[tokio::test]
async fn a_redirect_is_the_guests_to_follow_or_not() {
    let other = friendly().await;
    let location = format!("location: {}", other.origin());
    let redirecting = server({
        let location = location.clone();
        move |mut connection| {
            let location = location.clone();
            async move {
                connection.request().await;
                connection
                    .say(&format!(
                        "HTTP/1.1 302 Found\r\n{location}\r\ncontent-length: 0\r\n\r\n"
                    ))
                    .await;
            }
        }
    })
    .await;
    let entries = [&*redirecting.origin(), &other.origin()];
    let answer = call_out(&entries, &redirecting.origin()).await;
    assert_eq!(answer["status"], 302, "{answer}");
    assert_eq!(answer["headers"][0], location);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn components_of_the_generation_before_are_held_to_the_same() {
    let server = friendly().await;
    let authority = format!("authority=127.0.0.1:{}", server.port);
    let origin = server.origin();
    assert_eq!(call_out_02(&[&origin], &authority).await, "it's me");
    for (entries, query, expected) in [
        (vec![], &*authority, "ErrorCode::HttpRequestDenied"),
        (
            vec!["*://*:*"],
            &authority,
            "ErrorCode::DestinationIpProhibited",
        ),
        (
            vec!["*://*:*"],
            "authority=0x7f.1",
            "ErrorCode::DestinationIpProhibited",
        ),
        (
            vec!["*://*:*"],
            "authority=a%40127.0.0.1",
            "ErrorCode::HttpRequestUriInvalid",
        ),
    ] {
        let answer = call_out_02(&entries, query).await;
        assert_eq!(answer, expected, "{query}");
    }
    let endless = repeating("HTTP/1.1 200 OK\r\n\r\n", "and so on").await;
    let query = format!("authority=127.0.0.1:{}", endless.port);
    let answer = call_out_02(&[&endless.origin()], &query).await;
    // wasmtime has no code for a body's errors in WASI 0.2, but it passes on what they say.
    assert!(
        answer.contains("response body size exceeds limit"),
        "{answer}"
    );
}

#[tokio::test]
async fn calls_that_go_round_in_circles_end() {
    let mut spec = guest("call-again");
    spec.limits.timeout = Duration::from_secs(10);
    // All of a call's levels may meet in one instance, and those of other calls too.
    spec.limits.max_concurrency = positive(200);
    spec.limits.concurrent_requests_per_instance = positive(200);
    spec.allowed_hosts = allowed(&["http://call-again.spin.internal"]);
    let host = start([spec]);
    let target = "/?url=http://call-again.spin.internal/";
    let calls = (0..8).map(|_| ask(&host, "call-again", target));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer, format!("{}ErrorCode::LoopDetected", ".".repeat(16)));
    }
}

#[tokio::test]
async fn also_those_of_components_of_the_generation_before() {
    let mut spec = guest("call-out-02");
    spec.limits.timeout = Duration::from_secs(10);
    spec.limits.max_concurrency = positive(20);
    spec.allowed_hosts = allowed(&["http://call-out-02.spin.internal"]);
    let host = start([spec]);
    let target = "/?authority=call-out-02.spin.internal&again=1";
    assert_eq!(
        ask(&host, "call-out-02", target).await,
        "ErrorCode::LoopDetected"
    );
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
