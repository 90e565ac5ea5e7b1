//! Request and response bodies: the request is read into one buffer, the response is sent in parts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tirage_imaging::Limits;
use tirage_problem::{Kind, Problem};

use crate::problem;

/// Reads a whole body into memory. The buffer is allocated once, by the `Content-Length`.
///
/// # Errors
/// 413 if the body is longer than the limit, 400 if it ends early.
pub(crate) async fn read<B>(
    headers: &HeaderMap,
    mut body: B,
    limits: &Limits,
) -> Result<Vec<u8>, Problem>
where
    B: Body<Data: Buf> + Unpin,
{
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0_u64);
    limits.check_file(announced).map_err(problem::from_error)?;
    let mut file = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(Kind::INVALID_INPUT).detail("The request body ended early")
        })?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let length = file.len() as u64 + data.remaining() as u64;
        limits.check_file(length).map_err(problem::from_error)?;
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = chunk.len();
            file.extend_from_slice(chunk);
            data.advance(length);
        }
    }
    Ok(file)
}

/// A body of parts in memory.
#[derive(Debug)]
pub(crate) struct PartsBody {
    parts: VecDeque<Bytes>,
}

impl PartsBody {
    pub(crate) fn new(parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
        }
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

impl Body for PartsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.parts.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}
