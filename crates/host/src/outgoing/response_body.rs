//! A response's body under limits: how long it may pause, when it has to be through, how long it may
//! be. It keeps its place among the component's calls until then.

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

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// The longest pause between two pieces, counted only while somebody waits for the next.
    pub(super) pause: Duration,
    /// When the end must have come.
    pub(super) deadline: Instant,
    /// How long it may be.
    pub(super) bytes: u64,
}

pub(super) struct ResponseBody {
    body: Incoming,
    allowance: Allowance,
    received: u64,
    /// Set while somebody waits.
    waiting: bool,
    sleep: Pin<Box<Sleep>>,
    _turn: OwnedSemaphorePermit,
}

impl ResponseBody {
    /// # Errors
    /// If the body is announced to be too long.
    pub(super) fn new(
        body: Incoming,
        allowance: Allowance,
        turn: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        if body.size_hint().lower() > allowance.bytes {
            return Err(Error::HttpResponseBodySize(Some(allowance.bytes)));
        }
        Ok(Self {
            body,
            allowance,
            received: 0,
            waiting: false,
            sleep: Box::pin(sleep_until(allowance.deadline)),
            _turn: turn,
        })
    }

    fn receive(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let Allowance {
            deadline, bytes, ..
        } = self.allowance;
        if Instant::now() >= deadline {
            return Err(Error::HttpResponseTimeout);
        }
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.received > bytes {
            true => Err(Error::HttpResponseBodySize(Some(bytes))),
            false => Ok(frame),
        }
    }

    /// Ready when the time is over.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let Allowance {
            pause, deadline, ..
        } = self.allowance;
        if !self.waiting {
            self.waiting = true;
            self.sleep
                .as_mut()
                .reset(deadline.min(Instant::now() + pause));
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(match Instant::now() >= deadline {
            true => Error::HttpResponseTimeout,
            false => Error::ConnectionReadTimeout,
        })
    }
}

/// Cut off, or nonsense: hyper tells them apart by the cause.
fn explain(error: &hyper::Error) -> Error {
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
            return self.poll_patience(context).map(|error| Some(Err(error)));
        };
        self.waiting = false;
        Poll::Ready(match frame {
            None => None,
            Some(Ok(frame)) => Some(self.receive(frame)),
            Some(Err(error)) => Some(Err(explain(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
