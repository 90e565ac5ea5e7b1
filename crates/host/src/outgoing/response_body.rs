//! Body of a response from the network, with limits of its pauses, its total time and its length. It
//! holds the permit of its call until it is dropped.

use std::error::Error as _;
use std::io::ErrorKind::{InvalidData, InvalidInput};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::Error;

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Maximum pause between two frames, measured only while the guest waits for the next.
    pub(super) max_pause: Duration,
    /// Time by which the body must end.
    pub(super) deadline: Instant,
    /// Maximum length in bytes.
    pub(super) max_bytes: u64,
}

pub(super) struct ResponseBody {
    body: Incoming,
    limits: BodyLimits,
    received: u64,
    /// `true` while the guest waits for a frame.
    waiting: bool,
    sleep: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl ResponseBody {
    /// Wraps a body.
    ///
    /// # Errors
    /// The announced length exceeds the limit.
    pub(super) fn new(
        body: Incoming,
        limits: BodyLimits,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        if body.size_hint().lower() > limits.max_bytes {
            return Err(Error::HttpResponseBodySize(Some(limits.max_bytes)));
        }
        Ok(Self {
            body,
            limits,
            received: 0,
            waiting: false,
            sleep: Box::pin(sleep_until(limits.deadline)),
            _permit: permit,
        })
    }

    fn receive(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let BodyLimits {
            deadline,
            max_bytes,
            ..
        } = self.limits;
        if Instant::now() >= deadline {
            return Err(Error::HttpResponseTimeout);
        }
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.received > max_bytes {
            true => Err(Error::HttpResponseBodySize(Some(max_bytes))),
            false => Ok(frame),
        }
    }

    /// Ready with an error when the pause or the body exceeds its time.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let BodyLimits {
            max_pause,
            deadline,
            ..
        } = self.limits;
        if !self.waiting {
            self.waiting = true;
            self.sleep
                .as_mut()
                .reset(deadline.min(Instant::now() + max_pause));
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(match Instant::now() >= deadline {
            true => Error::HttpResponseTimeout,
            false => Error::ConnectionReadTimeout,
        })
    }
}

/// Distinguishes a truncated from a malformed body by the cause of hyper's error.
fn convert_error(error: &hyper::Error) -> Error {
    let cause = error.source();
    match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(cause) if !matches!(cause.kind(), InvalidInput | InvalidData) => {
            Error::HttpResponseIncomplete
        }
        _ => Error::HttpProtocolError,
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            return self.poll_timeout(context).map(|error| Some(Err(error)));
        };
        self.waiting = false;
        Poll::Ready(match frame {
            None => None,
            Some(Ok(frame)) => Some(self.receive(frame)),
            Some(Err(error)) => Some(Err(convert_error(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
