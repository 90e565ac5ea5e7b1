//! The original, on its way from storage into the step, and under watch.
//!
//! A step that was given half a file, or that waited for the rest until its time was over, says nothing
//! about the photo. Only whoever saw the bytes go by can tell that from a photo that is broken or slow.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body that is watched as it goes by.
pub(crate) struct Original<B> {
    body: B,
    shared: Rc<Shared>,
}

/// What was seen of an [`Original`], whoever has it by now. When this is dropped nobody wants the rest: what
/// still waits for storage would keep everything else of the job waiting.
pub(crate) struct Watch(Rc<Shared>);

struct Shared {
    seen: Cell<Seen>,
    is_unwanted: Cell<bool>,
    /// Of whoever waits for the next piece.
    waiting: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy)]
struct Seen {
    /// In bytes.
    missing: u64,
    has_broken_off: bool,
}

impl<B> Original<B> {
    /// A body of `length` bytes, and what to see of it.
    pub(crate) fn new(body: B, length: u64) -> (Self, Watch) {
        let shared = Rc::new(Shared {
            seen: Cell::new(Seen {
                missing: length,
                has_broken_off: false,
            }),
            is_unwanted: Cell::new(false),
            waiting: RefCell::new(None),
        });
        let watch = Watch(Rc::clone(&shared));
        (Self { body, shared }, watch)
    }
}

impl Watch {
    /// Whether it ended before all of it had come.
    pub(crate) fn has_broken_off(&self) -> bool {
        self.0.seen.get().has_broken_off
    }

    /// Whether all of it has gone by.
    pub(crate) fn is_through(&self) -> bool {
        self.0.seen.get().missing == 0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.is_unwanted.set(true);
        if let Some(waiting) = self.0.waiting.take() {
            waiting.wake();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Original<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.shared.is_unwanted.get() {
            return Poll::Ready(None);
        }
        self.shared.waiting.replace(Some(context.waker().clone()));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let mut seen = self.shared.seen.get();
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                seen.missing = seen.missing.saturating_sub(length);
            }
            Some(Err(_)) => seen.has_broken_off = true,
            None => seen.has_broken_off |= seen.missing > 0,
        }
        self.shared.seen.set(seen);
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

    /// What is seen of `length` bytes that come as these pieces, as far as they are taken.
    fn see(length: u64, pieces: Vec<Piece>, taken: usize) -> (bool, bool) {
        let body = StreamBody::new(futures::stream::iter(pieces));
        let (mut original, watch) = Original::new(body, length);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..taken {
            let polled = Pin::new(&mut original).poll_frame(&mut context);
            assert!(polled.is_ready());
        }
        (watch.has_broken_off(), watch.is_through())
    }

    #[test]
    fn what_comes_whole_is_through() {
        assert_eq!(see(10, vec![piece(), piece()], 2), (false, true));
        assert_eq!(see(10, vec![piece(), piece()], 3), (false, true));
    }

    #[test]
    fn what_is_not_taken_is_not_broken_off() {
        assert_eq!(see(10, vec![piece(), piece()], 1), (false, false));
    }

    #[test]
    fn what_nobody_watches_is_not_waited_for() {
        let body = StreamBody::new(futures::stream::pending::<Piece>());
        let (mut original, watch) = Original::new(body, 5);
        let mut context = Context::from_waker(Waker::noop());
        assert!(
            Pin::new(&mut original)
                .poll_frame(&mut context)
                .is_pending()
        );
        drop(watch);
        assert!(Pin::new(&mut original).poll_frame(&mut context).is_ready());
    }

    #[test]
    fn an_error_and_an_early_end_are() {
        assert_eq!(see(10, vec![piece(), Err("cut")], 2), (true, false));
        assert_eq!(see(10, vec![piece()], 2), (true, false));
    }
}
