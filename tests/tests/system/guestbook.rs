//! A second application on the same binary: its own manifest, migration and live feed
//! (`tests/guests/guestbook`). And the admission of clients to a live feed, which its tables control.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::harness::Router;
use tirage_tests::{binary, repository};

const LONG: Duration = Duration::from_secs(20);

/// The guest book, in a folder of its own, with a database.
struct Guestbook {
    folder: TempDir,
    database: Cluster,
}

impl Guestbook {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = repository().join("tests/guests/guestbook");
        std::fs::copy(source.join("spin.toml"), folder.path().join("spin.toml")).unwrap();
        std::fs::create_dir(folder.path().join("migrations")).unwrap();
        let migration = "migrations/0001_guestbook.sql";
        std::fs::copy(source.join(migration), folder.path().join(migration)).unwrap();
        for file in ["guestbook.wasm", "guestbook.cwasm"] {
            let built = repository().join("build/guests").join(file);
            // Linked, because a copy would look newer than what it was compiled from.
            let built = built.canonicalize().expect("guests are built");
            std::os::unix::fs::symlink(built, folder.path().join(file)).unwrap();
        }
        Self {
            folder,
            database: Cluster::start_temporary().unwrap(),
        }
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("spin.toml")
    }

    /// Replaces a text of the manifest.
    fn replace(&self, old: &str, new: &str) {
        let manifest = std::fs::read_to_string(self.manifest()).unwrap();
        assert_eq!(manifest.matches(old).count(), 1, "{old}");
        std::fs::write(self.manifest(), manifest.replace(old, new)).unwrap();
    }

    fn start(&self) -> Router {
        Router::start(
            &self.manifest(),
            &[],
            &[
                ("DATABASE_URL", &self.database.url()),
                ("DATABASE_ADMIN_URL", &self.database.admin_url()),
            ],
        )
    }

    /// Starts a router that is expected to refuse, and returns its error.
    fn refusal(&self) -> String {
        let output = Command::new(binary("tirage"))
            .args(["serve", "--listen", "127.0.0.1:0", "--manifest"])
            .arg(self.manifest())
            .env_clear()
            .env("DATABASE_URL", self.database.url())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "the router did not refuse");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs statements as the owner of the database.
    async fn execute(&self, sql: &str) {
        self.owner().await.batch_execute(sql).await.unwrap();
    }

    /// Number of times that the component was asked to admit a client.
    async fn admissions(&self) -> u32 {
        let count = "select count(*) from admission";
        let outcome = self.owner().await.execute(count, &[]).await.unwrap();
        outcome.rows[0].text(0).unwrap().parse().unwrap()
    }

    async fn owner(&self) -> Connection {
        let owner: Config = self.database.admin_url().parse().unwrap();
        Connection::connect(&owner).await.unwrap()
    }
}

async fn sign(router: &Router, text: &'static str) {
    let request = Client::new().post(router.at("/entries")).body(text);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}

