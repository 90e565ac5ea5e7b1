//! `GET /api/live` where the host doesn't serve the live feed itself (Spin): changes for twenty seconds,
//! then the stream ends and the client reconnects. And the admission of clients, for a host that does.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tirage_guest::database::{BUILT_IN_WORKSPACE, Database};
use tirage_guest::{Error, json};
use tirage_live::{Cursor, LastEventId, TableFunctions};
use tirage_sqlhttp::{Client, Wasi};

/// A stream of events.
pub(crate) type Events = StreamBody<Pin<Box<dyn Stream<Item = Piece>>>>;

type Piece = Result<Frame<Bytes>, Infallible>;

/// Number of polls of one stream, within the time that hosts give a response.
const POLLS: u32 = 20;
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Admits a client to the feed of its workspace. The router calls this before it serves the live feed, and
/// at most every 30 seconds after that. Until accounts exist, every client gets the built-in workspace.
///
/// # Errors
/// 500.
pub(crate) fn admission() -> Result<Response<Bytes>, Error> {
    json::response(
        StatusCode::OK,
        &serde_json::json!({ "feed": BUILT_IN_WORKSPACE }),
    )
}

/// Returns the database's functions, which the manifest names as well.
fn table_functions() -> TableFunctions {
    TableFunctions::new("live_frontier", "live_changes")
}

/// Answers with the changes since the client's last event.
///
/// # Errors
/// 503 and 500, before the first event. A later failure ends the stream, and the client reconnects.
pub(crate) async fn follow(head: &Parts) -> Result<Response<Events>, Error> {
    let client = Database::client().await?;
    let functions = table_functions();
    let frontier = functions.frontier(&client, BUILT_IN_WORKSPACE).await?;
    let last_event_id = LastEventId::of(&head.headers, head.uri.query());
    let cursor = Cursor::resume(last_event_id, frontier);
    let first = match cursor.is_reset {
        true => tirage_live::reset(cursor.sequence),
        false => tirage_live::start(cursor.sequence),
    };
    let follower = Follower {
        client,
        functions,
        sequence: cursor.sequence,
        polls: 0,
    };
    let later = stream::unfold(follower, |mut follower| async {
        let piece = follower.next().await?;
        Some((piece, follower))
    });
    let pieces = futures::StreamExt::chain(stream::iter([first]), later);
    let frames = futures::StreamExt::map(pieces, |piece| Ok(Frame::data(piece)));
    let events: Pin<Box<dyn Stream<Item = Piece>>> = Box::pin(frames);
    let mut response = Response::new(StreamBody::new(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One client's stream.
struct Follower {
    client: Client<Wasi>,
    functions: TableFunctions,
    sequence: u64,
    polls: u32,
}

impl Follower {
    /// Waits for the next changes; `None` after the last poll, or when the database can't be read.
    async fn next(&mut self) -> Option<Bytes> {
        while self.polls < POLLS {
            self.polls += 1;
            let changes = self
                .functions
                .changes(&self.client, BUILT_IN_WORKSPACE, self.sequence)
                .await
                .ok()?;
            let Some(last) = changes.last() else {
                spin_sdk::time::sleep(POLL_INTERVAL).await;
                continue;
            };
            self.sequence = last.sequence;
            let mut text = BytesMut::new();
            for change in &changes {
                text.extend_from_slice(&tirage_live::change(change));
            }
            return Some(text.freeze());
        }
        None
    }
}
