//! What one connection is doing: waiting for its first request, busy, or idle since a moment.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Counts the requests in flight of one connection.
///
/// A request costs two atomic additions and one look at the clock; no timer is set for it.
pub(super) struct Activity {
    accepted: Instant,
    has_had_request: OnceLock<()>,
    in_flight: AtomicUsize,
    /// Microseconds from `accepted` until the last request ended.
    idle_since: AtomicU64,
}

/// The state of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No complete request head has arrived yet.
    New,
    /// At least one request is in flight.
    Busy,
    /// No request has been in flight since this moment.
    IdleSince(Instant),
}

impl Activity {
    /// The activity of a connection that is accepted now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            has_had_request: OnceLock::new(),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
        })
    }

    /// Returns the moment at which the connection was accepted.
    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// Counts a request, which is in flight until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.has_had_request.get_or_init(|| ());
        InFlight(Arc::clone(self))
    }

    /// Returns the current state.
    pub(super) fn state(&self) -> State {
        if self.has_had_request.get().is_none() {
            return State::New;
        }
        match self.in_flight.load(Ordering::Acquire) {
            0 => {
                let since = Duration::from_micros(self.idle_since.load(Ordering::Acquire));
                State::IdleSince(self.accepted + since)
            }
            _ => State::Busy,
        }
    }
}

/// A request in flight.
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let since = self.0.accepted.elapsed().as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.idle_since.fetch_max(since, Ordering::AcqRel);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project_lite::pin_project! {
    /// A response body during which the request is in flight.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        in_flight: InFlight,
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_new_then_busy_then_idle_since_its_last_request_ended() {
        let pause = Duration::from_millis(20);
        let activity = Activity::new();
        assert_eq!(activity.state(), State::New);
        let first = activity.begin();
        std::thread::sleep(pause);
        let last = activity.begin();
        drop(first);
        assert_eq!(activity.state(), State::Busy);
        std::thread::sleep(pause);
        drop(last);
        let ended = activity.accepted().elapsed();
        std::thread::sleep(pause);
        let State::IdleSince(since) = activity.state() else {
            panic!("{:?}", activity.state());
        };
        let since = since - activity.accepted();
        assert!((2 * pause..=ended).contains(&since), "{since:?}");
    }
}
