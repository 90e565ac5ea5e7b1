//! Streams `?chunks=` lines (default 10), the first immediately and the others every `?interval_ms=`
//! (default 1000). It blocks no thread while it waits.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use guest_support::number;
use http_body::Frame;
use http_body_util::StreamBody;
use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::http_service;
use spin_sdk::time::sleep;

#[http_service]
async fn stream_slowly(request: Request) -> impl IntoResponse {
    let interval = Duration::from_millis(number(&request, "interval_ms", 1000));
    Response::new(StreamBody::new(lines(
        number(&request, "chunks", 10),
        interval,
    )))
}

fn lines(count: u64, interval: Duration) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::iter(0..count).then(move |index| async move {
        if index > 0 {
            sleep(interval).await;
        }
        Ok(Frame::data(Bytes::from(format!("chunk {index}\n"))))
    })
}
