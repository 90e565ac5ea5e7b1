//! Traps: immediately, or with `?after=chunk` after the head and the first chunk of the response were
//! sent, when the host can no longer change the status.

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
        _ => panic!("trap as requested"),
    }
}

fn one_chunk_then_a_trap()
-> impl futures::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> {
    stream::iter([Ok(Frame::data(Bytes::from_static(b"first chunk\n")))]).chain(stream::poll_fn(
        |_| panic!("trap after the first chunk as requested"),
    ))
}
