//! Outgoing calls of components: to the application itself, and refused ones in log and metrics.

use reqwest::{Client, Url};

use crate::harness::{Application, Router};
use tirage_tests::unused_address;

async fn get(router: &Router, path: &str, query: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params(&router.at(path), query).unwrap();
    let response = Client::new().get(url).send().await.unwrap();
    response.text().await.unwrap()
}

const CALLS_ITSELF: &str = r#"allowed_outbound_hosts = ["http://self"]"#;

#[tokio::test]
async fn a_component_can_call_routes_of_its_own_application() {
    let application = Application::new()
        .guest_with("call-out", CALLS_ITSELF, "")
        .guest("headers", "")
        .toml(
            r#"
[[trigger.http]]
route = "/fixed"
static_response = { status_code = 418, body = "a teapot" }
"#,
        );
    let router = application.start();
    let call = async |path: &str| {
        let answer = get(&router, "/call-out", &[("url", path)]).await;
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    let seen = call("http://self.alt/headers/a?b=c").await;
    let seen = seen["body"].as_str().unwrap();
    for expected in [
        r#"["spin-path-info","/a"]"#,
        r#"["spin-full-url","http://self.alt/headers/a?b=c"]"#,
        r#"["spin-component-route","/headers"]"#,
        r#"["x-request-id","#,
    ] {
        assert!(seen.contains(expected), "{expected} is not in {seen}");
    }
    let fixed = call("http://self.alt/fixed").await;
    assert_eq!(
        (&fixed["status"], &fixed["body"]),
        (&418.into(), &"a teapot".into())
    );
    assert_eq!(call("http://self.alt/nowhere").await["status"], 404);
    let health = call("http://self.alt/.well-known/spin/health").await;
    assert_eq!(health["body"], "OK");
    assert!(router.log().contains("/headers/a"), "the call is logged");
}

#[tokio::test]
async fn endless_calls_of_an_application_to_itself_are_stopped() {
    let router = Application::new()
        .guest_with("call-again", CALLS_ITSELF, "")
        .start();
    let calls = (0..4).map(|_| {
        get(
            &router,
            "/call-again",
            &[("url", "http://self.alt/call-again")],
        )
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer, format!("{}ErrorCode::LoopDetected", ".".repeat(16)));
    }
}

#[tokio::test]
async fn an_application_cannot_call_itself_unless_the_manifest_allows_it() {
    let router = Application::new()
        .guest_with(
            "call-out",
            r#"allowed_outbound_hosts = ["http://example.com"]"#,
            "",
        )
        .start();
    let answer = get(&router, "/call-out", &[("url", "http://self.alt/call-out")]).await;
    assert!(answer.contains("HttpRequestDenied"), "{answer}");
}

#[tokio::test]
async fn refused_calls_are_logged_with_their_reason_and_counted() {
    let metrics = unused_address();
    let router = Application::new()
        .guest_with(
            "call-out",
            r#"allowed_outbound_hosts = ["https://*:*", "http://*.example.com"]"#,
            "outgoing_max_response_body_bytes = 1000",
        )
        .start_with(&["--metrics", &metrics], &[]);
    for (query, error, host, reason) in [
        (
            [("url", "http://other.test/"), ("method", "GET")],
            "HttpRequestDenied",
            "host=\"other.test\"",
            "the manifest does not allow this host",
        ),
        (
            [("url", "https://0x7f.1/"), ("method", "GET")],
            "DestinationIpProhibited",
            "host=\"127.0.0.1\"",
            "the address is not public",
        ),
        (
            [("url", "https://256.0.0.1/"), ("method", "GET")],
            "HttpRequestUriInvalid",
            "host=\"256.0.0.1\"",
            "invalid URI",
        ),
        (
            [("url", "https://example.com/"), ("method", "CONNECT")],
            "HttpRequestMethodInvalid",
            "host=\"example.com\"",
            "CONNECT is not allowed",
        ),
    ] {
        let answer = get(&router, "/call-out", &query).await;
        assert!(answer.contains(error), "{query:?}: {answer}");
        let log = router.log();
        let line = log
            .lines()
            .rfind(|line| line.contains("outgoing request refused"))
            .unwrap_or_else(|| panic!("{query:?} is not in the log: {log}"));
        for expected in ["WARN", "component=\"call-out\"", host, reason] {
            assert!(line.contains(expected), "{expected} is not in {line}");
        }
    }
    let counted = reqwest::get(format!("http://{metrics}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        counted.contains("outgoing_refused_total{component=\"call-out\"} 4"),
        "{counted}"
    );
}
