//! An external step on its own server: which of its faults fail the photo, and which are retried.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use crate::client::{objects, settled, sha256, upload};
use crate::picture::png;
use crate::server::serve;
use crate::stack::Stack;

/// A response of the step.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// This status, with a problem document.
    Problem(u16),
    /// One variant of this name.
    Variant(&'static str),
    /// One variant with a wrong hash.
    WrongHash,
    /// The beginning of a response.
    Cut,
}

/// The next responses, in order.
type Replies = Arc<Mutex<VecDeque<Reply>>>;

/// Starts the step's server and returns its URL.
async fn start(replies: Replies) -> String {
    serve(move |request| {
        let replies = Arc::clone(&replies);
        async move {
            let _ = request.into_body().collect().await;
            let reply = replies.lock().unwrap().pop_front().unwrap();
            respond(reply)
        }
    })
    .await
}

fn respond(reply: Reply) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let (status, text) = match reply {
        Reply::Problem(status) => (status, problem().to_string()),
        Reply::Variant(name) => (200, variant(name, b"print")),
        Reply::WrongHash => (200, variant("thumb", b"other")),
        Reply::Cut => (200, "--b\r\n".to_owned()),
    };
    let end = futures::stream::iter([reply]).filter_map(async |reply| match reply {
        Reply::Cut => {
            // After the beginning has been sent.
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some(Err(io::Error::other("cut")))
        }
        _ => None,
    });
    let pieces = futures::stream::iter([Ok(Frame::data(Bytes::from(text)))]).chain(end);
    Response::builder()
        .status(status)
        .header("content-type", "multipart/mixed; boundary=b")
        .body(StreamBody::new(pieces).boxed_unsync())
        .unwrap()
}

fn problem() -> Value {
    json!({"type": "https://example.com/problems/blurred", "title": "Blurred", "detail": "It moved."})
}

/// Returns the body of a response with one variant, and the hash of `hashed`.
fn variant(name: &str, hashed: &[u8]) -> String {
    let description = json!({
        "format": "png", "content_type": "image/png", "width": 4, "height": 3,
        "sha256": "a".repeat(64), "metadata": {},
        "variants": [{"name": name, "content_type": "image/png", "width": 4, "height": 3,
            "bytes": 5, "sha256": sha256(hashed)}],
    });
    format!("--b\r\n\r\n{description}\r\n--b\r\n\r\nprint\r\n--b--\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_step_fails_photos_only_for_permanent_faults() {
    let replies = Replies::default();
    let url = start(Arc::clone(&replies)).await;
    let stack = Stack::with(&[("PHOTO_STEP_URL", &url)]).await;
    let seed = std::cell::Cell::new(0);
    let settle = async |next: &[Reply]| {
        seed.set(seed.get() + 1);
        replies.lock().unwrap().extend(next);
        let id = upload(&stack, "own.png", "image/png", &png(48, 32, seed.get())).await;
        let media = settled(&stack, &id).await;
        assert!(replies.lock().unwrap().is_empty(), "{media}");
        (id, media)
    };

    let (id, media) = settle(&[Reply::Variant("thumb")]).await;
    assert_eq!(media["state"], "ready", "{media}");
    assert!(objects(&stack, &id).await.contains("thumb.1"));

    // 404 and 400 are retried: the step may not be deployed yet, or not know an option. 422 is final.
    let (_, media) = settle(&[
        Reply::Problem(404),
        Reply::Problem(400),
        Reply::Problem(422),
    ])
    .await;
    assert_eq!(media["failure"], problem(), "{media}");

    for (reply, failure) in [
        (Reply::Variant("Thumb"), "step-answer"),
        (Reply::WrongHash, "step-answer"),
        (Reply::Cut, "step-crashed"),
    ] {
        let (id, media) = settle(&[reply]).await;
        let kind = format!("urn:tirage:problem:{failure}");
        assert_eq!(media["failure"]["type"], kind, "{reply:?}: {media}");
        // Only the original is stored.
        assert_eq!(objects(&stack, &id).await.len(), 1);
    }
}
