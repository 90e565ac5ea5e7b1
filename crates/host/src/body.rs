//! Bodies under watch: a request's body that may not exceed its limit, and a response's body that
//! keeps its place in the queue until it is through and never passes off a lost guest's last words
//! as a whole answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::worker::Fate;

/// Counts a request's body; beyond `limit` bytes it fails and `exceeded` is set.
pub(crate) fn limit_request(body: WasiBody, limit: u64, exceeded: Arc<AtomicBool>) -> WasiBody {
    LimitedBody {
        inner: body,
        remaining: limit,
        exceeded,
    }
    .boxed_unsync()
}

/// Watches a response's body that `fate`'s instance makes. The permit is given back when the body
/// has ended or is dropped.
pub(crate) fn watch_response(
    body: WasiBody,
    fate: Arc<Fate>,
    permit: OwnedSemaphorePermit,
) -> WasiBody {
    fate.body_opened();
    WatchedBody {
        inner: body,
        fate,
        _permit: permit,
    }
    .boxed_unsync()
}

struct LimitedBody {
    inner: WasiBody,
    remaining: u64,
    exceeded: Arc<AtomicBool>,
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.remaining.checked_sub(data.len() as u64) {
                Some(remaining) => self.remaining = remaining,
                None => {
                    self.exceeded.store(true, Ordering::Release);
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct WatchedBody {
    inner: WasiBody,
    fate: Arc<Fate>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.fate.body_closed();
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match frame {
            // The instance is gone, and with it the other end of this body.
            None if self.fate.failed() => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
            frame => {
                self.fate.progressed();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && !self.fate.failed()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
