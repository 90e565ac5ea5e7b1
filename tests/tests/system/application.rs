//! The application: descriptions and the web app, through router, component, SQL and Postgres.

use std::time::Duration;

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tirage_devstack::postgres::Cluster;

use crate::harness::Router;
use tirage_tests::{binary, repository};

/// The application with its own database.
pub(crate) struct Bundle {
    pub(crate) database: Cluster,
}

impl Bundle {
    pub(crate) fn new() -> Self {
        Self {
            database: Cluster::start_temporary().unwrap(),
        }
    }

    /// Kills Postgres' main process; `database.restart()` restarts it.
    pub(crate) fn kill_postgres(&self) {
        let postmaster = i32::try_from(self.database.postmaster()).unwrap();
        kill_process(Pid::from_raw(postmaster).unwrap(), Signal::KILL).unwrap();
    }

    pub(crate) fn router(&self) -> Router {
        Router::start(
            &repository().join("spin.toml"),
            &[],
            &[
                ("DATABASE_ADMIN_URL", &self.database.admin_url()),
                ("DATABASE_URL", &self.database.url()),
            ],
        )
    }
}

pub(crate) async fn describe(router: &Router, text: &str) -> reqwest::Response {
    Client::new()
        .post(router.at("/api/description"))
        .json(&json!({ "text": text }))
        .send()
        .await
        .unwrap()
}

pub(crate) async fn get_json(router: &Router, path: &str) -> (u16, Value) {
    let response = Client::new().get(router.at(path)).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn descriptions_are_stored_and_listed() {
    let bundle = Bundle::new();
    let router = bundle.router();
    for path in ["/health", "/api/health"] {
        assert_eq!(
            get_json(&router, path).await,
            (200, json!({"status": "ok"}))
        );
    }
    let (status, problem) = get_json(&router, "/api/description/latest").await;
    assert_eq!(status, 404);
    assert_eq!(problem["detail"], "No description found");
    assert_eq!(
        get_json(&router, "/api/description").await,
        (200, json!([]))
    );

    for blank in ["", "  \n\t "] {
        let response = describe(&router, blank).await;
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["detail"], "Description cannot be empty");
    }

    let mut ids = Vec::new();
    for text in ["  first, trimmed ", "second: naïve 📷 ' \" \\ {}", "third"] {
        let response = describe(&router, text).await;
        assert_eq!(response.status(), 200);
        let description: Value = response.json().await.unwrap();
        assert_eq!(description["text"], text.trim());
        assert!(
            description["created_at"]
                .as_str()
                .unwrap()
                .starts_with("20")
        );
        assert_eq!(description.as_object().unwrap().len(), 3);
        ids.push(description["id"].as_i64().expect("a JSON number"));
    }
    assert!(ids.is_sorted());

    let texts = async |path: &str| {
        let (status, list) = get_json(&router, path).await;
        assert_eq!(status, 200);
        let list = list.as_array().unwrap().clone();
        list.iter()
            .map(|description| description["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts("/api/description").await,
        ["third", "second: naïve 📷 ' \" \\ {}", "first, trimmed"]
    );
    assert_eq!(texts("/api/description?limit=1").await, ["third"]);
    let (_, latest) = get_json(&router, "/api/description/latest").await;
    assert_eq!(latest["id"], ids[2]);
    router.stop();
}

#[tokio::test]
async fn invalid_requests_are_problems_and_store_nothing() {
    let bundle = Bundle::new();
    let router = bundle.router();
    let client = Client::new();
    let url = router.at("/api/description");
    let post = |media_type: &str, body: &str| {
        client
            .post(&url)
            .header("content-type", media_type)
            .body(body.to_owned())
            .send()
    };
    for (media_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", "{\"text\": 5}", 400),
        ("application/json", "{\"text\": \"a\\u0000b\"}", 400),
        ("text/plain", "hello", 415),
    ] {
        let response = post(media_type, body).await.unwrap();
        assert_eq!(response.status(), status, "{body}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status, "{body}");
        assert!(problem["type"].is_string() && problem["title"].is_string());
    }
    let response = client.delete(&url).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert!(
        response.headers()["allow"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    assert_eq!(
        get_json(&router, "/api/description").await,
        (200, json!([]))
    );
    assert_eq!(get_json(&router, "/api/nothing").await.0, 404);
}

#[tokio::test]
async fn the_web_app_is_served_with_cache_headers() {
    let bundle = Bundle::new();
    let router = bundle.router();
    let client = Client::new();
    let page = client.get(router.at("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let etag = page.headers()["etag"].clone();
    let html = page.text().await.unwrap();

    let again = client
        .get(router.at("/"))
        .header("if-none-match", etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);

    let asset = html
        .split(['"', '\''])
        .find(|part| part.starts_with("/assets/"))
        .expect("the page has a hashed asset");
    let asset = client.get(router.at(asset)).send().await.unwrap();
    assert_eq!(asset.status(), 200);
    let caching = asset.headers()["cache-control"].to_str().unwrap();
    assert!(
        caching.contains("immutable") && caching.contains("max-age=31536000"),
        "{caching}"
    );

    let fallback = client
        .get(router.at("/some/page"))
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(fallback.status(), 200);
    assert_eq!(fallback.text().await.unwrap(), html);
    let missing = client
        .get(router.at("/assets/gone-12345678.js"))
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
    let outside = client
        .get(router.at("/..%2f..%2fetc/passwd"))
        .send()
        .await
        .unwrap();
    assert!(!outside.text().await.unwrap().contains("root:"));
}

#[tokio::test]
async fn a_database_outage_is_a_503_and_ends_without_a_restart() {
    let mut bundle = Bundle::new();
    let router = bundle.router();
    assert_eq!(describe(&router, "before").await.status(), 200);

    bundle.kill_postgres();
    // An open connection may still serve a request before it notices.
    let begin = std::time::Instant::now();
    let away = loop {
        let answer = describe(&router, "while away").await;
        if answer.status() != 200 || begin.elapsed() > Duration::from_secs(10) {
            break answer;
        }
    };
    assert_eq!(away.status(), 503);
    assert!(away.headers().contains_key("retry-after"));
    let problem = away.text().await.unwrap();
    assert!(
        !problem.contains("127.0.0.1") && !problem.contains("tirage_api"),
        "{problem}"
    );

    bundle.database.restart().unwrap();
    assert_eq!(describe(&router, "after").await.status(), 200);
}

#[tokio::test]
async fn a_missing_database_url_is_reported_at_start() {
    let output = std::process::Command::new(binary("tirage"))
        .arg("serve")
        .arg("--manifest")
        .arg(repository().join("spin.toml"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("DATABASE_URL is not set"), "{message}");
}

#[tokio::test]
async fn the_health_check_needs_no_database() {
    // No server listens there. The health check must not wait for the database.
    let router = Router::start(
        &repository().join("spin.toml"),
        &[],
        &[("DATABASE_URL", "postgres://nobody:x@127.0.0.1:9/none")],
    );
    let begin = std::time::Instant::now();
    assert_eq!(get_json(&router, "/api/health").await.0, 200);
    assert!(begin.elapsed() < Duration::from_secs(2));
}