/// A stream of the live feed.
struct Feed {
    stream: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Feed {
    async fn open(router: &Router, last_event_id: Option<u64>) -> Self {
        let mut request = Client::new().get(router.at("/feed"));
        if let Some(last) = last_event_id {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            stream: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    /// Waits for the next event, without its delay for reconnecting; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let lines = event.lines().filter(|line| !line.starts_with("retry:"));
                let event = lines.collect::<Vec<_>>().join(" ");
                self.text = rest.to_owned();
                match event.as_str() {
                    ":" => continue,
                    _ => return Some(event),
                }
            }
            let piece = timeout(LONG, self.stream.next()).await;
            let piece = piece.expect("an event or a heartbeat arrives")?.ok()?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guestbook_runs_on_the_same_binary() {
    let guestbook = Guestbook::new();
    let router = guestbook.start();
    let mut feed = Feed::open(&router, None).await;
    assert_eq!(feed.next().await.unwrap(), "id: 0 event: ready data: {}");
    sign(&router, "hello").await;
    sign(&router, "a \"quoted\" line").await;
    let expected = r#"id: 1 event: change data: {"text":"hello"}"#;
    assert_eq!(feed.next().await.unwrap(), expected);
    let second = r#"id: 2 event: change data: {"text":"a \"quoted\" line"}"#;
    assert_eq!(feed.next().await.unwrap(), second);

    let mut resumed = Feed::open(&router, Some(1)).await;
    assert_eq!(resumed.next().await.unwrap(), "id: 1 event: ready data: {}");
    assert_eq!(resumed.next().await.unwrap(), second);
    let mut reset = Feed::open(&router, Some(9)).await;
    assert_eq!(reset.next().await.unwrap(), "id: 2 event: reset data: {}");

    // Nothing of the other application is here.
    for path in ["/api/live", "/api/media", "/admission", "/"] {
        let response = reqwest::get(router.at(path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_twenty_events_takes_one_admission() {
    let guestbook = Guestbook::new();
    let router = guestbook.start();
    let mut feed = Feed::open(&router, None).await;
    feed.next().await.unwrap();
    for number in 1..=20 {
        sign(&router, "again").await;
        let event = feed.next().await.unwrap();
        assert!(event.starts_with(&format!("id: {number} ")), "{event}");
    }
    assert_eq!(guestbook.admissions().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_is_renewed_at_its_end_and_a_refusal_ends_the_stream() {
    let guestbook = Guestbook::new();
    let router = guestbook.start();
    // The first request creates the tables' rows only after the migration.
    sign(&router, "first").await;
    let set = "insert into admission_setting values (1)";
    guestbook.execute(set).await;
    let mut feed = Feed::open(&router, None).await;
    feed.next().await.unwrap();
    sleep(Duration::from_millis(3500)).await;
    let admissions = guestbook.admissions().await;
    assert!((2..=5).contains(&admissions), "{admissions}");
    sign(&router, "second").await;
    assert!(feed.next().await.unwrap().starts_with("id: 2 "));

    let refuse = "update admission_setting set seconds = -1";
    guestbook.execute(refuse).await;
    let begin = Instant::now();
    assert_eq!(feed.next().await, None);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let response = reqwest::get(router.at("/feed")).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_five_seconds_for_a_busy_component_and_then_ends() {
    let guestbook = Guestbook::new();
    let role = "database_role = \"guestbook\"";
    let narrow = format!("{role}\nmax_concurrency = 1\nqueue_timeout_ms = 100");
    guestbook.replace(role, &narrow);
    let router = guestbook.start();
    sign(&router, "first").await;
    let set = "insert into admission_setting values (1)";
    guestbook.execute(set).await;
    let mut feed = Feed::open(&router, None).await;
    feed.next().await.unwrap();

    // A short time in which the component is busy delays events.
    let stalled = stall(&router).await;
    sleep(Duration::from_millis(1500)).await;
    let insert = "insert into entry values (2, 'while it is busy')";
    guestbook.execute(insert).await;
    sleep(Duration::from_millis(1500)).await;
    drop(stalled);
    assert!(feed.next().await.unwrap().starts_with("id: 2 "));

    // A longer one ends the stream, since the client may have lost its rights. It misses nothing.
    let stalled = stall(&router).await;
    sleep(Duration::from_millis(1500)).await;
    let insert = "insert into entry values (3, 'for longer')";
    guestbook.execute(insert).await;
    assert_eq!(feed.next().await, None);
    drop(stalled);
    let begin = Instant::now();
    let mut feed = loop {
        let response = reqwest::get(router.at("/feed")).await.unwrap();
        if response.status() == StatusCode::OK {
            break Feed::open(&router, Some(2)).await;
        }
        assert!(begin.elapsed() < LONG, "the component stays busy");
        sleep(Duration::from_millis(50)).await;
    };
    feed.next().await.unwrap();
    assert!(feed.next().await.unwrap().starts_with("id: 3 "));
}

/// Occupies the component with a request whose body doesn't end, until the connection is dropped.
async fn stall(router: &Router) -> TcpStream {
    let address = router.url.trim_start_matches("http://");
    let mut stalled = TcpStream::connect(address).await.unwrap();
    let head = b"POST /entries HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n";
    stalled.write_all(head).await.unwrap();
    stalled
}

#[test]
fn a_public_route_to_the_admission_path_is_refused() {
    let guestbook = Guestbook::new();
    guestbook.replace("route = \"/entries\"", "route = \"/...\"");
    let refusal = guestbook.refusal();
    let expected =
        "a public route leads to the admission path /admission of component \"guestbook\"";
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn migrations_that_cannot_be_read_are_refused() {
    let guestbook = Guestbook::new();
    let folder = guestbook.folder.path().join("migrations");
    std::fs::write(folder.join("0003_gap.sql"), "").unwrap();
    let refusal = guestbook.refusal();
    assert!(refusal.contains("0003_gap.sql: expected 0002"), "{refusal}");
    guestbook.replace("migrations = \"migrations\"", "migrations = \"nowhere\"");
    let refusal = guestbook.refusal();
    assert!(
        refusal.contains("cannot read") && refusal.contains("nowhere"),
        "{refusal}"
    );
}
