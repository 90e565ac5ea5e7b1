//! A body that is observed while it passes through, without being held.
//!
//! The component that consumes a body (storage, a step) can't say why it ended early: the sender may have
//! disconnected, or the consumer itself may have stopped reading. The [`Watch`] can: it counts the bytes,
//! records errors and the end, and optionally hashes the content.

use std::cell::{Ref, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

/// A body under observation.
pub struct WatchedBody<B> {
    body: B,
    shared: Rc<RefCell<Shared>>,
}

/// Observer of a [`WatchedBody`]. Dropping it ends the body, so that a consumer that waits for a stalled
/// sender doesn't outlive the request.
pub struct Watch(Rc<RefCell<Shared>>);

#[derive(Default)]
struct Shared {
    expected: u64,
    received: u64,
    has_failed: bool,
    has_ended: bool,
    /// The observer was dropped.
    is_abandoned: bool,
    content: Option<Content>,
    waiting: Option<Waker>,
}

/// Hash and first bytes of a body.
pub struct Content {
    hash: Sha256,
    start: Vec<u8>,
    start_length: usize,
}

impl<B> WatchedBody<B> {
    /// Observes a body of `expected` bytes.
    pub fn new(body: B, expected: u64) -> (Self, Watch) {
        Self::watch(body, expected, None)
    }

    /// Observes a body of `expected` bytes, hashes it and keeps its first `start_length` bytes.
    pub fn hashed(body: B, expected: u64, start_length: usize) -> (Self, Watch) {
        let content = Content {
            hash: Sha256::new(),
            start: Vec::new(),
            start_length,
        };
        Self::watch(body, expected, Some(content))
    }

    fn watch(body: B, expected: u64, content: Option<Content>) -> (Self, Watch) {
        let shared = Rc::new(RefCell::new(Shared {
            expected,
            content,
            ..Shared::default()
        }));
        let watch = Watch(Rc::clone(&shared));
        (Self { body, shared }, watch)
    }
}

impl Watch {
    /// `true` if the sender failed, or sent another number of bytes than expected. `false` for a body that
    /// the consumer stopped reading.
    pub fn has_broken_off(&self) -> bool {
        let shared = self.0.borrow();
        shared.has_failed || (shared.has_ended && shared.received != shared.expected)
    }

    /// `true` if all expected bytes have passed.
    pub fn is_complete(&self) -> bool {
        let shared = self.0.borrow();
        shared.received >= shared.expected
    }

    /// Hash and first bytes so far; `None` unless made by [`WatchedBody::hashed`].
    pub fn content(&self) -> Option<Ref<'_, Content>> {
        Ref::filter_map(self.0.borrow(), |shared| shared.content.as_ref()).ok()
    }
}

impl Content {
    /// SHA-256 of the bytes so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// The first bytes.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    fn add(&mut self, data: &[u8]) {
        self.hash.update(data);
        let missing = self.start_length.saturating_sub(self.start.len());
        self.start.extend(data.iter().take(missing));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let waiting = {
            let mut shared = self.0.borrow_mut();
            shared.is_abandoned = true;
            shared.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        {
            let mut shared = self.shared.borrow_mut();
            if shared.is_abandoned {
                return Poll::Ready(None);
            }
            shared.waiting = Some(context.waker().clone());
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let mut shared = self.shared.borrow_mut();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    shared.received += data.len() as u64;
                    if let Some(content) = &mut shared.content {
                        content.add(data);
                    }
                }
            }
            Some(Err(_)) => shared.has_failed = true,
            None => shared.has_ended = true,
        }
        drop(shared);
        Poll::Ready(frame)
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
    use http_body_util::StreamBody;

    use super::*;

    type Piece = Result<Frame<Bytes>, &'static str>;

    fn piece() -> Piece {
        Ok(Frame::data(Bytes::from_static(b"12345")))
    }

    /// Polls `polls` times a body of `expected` bytes that yields `pieces`; then `has_broken_off` and
    /// `is_complete`.
    fn observe(expected: u64, pieces: Vec<Piece>, polls: usize) -> (bool, bool) {
        let body = StreamBody::new(futures::stream::iter(pieces));
        let (mut body, watch) = WatchedBody::new(body, expected);
        poll(&mut body, polls);
        (watch.has_broken_off(), watch.is_complete())
    }

    fn poll<B: Body<Data = Bytes> + Unpin>(body: &mut WatchedBody<B>, polls: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            assert!(Pin::new(&mut *body).poll_frame(&mut context).is_ready());
        }
    }

    #[test]
    fn a_whole_body_is_complete() {
        assert_eq!(observe(10, vec![piece(), piece()], 2), (false, true));
        assert_eq!(observe(10, vec![piece(), piece()], 3), (false, true));
        assert_eq!(observe(0, Vec::new(), 0), (false, true));
    }

    #[test]
    fn a_body_that_the_consumer_stopped_reading_has_not_broken_off() {
        assert_eq!(observe(10, vec![piece(), piece()], 0), (false, false));
        assert_eq!(observe(10, vec![piece(), piece()], 1), (false, false));
    }

    #[test]
    fn an_error_and_an_early_end_break_off() {
        assert_eq!(observe(10, vec![piece(), Err("cut")], 2), (true, false));
        assert_eq!(observe(10, vec![piece()], 2), (true, false));
    }

    #[test]
    fn a_body_that_is_too_long_has_broken_off() {
        assert_eq!(observe(9, vec![piece(), piece()], 3), (true, true));
    }

    #[test]
    fn a_body_ends_when_its_watch_is_dropped() {
        let body = StreamBody::new(futures::stream::pending::<Piece>());
        let (mut body, watch) = WatchedBody::new(body, 5);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        drop(watch);
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    }

    #[test]
    fn hash_and_start_are_those_of_the_content() {
        let body = StreamBody::new(futures::stream::iter([piece(), piece()]));
        let (mut body, watch) = WatchedBody::hashed(body, 10, 7);
        poll(&mut body, 3);
        let content = watch.content().unwrap();
        assert_eq!(content.start(), b"1234512");
        assert_eq!(
            content.sha256(),
            <[u8; 32]>::from(Sha256::digest(b"1234512345"))
        );
    }
}
