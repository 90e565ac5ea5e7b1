//! Wrappers of bodies: [`limit_request`] enforces the limit of a request's body, and
//! [`watch_response`] holds the concurrency permit until the end of a response's body. If the
//! instance fails, the response's body ends with an error, so that a truncated body never looks
//! complete.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::instance::InstanceStatus;

/// Limits a request's body to `limit` bytes. A longer one sets `exceeded` and fails.
pub(crate) fn limit_request(body: WasiBody, limit: u64, exceeded: Arc<AtomicBool>) -> WasiBody {
    LimitedBody {
        inner: body,
        remaining: limit,
        exceeded,
    }
    .boxed_unsync()
}

/// Watches a response's body, which the instance of `status` produces. Releases the permit when the
/// body is dropped.
pub(crate) fn watch_response(
    body: WasiBody,
    status: Arc<InstanceStatus>,
    permit: OwnedSemaphorePermit,
) -> WasiBody {
    status.body_opened();
    WatchedBody {
        inner: body,
        status,
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
    status: Arc<InstanceStatus>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.status.body_closed();
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
            // The instance failed, so the body is incomplete.
            None if self.status.failed() => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
            frame => {
                self.status.record_progress();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && !self.status.failed()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
