//! Policy of outgoing requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use rustls::pki_types::PrivateKeyDer;
use tirage_host::{Host, InternalService, Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{allowed, assert_streams, get_json, get_text, guest, positive, post, start};
use crate::servers::{answering, repeating, server};

async fn call_out(entries: &[&str], url: &str) -> serde_json::Value {
    call_out_with(entries, &format!("url={url}")).await
}

async fn call_out_with(entries: &[&str], query: &str) -> serde_json::Value {
    let mut spec = guest("call-out");
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    get_json(&start([spec]), "call-out", &format!("/?{query}")).await
}

/// Returns the response that a component of WASI 0.2 gets.
async fn call_out_02(entries: &[&str], query: &str) -> String {
    let mut spec = guest("call-out-02");
    spec.limits.timeout = Duration::from_secs(10);
    spec.allowed_hosts = allowed(entries);
    get_text(&start([spec]), "call-out-02", &format!("/?{query}")).await
}

#[tokio::test]
async fn a_named_host_is_reachable() {
    let server = answering().await;
    let by_address = server.origin();
    let by_name = format!("http://localhost:{}", server.port);
    let by_network = "http://127.0.0.0/8:*";
    for (entry, url) in [
        (&*by_address, &by_address),
        (&by_name, &by_name),
        (by_network, &by_address),
    ] {
        let response = call_out(&[entry], url).await;
        assert_eq!(response["body"], "it's me", "{entry}: {response}");
    }
}

#[tokio::test]
async fn a_host_without_an_entry_is_denied() {
    let server = answering().await;
    for entries in [
        vec![],
        vec!["http://example.com"],
        vec!["https://127.0.0.1"],
        vec!["http://127.0.0.1"],
        vec!["http://10.0.0.0/8:*"],
        vec!["http://self"],
    ] {
        let response = call_out(&entries, &server.origin()).await;
        assert_eq!(
            response["error"], "ErrorCode::HttpRequestDenied",
            "{entries:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_wildcard_does_not_cover_private_addresses_in_any_notation() {
    let server = answering().await;
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
        let response = call_out(&["*://*:*"], &format!("http://{host}:{port}")).await;
        assert_eq!(
            response["error"], "ErrorCode::DestinationIpProhibited",
            "{host}: {response}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_trailing_dot_makes_another_name() {
    let server = answering().await;
    let named = format!("http://localhost:{}", server.port);
    let dotted = format!("http://localhost.:{}", server.port);
    let response = call_out(&[&named], &dotted).await;
    assert_eq!(response["error"], "ErrorCode::HttpRequestDenied");
    // Only some resolvers resolve it.
    let response = call_out(&["*://*:*"], &dotted).await;
    assert!(response["error"].is_string(), "{response}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn misleading_authorities_are_invalid() {
    let server = answering().await;
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
        let response = call_out_with(&["*://*:*", "http://allowed.test:*"], &query).await;
        let by_library = response["refused"] == "authority";
        let by_host = response["error"] == "ErrorCode::HttpRequestUriInvalid";
        assert!(by_library || by_host, "{authority}: {response}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_path_cannot_change_the_host() {
    let server = answering().await;
    let authority = format!("127.0.0.1:{}", server.port);
    for path in [
        "http://other.test/",
        "//other.test/",
        "other.test",
        "*",
        "/a%20b",
    ] {
        let query = format!("scheme=http&authority={authority}&path={path}");
        let response = call_out_with(&[&server.origin()], &query).await;
        if response["refused"] != "path" {
            assert_eq!(response["status"], 200, "{path}: {response}");
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
async fn a_guest_cannot_set_connection_headers() {
    let server = answering().await;
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
        let response = call_out_with(&[&origin], &format!("url={origin}&{header}")).await;
        assert_eq!(
            response["refused"], "header: HeaderError::Forbidden",
            "{name}"
        );
        let query = format!("authority=127.0.0.1:{}&{header}", server.port);
        let response = call_out_02(&[&origin], &query).await;
        assert!(
            response.starts_with("refused: header"),
            "{name}: {response}"
        );
    }
    assert_eq!(server.connections(), 0);
    call_out_with(&[&origin], &format!("url={origin}&header=x-own:value")).await;
    assert!(server.requests()[0].contains("x-own: value\r\n"));
}

#[tokio::test]
async fn connect_is_refused() {
    let server = answering().await;
    let query = format!("url={}&method=CONNECT", server.origin());
    let response = call_out_with(&[&server.origin()], &query).await;
    assert_eq!(response["error"], "ErrorCode::HttpRequestMethodInvalid");
    assert_eq!(server.connections(), 0);
}

/// Starts a TLS server with a self-signed certificate for `localhost` and returns its port.
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
async fn https_requires_a_trusted_certificate_and_tls() {
    let unknown = format!("https://localhost:{}", self_signed().await);
    let response = call_out(&[&unknown], &unknown).await;
    assert_eq!(response["error"], "ErrorCode::TlsCertificateError");
    let plain = server(async |mut connection| {
        connection.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending().await
    })
    .await;
    let plain = format!("https://localhost:{}", plain.port);
    let response = call_out(&[&plain], &plain).await;
    assert_eq!(response["error"], "ErrorCode::TlsProtocolError");
}

#[tokio::test]
async fn the_host_follows_no_redirects() {
    let other = answering().await;
    let location = format!("location: {}", other.origin());
    let redirecting = server({
        let location = location.clone();
        move |mut connection| {
            let location = location.clone();
            async move {
                connection.request().await;
                connection
                    .send(&format!(
                        "HTTP/1.1 302 Found\r\n{location}\r\ncontent-length: 0\r\n\r\n"
                    ))
                    .await;
            }
        }
    })
    .await;
    let entries = [&*redirecting.origin(), &other.origin()];
    let response = call_out(&entries, &redirecting.origin()).await;
    assert_eq!(response["status"], 302, "{response}");
    assert_eq!(response["headers"][0], location);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn components_of_wasi_0_2_have_the_same_policy() {
    let server = answering().await;
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
        let response = call_out_02(&entries, query).await;
        assert_eq!(response, expected, "{query}");
    }
    let endless = repeating("HTTP/1.1 200 OK\r\n\r\n", "and so on").await;
    let query = format!("authority=127.0.0.1:{}", endless.port);
    let response = call_out_02(&[&endless.origin()], &query).await;
    // In WASI 0.2, wasmtime passes on only the message of a body's error.
    assert!(
        response.contains("response body size exceeds limit"),
        "{response}"
    );
}

#[tokio::test]
async fn call_loops_end() {
    let mut spec = guest("call-again");
    spec.limits.timeout = Duration::from_secs(10);
    // One instance may serve all nested calls of several requests.
    spec.limits.max_concurrency = positive(200);
    spec.limits.concurrent_requests_per_instance = positive(200);
    spec.allowed_hosts = allowed(&["http://call-again.spin.internal"]);
    let host = start([spec]);
    let target = "/?url=http://call-again.spin.internal/";
    let calls = (0..8).map(|_| get_text(&host, "call-again", target));
    for response in futures::future::join_all(calls).await {
        assert_eq!(
            response,
            format!("{}ErrorCode::LoopDetected", ".".repeat(16))
        );
    }
}

#[tokio::test]
async fn call_loops_of_wasi_0_2_components_end() {
    let mut spec = guest("call-out-02");
    spec.limits.timeout = Duration::from_secs(10);
    spec.limits.max_concurrency = positive(20);
    spec.allowed_hosts = allowed(&["http://call-out-02.spin.internal"]);
    let host = start([spec]);
    let target = "/?authority=call-out-02.spin.internal&again=1";
    assert_eq!(
        get_text(&host, "call-out-02", target).await,
        "ErrorCode::LoopDetected"
    );
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://127.0.0.1:{}", free.local_addr().unwrap().port());
    drop(free);
    let response = call_out(&[&host], &host).await;
    assert_eq!(response["error"], "ErrorCode::ConnectionRefused");
}

#[tokio::test]
async fn calls_between_components_stream_in_both_directions() {
    let mut caller = guest("call-component");
    caller.limits.timeout = Duration::from_secs(10);
    caller.allowed_hosts = allowed(&["http://echo.spin.internal"]);
    let mut echo = guest("echo");
    echo.limits.timeout = Duration::from_secs(10);
    let host = start([caller, echo]);

    assert_streams(&host, "call-component").await;
}

#[tokio::test]
async fn a_component_without_an_entry_for_another_is_denied() {
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

/// Responds with the caller's id.
struct CallerService;

impl InternalService for CallerService {
    fn call(&self, caller: &str, _: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let body = Full::new(Bytes::from(caller.to_owned()));
        Box::pin(async { Response::new(body.map_err(|never| match never {}).boxed_unsync()) })
    }
}

#[tokio::test]
async fn a_service_of_the_router_receives_the_callers_id() {
    let mut spec = guest("call-out");
    spec.allowed_hosts = allowed(&["http://who.tirage.internal"]);
    let host = Host::builder()
        .service("who.tirage.internal", Arc::new(CallerService))
        .component(spec)
        .build()
        .unwrap();
    let response = get_json(&host, "call-out", "/?url=http://who.tirage.internal/").await;
    assert_eq!(response["body"], "call-out");
}
