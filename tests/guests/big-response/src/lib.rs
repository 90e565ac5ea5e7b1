//! Streams `?bytes=` zero bytes (default 1 MiB), 64 KiB at a time.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use guest_support::number;
use http_body::Frame;
use http_body_util::StreamBody;
use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::http_service;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

#[http_service]
async fn big_response(request: Request) -> impl IntoResponse {
    Response::new(StreamBody::new(zeros(number(&request, "bytes", 1 << 20))))
}

fn zeros(bytes: u64) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::iter((0..bytes).step_by(ZEROS.len())).map(move |sent| {
        let size = ZEROS.len().min((bytes - sent) as usize);
        Ok(Frame::data(Bytes::from_static(&ZEROS[..size])))
    })
}
