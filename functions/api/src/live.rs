//! `GET /api/live` where the host doesn't answer it itself (Spin): changes for twenty seconds, then the
//! end; clients come back and go on where they were. And the answer to the router's question, who may
//! hear of what.

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
use tirage_live::{Cursor, LastEventId};
use tirage_problem::Problem;
use tirage_sqlhttp::{Client, Wasi};

use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::json;

/// A stream of events.
pub(crate) type Events = StreamBody<Pin<Box<dyn Stream<Item = Piece>>>>;

type Piece = Result<Frame<Bytes>, Infallible>;

/// Below what guests are given for a response.
const POLLS: u32 = 20;
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Who asks, and of what they may hear; the router asks before it answers `/api/live` itself. Before
/// there are accounts, everybody may hear of the built-in workspace.
///
/// # Errors
/// 500.
pub(crate) fn admission() -> Result<Response<Bytes>, Problem> {
    json::answer(
        StatusCode::OK,
        &serde_json::json!({ "workspace": BUILT_IN_WORKSPACE }),
    )
}

/// The changes since the client's last event.
///
/// # Errors
/// 503 and 500, before the first event; a later failure ends the stream, and the client comes back.
pub(crate) async fn follow(head: &Parts) -> Result<Response<Events>, Problem> {
    let client = Database::client().await?;
    let frontier = tirage_live::frontier(&client, BUILT_IN_WORKSPACE)
        .await
        .map_err(database::problem)?;
    let seen = LastEventId::of(&head.headers, head.uri.query());
    let cursor = Cursor::resume(seen, frontier);
    let first = match cursor.is_reset {
        true => tirage_live::reset(cursor.sequence),
        false => tirage_live::start(cursor.sequence),
    };
    let follower = Follower {
        client,
        sequence: cursor.sequence,
        polls: 0,
    };
    let later = stream::unfold(follower, |mut follower| async {
        let piece = follower.next().await?;
        Some((piece, follower))
    });
    let all = futures::StreamExt::chain(stream::iter([first]), later);
    let frames = futures::StreamExt::map(all, |piece| Ok(Frame::data(piece)));
    let events: Pin<Box<dyn Stream<Item = Piece>>> = Box::pin(frames);
    let mut response = Response::new(StreamBody::new(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Follower {
    client: Client<Wasi>,
    sequence: u64,
    polls: u32,
}

impl Follower {
    /// What is new, as soon as something is; none when the time is over.
    async fn next(&mut self) -> Option<Bytes> {
        while self.polls < POLLS {
            self.polls += 1;
            let changes = tirage_live::changes(&self.client, BUILT_IN_WORKSPACE, self.sequence)
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
