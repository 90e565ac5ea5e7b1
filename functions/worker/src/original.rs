//! The original, on its way from storage into the step, and under watch.
//!
//! A step that was given half a file, or that waited for the rest until its time was over, says nothing
//! about the photo. Only whoever saw the bytes go by can tell that from a photo that is broken or slow.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body that is watched as it goes by.
pub(crate) struct Original<B> {
    body: B,
    seen: Rc<Cell<Seen>>,
}

/// What was seen of an [`Original`], whoever has it by now.
pub(crate) struct Watch(Rc<Cell<Seen>>);

#[derive(Clone, Copy)]
struct Seen {
    /// In bytes.
    missing: u64,
    has_broken_off: bool,
}

impl<B> Original<B> {
    /// A body of `length` bytes, and what to see of it.
    pub(crate) fn new(body: B, length: u64) -> (Self, Watch) {
        let seen = Rc::new(Cell::new(Seen {
            missing: length,
            has_broken_off: false,
        }));
        let watch = Watch(Rc::clone(&seen));
        (Self { body, seen }, watch)
    }
}

impl Watch {
    /// Whether it ended before all of it had come.
    pub(crate) fn has_broken_off(&self) -> bool {
        self.0.get().has_broken_off
    }

    /// Whether all of it has gone by.
    pub(crate) fn is_through(&self) -> bool {
        self.0.get().missing == 0
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Original<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let mut seen = self.seen.get();
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                seen.missing = seen.missing.saturating_sub(length);
            }
            Some(Err(_)) => seen.has_broken_off = true,
            None => seen.has_broken_off |= seen.missing > 0,
        }
        self.seen.set(seen);
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
    use std::task::Waker;

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
    fn an_error_and_an_early_end_are() {
        assert_eq!(see(10, vec![piece(), Err("cut")], 2), (true, false));
        assert_eq!(see(10, vec![piece()], 2), (true, false));
    }
}
