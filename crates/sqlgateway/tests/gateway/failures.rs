//! Errors and their responses.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tirage_sqlgateway::{Identity, Settings};

use crate::support::{Client, superuser};

#[tokio::test]
async fn an_error_of_a_statement_has_every_field() {
    let client = Client::new();
    client
        .batch(&[
            "create table parents (id int primary key)",
            "create table children (parent int constraint known references parents)",
        ])
        .await;
    let error = client
        .error("insert into children values (7)", json!([]))
        .await;
    for (field, expected) in [
        ("code", "23503"),
        ("severity", "ERROR"),
        ("schema", "public"),
        ("table", "children"),
        ("constraint", "known"),
        (
            "detail",
            "Key (parent)=(7) is not present in table \"parents\".",
        ),
    ] {
        assert_eq!(error[field], expected, "{field}");
    }
    assert!(error["line"].as_str().unwrap().parse::<u32>().is_ok());
    assert!(error["file"].is_string() && error["routine"].is_string());
    for field in [
        "hint",
        "position",
        "internalPosition",
        "internalQuery",
        "where",
        "column",
        "dataType",
    ] {
        assert_eq!(error[field], Value::Null, "{field}");
    }

    let error = client.error("select nope", json!([])).await;
    assert_eq!(
        (&error["code"], &error["position"]),
        (&json!("42703"), &json!("8"))
    );
    let error = client
        .error("do $$ begin execute 'select nope'; end $$", json!([]))
        .await;
    assert_eq!(error["internalPosition"], "8");
    assert_eq!(error["internalQuery"], "select nope");
    assert!(
        error["where"]
            .as_str()
            .unwrap()
            .contains("inline_code_block")
    );
}

#[tokio::test]
async fn mistakes_with_parameters_and_statements() {
    let client = Client::new();
    for (query, params, message) in [
        (
            "select $1, $2",
            json!([1]),
            "bind message supplies 1 parameters, but prepared statement \"\" requires 2",
        ),
        (
            "select 1",
            json!([1]),
            "bind message supplies 1 parameters, but prepared statement \"\" requires 0",
        ),
        (
            "select 1; select 2",
            json!([]),
            "cannot insert multiple commands into a prepared statement",
        ),
        (
            "select $1::int",
            json!(["x"]),
            "invalid input syntax for type integer: \"x\"",
        ),
        ("selec 1", json!([]), "syntax error at or near \"selec\""),
        (
            "select $1::text",
            json!(["a\0b"]),
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ),
        (
            "select '\0'",
            json!([]),
            "could not parse the HTTP request body: a statement cannot contain a NUL character",
        ),
        (
            "copy pg_class to stdout",
            json!([]),
            "COPY from and to the client is not supported",
        ),
        (
            "copy pg_class from stdin",
            json!([]),
            "COPY from and to the client is not supported",
        ),
    ] {
        assert_eq!(client.error(query, params).await["message"], message);
    }
    assert_eq!(client.rows("select 1 as n").await, json!([{"n": 1}]));
}

