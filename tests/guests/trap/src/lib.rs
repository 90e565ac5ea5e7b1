//! Dies by a trap: at once, or with `?after=chunk` when the head and the first chunk of the answer
//! have been taken from it, so that the host can no longer change the status.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use guest_support::parameter;
use http_body::Frame;
use http_body_util::StreamBody;
use spin_sdk::http::{BoxBody, Request, Response, box_body};
use spin_sdk::http_service;

#[http_service]
async fn trap(request: Request) -> Response<BoxBody> {
    match parameter(&request, "after").as_deref() {
        Some("chunk") => Response::new(box_body(StreamBody::new(one_chunk_then_a_trap()))),
        _ => panic!("told to trap"),
    }
}

fn one_chunk_then_a_trap()
-> impl futures::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> {
    stream::iter([Ok(Frame::data(Bytes::from_static(b"first chunk\n")))]).chain(stream::poll_fn(
        |_| panic!("told to trap after the first chunk"),
    ))
}
