//! The bytes of a session in both directions. Writing and reading go on concurrently, so a long
//! pipeline whose replies fill the socket still makes progress.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use postgres_protocol::message::backend::{Header, Message};
use tokio::io::AsyncReadExt;

use super::Connection;
use super::events::malformed;
use crate::Error;

/// Free space for each read, in bytes: the size of the server's send buffer.
const READ_AHEAD: usize = 8 * 1024;

impl Connection {
    /// Writes what can be written, then parses, then reads.
    pub(super) fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Message, Error>> {
        self.poll_write(context);
        loop {
            if let Some(message) = self.parse()? {
                if !matches!(
                    message,
                    Message::ErrorResponse(_) | Message::NoticeResponse(_)
                ) {
                    self.answered = true;
                }
                return Poll::Ready(Ok(message));
            }
            self.incoming.reserve(READ_AHEAD);
            let read = ready!(pin!(self.stream.read_buf(&mut self.incoming)).poll(context));
            return Poll::Ready(Err(match (read, self.write_error.take()) {
                (Ok(1..), error) => {
                    self.write_error = error;
                    continue;
                }
                (_, Some(_)) if !self.sent => Error::Stale,
                (_, Some(error)) | (Err(error), None) => Error::Lost(error),
                (Ok(0), None) => Error::Lost(io::ErrorKind::UnexpectedEof.into()),
            }));
        }
    }

    fn parse(&mut self) -> Result<Option<Message>, Error> {
        if let Some(header) = Header::parse(&self.incoming).map_err(malformed)? {
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if length > self.max_message {
                return Err(Error::TooLong {
                    length,
                    limit: self.max_message,
                });
            }
        }
        Message::parse(&mut self.incoming).map_err(malformed)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) {
        while self.write_error.is_none() && !self.outgoing.is_empty() {
            match Pin::new(&mut *self.stream).poll_write(context, &self.outgoing) {
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.outgoing.advance(written);
                    self.sent = true;
                    self.must_flush = true;
                }
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => return,
            }
        }
        if self.must_flush && self.write_error.is_none() {
            match Pin::new(&mut *self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.must_flush = false,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {}
            }
        }
    }
}
