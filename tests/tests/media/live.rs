//! The change feed, as a browser's EventSource would read it.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{get, settled, upload};
use crate::picture::png;
use crate::stack::{Stack, Victim};

/// A stream, and what was read of it.
struct Events {
    stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    id: u64,
    name: String,
    data: String,
}

impl Events {
    async fn open(stack: &Stack, last: Option<u64>) -> Self {
        let mut request = reqwest::Client::new().get(stack.at("/api/live"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            stream: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let read = field("id: ").map(|id| Event {
                    id: id.parse().unwrap(),
                    name: field("event: ").unwrap(),
                    data: field("data: ").unwrap(),
                });
                self.text = rest.to_owned();
                match read {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let piece = timeout(Duration::from_secs(20), self.stream.next()).await;
            let piece = piece.expect("an event or a heartbeat comes")?;
            self.text
                .push_str(std::str::from_utf8(&piece.ok()?).unwrap());
        }
    }

    /// Up to the event that has this in its data.
    async fn until(&mut self, wanted: &[&str]) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            let found = wanted.iter().all(|text| event.data.contains(text));
            events.push(event);
            if found {
                return events;
            }
        }
    }
}

/// As the router answers, which reads the database through its own gateway.
#[tokio::test(flavor = "multi_thread")]
async fn changes_come_as_they_happen_and_none_is_missed() {
    let in_process = ("DATABASE_HTTP_URL", "http://sql.tirage.internal");
    changes_come(Stack::with(&[in_process]).await).await;
}

/// As the function answers where no router does it for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_function_tells_of_changes_by_itself() {
    changes_come(Stack::start().await).await;
}

async fn changes_come(stack: Stack) {
    let mut events = Events::open(&stack, None).await;
    let ready = events.next().await.unwrap();
    assert_eq!((ready.id, ready.name.as_str()), (0, "ready"));

    let first = upload(&stack, "a.png", "image/png", &png(30, 20, 1)).await;
    let seen = events.until(&[&first, "\"ready\""]).await;
    let ids: Vec<_> = seen.iter().map(|event| event.id).collect();
    let expected: Vec<_> = (1..=ids.len() as u64).collect();
    assert_eq!(ids, expected, "no number is left out");
    assert!(seen[0].data.contains("\"created\""), "{:?}", seen[0]);
    drop(events);

    // Away for a while, and then back.
    let second = upload(&stack, "b.png", "image/png", &png(30, 20, 2)).await;
    settled(&stack, &second).await;
    let mut events = Events::open(&stack, ids.last().copied()).await;
    assert_eq!(events.next().await.unwrap().name, "ready");
    let missed = events.until(&[&second, "\"ready\""]).await;
    assert_eq!(missed[0].id, ids.len() as u64 + 1);

    // A number that was never given.
    let mut events = Events::open(&stack, Some(1_000_000)).await;
    assert_eq!(events.next().await.unwrap().name, "reset");

    // The router dies; the stream ends, and goes on where it was.
    stack.kill(Victim::Router);
    while events.next().await.is_some() {}
    stack.revive(Victim::Router);
    let last = missed.last().unwrap().id;
    let mut events = Events::open(&stack, Some(last)).await;
    assert_eq!(events.next().await.unwrap().id, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_streams_than_may_be() {
    let settings = [
        ("DATABASE_HTTP_URL", "http://sql.tirage.internal"),
        ("LIVE_MAX_STREAMS", "2"),
    ];
    let stack = Stack::with(&settings).await;
    let mut one = Events::open(&stack, None).await;
    let mut other = Events::open(&stack, None).await;
    assert_eq!(one.next().await.unwrap().name, "ready");
    assert_eq!(other.next().await.unwrap().name, "ready");

    let refused = get(&stack, "/api/live").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.json["type"], "urn:tirage:problem:too-busy");
    assert!(refused.headers.contains_key("retry-after"));

    // Who leaves makes room, as soon as the router knows.
    drop(one);
    let begin = Instant::now();
    loop {
        let response = reqwest::get(stack.at("/api/live")).await.unwrap();
        if response.status() == StatusCode::OK {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the place stays taken"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A function that has no room for the question just now has refused nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_only_a_moment_in_which_nobody_says_whom_to_admit() {
    let role = "database_role = \"tirage_api\"";
    let narrow = format!("{role}\nmax_concurrency = 1\nqueue_timeout_ms = 100");
    let in_process = ("DATABASE_HTTP_URL", "http://sql.tirage.internal");
    let stack = Stack::with_manifest(&[in_process], &[(role, &narrow)]).await;
    let mut events = Events::open(&stack, None).await;
    let id = upload(&stack, "a.png", "image/png", &png(30, 20, 1)).await;

    stall(&stack, Duration::from_secs(3)).await;
    let seen = events.until(&[&id, "\"ready\""]).await;

    // If that lasts, whoever may have lost their rights hears nothing more. They come back, and miss nothing.
    let other = upload(&stack, "b.png", "image/png", &png(30, 20, 2)).await;
    stall(&stack, Duration::from_secs(8)).await;
    let mut last = seen.last().unwrap().id;
    while let Some(event) = events.next().await {
        assert!(!event.data.contains("\"ready\""), "{event:?}");
        last = event.id;
    }
    settled(&stack, &other).await;
    let mut events = Events::open(&stack, Some(last)).await;
    events.until(&[&other, "\"ready\""]).await;
}

/// Takes a place at the api for a while, with an upload that does not go on.
async fn stall(stack: &Stack, duration: Duration) {
    let mut stalled = TcpStream::connect(stack.address()).await.unwrap();
    let head = "POST /api/media HTTP/1.1\r\nhost: a\r\ncontent-type: image/png\r\ncontent-length: 9999\r\n\r\n";
    stalled.write_all(head.as_bytes()).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        drop(stalled);
    });
}
