//! A step of somebody's own, on a server of its own, that isn't as it should be: which of its faults are
//! the photo's failure, and which are waited out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{objects, settled, sha256, upload};
use crate::picture::png;
use crate::stack::Stack;

/// What the step says to a photo.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// This status, with a problem document of the step's.
    Problem(u16),
    /// One print of this name.
    Print(&'static str),
    /// One print with another one's hash.
    OtherHash,
    /// The beginning of an answer.
    Cut,
}

/// What it says, in this order.
type Answers = Arc<Mutex<VecDeque<Answer>>>;

/// Where the step is found.
async fn start(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                    let answers = Arc::clone(&answers);
                    async move {
                        let _ = request.into_body().collect().await;
                        let answer = answers.lock().unwrap().pop_front().unwrap();
                        Ok::<_, Infallible>(say(answer))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}

fn say(answer: Answer) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let (status, text) = match answer {
        Answer::Problem(status) => (status, problem().to_string()),
        Answer::Print(name) => (200, print(name, b"print")),
        Answer::OtherHash => (200, print("thumb", b"other")),
        Answer::Cut => (200, "--b\r\n".to_owned()),
    };
    let end = futures::stream::iter([answer]).filter_map(async |answer| match answer {
        Answer::Cut => {
            // When what came before is through.
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

fn print(name: &str, hashed: &[u8]) -> String {
    let description = json!({
        "format": "png", "content_type": "image/png", "width": 4, "height": 3,
        "sha256": "a".repeat(64), "metadata": {},
        "variants": [{"name": name, "content_type": "image/png", "width": 4, "height": 3,
            "bytes": 5, "sha256": sha256(hashed)}],
    });
    format!("--b\r\n\r\n{description}\r\n--b\r\n\r\nprint\r\n--b--\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_ones_own_fails_photos_only_for_what_is_their_fault_or_its_own_for_good() {
    let answers = Answers::default();
    let url = start(Arc::clone(&answers)).await;
    let stack = Stack::with(&[("PHOTO_STEP_URL", &url)]).await;
    let seed = std::cell::Cell::new(0);
    let settle = async |said: &[Answer]| {
        seed.set(seed.get() + 1);
        answers.lock().unwrap().extend(said);
        let id = upload(&stack, "own.png", "image/png", &png(48, 32, seed.get())).await;
        let media = settled(&stack, &id).await;
        assert!(answers.lock().unwrap().is_empty(), "{media}");
        (id, media)
    };

    let (id, media) = settle(&[Answer::Print("thumb")]).await;
    assert_eq!(media["state"], "ready", "{media}");
    assert!(objects(&stack, &id).await.contains("thumb.1"));

    // It isn't there yet, or is asked for what it doesn't know; then it is, and is believed.
    let (_, media) = settle(&[
        Answer::Problem(404),
        Answer::Problem(400),
        Answer::Problem(422),
    ])
    .await;
    assert_eq!(media["failure"], problem(), "{media}");

    for (answer, failure) in [
        (Answer::Print("Thumb"), "step-answer"),
        (Answer::OtherHash, "step-answer"),
        (Answer::Cut, "step-crashed"),
    ] {
        let (id, media) = settle(&[answer]).await;
        let kind = format!("urn:tirage:problem:{failure}");
        assert_eq!(media["failure"]["type"], kind, "{answer:?}: {media}");
        // Nothing was stored for it.
        assert_eq!(objects(&stack, &id).await.len(), 1);
    }
}