#[tokio::test]
async fn invalid_bodies() {
    let client = Client::new();
    let deep = format!(
        "{{\"query\":\"select 1\",\"params\":[{}1{}]}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let deep_object = format!(
        "{{\"query\":\"select $1::text\",\"params\":[{}1{}]}}",
        "{\"a\":".repeat(10_000),
        "}".repeat(10_000)
    );
    for body in [
        &b""[..],
        b"null",
        b"{}",
        b"{\"query\":",
        b"{\"query\":5}",
        b"{\"query\":\"select \xff\"}",
        b"{\"queries\":[{\"query\":\"a\"},{}]}",
        b"{\"query\":\"select 1\",\"params\":null}",
        b"{\"query\":\"select 1\",\"params\":[\"\\ud800\"]}",
        // Too many dimensions for Postgres.
        deep.as_bytes(),
    ] {
        let answer = client.send(&[], body.to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert!(answer.json()["message"].is_string());
    }
    let answer = client.send(&[], deep_object).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn only_sql_is_served() {
    let client = Client::new();
    for (method, path) in [
        (Method::GET, "/sql"),
        (Method::POST, "/"),
        (Method::PUT, "/sql"),
        (Method::OPTIONS, "/"),
        // Sessions exist only on a socket.
        (Method::GET, "/v2"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::<bytes::Bytes>::default())
            .unwrap();
        let response = client
            .gateway
            .serve(Identity::Role(&client.role), request)
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.headers().contains_key("neon-request-id"));
    }
}

#[tokio::test]
async fn preflight_requests_of_browsers() {
    let client = Client::new();
    let request = Request::options("/sql")
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let response = client
        .gateway
        .serve(Identity::Role(&client.role), request)
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let header = |name| response.headers()[name].to_str().unwrap();
    assert_eq!(header("allow"), "OPTIONS, POST");
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-max-age"), "86400");
    for name in [
        "Authorization",
        "Neon-Connection-String",
        "Neon-Raw-Text-Output",
        "Neon-Array-Mode",
        "Neon-Pool-Opt-In",
        "Neon-Batch-Read-Only",
        "Neon-Batch-Isolation-Level",
        "Neon-Batch-Deferrable",
    ] {
        assert!(
            header("access-control-allow-headers")
                .split(", ")
                .any(|allowed| allowed == name),
            "{name}"
        );
    }
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}

#[tokio::test]
async fn every_response_has_an_id_and_allows_all_origins() {
    let client = Client::new();
    let good = client.send(&[], r#"{"query":"select 1"}"#).await;
    let bad = client.send(&[], r#"{"query":"nope"}"#).await;
    for answer in [&good, &bad] {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert_eq!(answer.headers["content-type"], "application/json");
        let id = answer.headers["neon-request-id"].to_str().unwrap();
        assert_eq!(id.len(), 36);
        assert!(id.parse::<uuid::Uuid>().is_ok());
    }
    assert_ne!(
        good.headers["neon-request-id"],
        bad.headers["neon-request-id"]
    );
}

#[tokio::test]
async fn a_request_over_the_limit() {
    let settings = Settings {
        max_request_bytes: 1000,
        ..Settings::default()
    };
    let client = Client::with(superuser(), settings);
    let fits = json!({"query": "select 1", "x": ""}).to_string();
    let fits = fits.replace("\"\"", &format!("\"{}\"", "x".repeat(1000 - fits.len())));
    assert_eq!(fits.len(), 1000);
    assert_eq!(client.send(&[], fits.clone()).await.status, StatusCode::OK);
    let answer = client.send(&[], fits + " ").await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        answer.json()["message"],
        "request is too large (max is 1000 bytes)"
    );
}

#[tokio::test]
async fn a_response_over_the_limit() {
    let settings = Settings {
        max_response_bytes: 100_000,
        max_connections: 1,
        ..Settings::default()
    };
    let client = Client::with(superuser(), settings);
    client
        .query("create table too_large (n int)", json!([]))
        .await;
    for query in [
        "select generate_series(1, 1000000000) as n",
        "select repeat('x', 100000) as one_value",
        "select repeat('x', 200000000) as one_message",
        "select array_agg(n) from generate_series(1, 100000) n",
    ] {
        for headers in [&[][..], &[("neon-raw-text-output", "true")]] {
            let answer = client
                .send(headers, json!({"query": query}).to_string())
                .await;
            assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE, "{query}");
            assert_eq!(
                answer.json()["message"],
                "response is too large (max is 100000 bytes)"
            );
        }
    }
    // The limit applies to the whole batch, which is rolled back.
    let answer = client
        .batch(&[
            "insert into too_large values (1)",
            "select repeat('x', 60000) as half",
            "select repeat('x', 60000) as half",
        ])
        .await;
    assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(
        client.rows("select count(*)::int from too_large").await,
        json!([{"count": 0}])
    );
    // The only connection still works.
    let fits = client.rows("select repeat('x', 90000) as most").await;
    assert_eq!(fits[0]["most"].as_str().unwrap().len(), 90_000);
}

#[tokio::test]
async fn text_in_another_encoding_is_an_error_and_not_a_panic() {
    let client = Client::new();
    let answer = client
        .batch(&[
            "set client_encoding = 'LATIN1'",
            "select 'x' || chr(252) as v",
        ])
        .await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.json()["message"],
        "could not parse postgres response"
    );
    assert_eq!(
        client.rows("select chr(252) as v").await,
        json!([{"v": "ü"}])
    );
}

#[tokio::test]
async fn an_unreachable_or_unknown_database() {
    let settings = Settings {
        wait: std::time::Duration::from_millis(300),
        ..Settings::default()
    };
    let nowhere = "postgres://me:secret@127.0.0.1:1/db".parse().unwrap();
    let answer = Client::with(nowhere, settings)
        .send(&[], r#"{"query":"select 1"}"#)
        .await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.json()["message"],
        "could not connect to the database"
    );
    assert!(
        !answer.text().contains("127.0.0.1"),
        "internals in the response"
    );

    let unknown = superuser().with_database("nowhere");
    let answer = Client::with(unknown, Settings::default())
        .send(&[], r#"{"query":"select 1"}"#)
        .await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text().contains("nowhere"));
}
