//! The live feed, as a browser's EventSource reads it.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::StatusCode;
use tokio::time::timeout;

use crate::client::{get, settled, upload};
use crate::picture::png;
use crate::stack::{Stack, Victim};

/// A stream and the text that has arrived.
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

    /// Waits for the next event; `None` at the end of the stream.
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

    /// Reads until an event whose data contains all of `wanted`.
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

/// The router serves the feed, because the component uses the gateway in process.
#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_as_they_happen_and_none_is_missed() {
    let in_process = ("DATABASE_HTTP_URL", "http://sql.tirage.internal");
    changes_come(Stack::with(&[in_process]).await).await;
}

/// The function serves the feed, because the gateway is on a socket.
#[tokio::test(flavor = "multi_thread")]
async fn the_function_serves_the_feed_itself() {
    changes_come(Stack::start().await).await;
}

async fn changes_come(stack: Stack) {
    // The admission path is not reachable from outside: the site answers it with its page, or not at all.
    let admission = reqwest::get(stack.at("/internal/live/admission"))
        .await
        .unwrap();
    assert!(!admission.text().await.unwrap().contains("\"feed\""));

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

    // Disconnected for a while, then resumed.
    let second = upload(&stack, "b.png", "image/png", &png(30, 20, 2)).await;
    settled(&stack, &second).await;
    let mut events = Events::open(&stack, ids.last().copied()).await;
    assert_eq!(events.next().await.unwrap().name, "ready");
    let missed = events.until(&[&second, "\"ready\""]).await;
    assert_eq!(missed[0].id, ids.len() as u64 + 1);

    // A number that does not exist.
    let mut events = Events::open(&stack, Some(1_000_000)).await;
    assert_eq!(events.next().await.unwrap().name, "reset");

    // The router dies; the stream ends and resumes.
    stack.kill(Victim::Router);
    while events.next().await.is_some() {}
    stack.revive(Victim::Router);
    let last = missed.last().unwrap().id;
    let mut events = Events::open(&stack, Some(last)).await;
    assert_eq!(events.next().await.unwrap().id, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_on_streams_holds() {
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

    // A disconnected client releases its permit as soon as the router notices.
    drop(one);
    let begin = Instant::now();
    loop {
        let response = reqwest::get(stack.at("/api/live")).await.unwrap();
        if response.status() == StatusCode::OK {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the permit is not released"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
