//! A session that is logged in, and that somebody else speaks in from there on.
//!
//! A relay ends the login on both of its sides, and then only passes bytes on. It needs the server's
//! stream as it is after the login, and what the server said of the session until then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;
use crate::{CancelToken, Config, Connection, Error};

/// A server's stream right after its first ReadyForQuery, which is not part of it any more.
///
/// What is read and written are messages of the protocol
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>), cut anywhere. Dropping
/// it closes the socket, which alone stops no statement: see
/// [`cancel_token`](Self::cancel_token).
pub struct Session {
    stream: Box<dyn Socket>,
    /// What came with the end of the login, and is read first.
    unread: BytesMut,
    parameters: Vec<(String, String)>,
    password_proved: bool,
    cancel_token: CancelToken,
}

impl Session {
    /// Connects and logs in. `settings` are what the session begins with (`application_name`,
    /// `search_path`, `options`, …), and count more than what `config` says of the same.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub async fn log_in(config: &Config, settings: &[(String, String)]) -> Result<Self, Error> {
        let (connection, parameters) = Connection::connect_with(config, settings).await?;
        let password_proved = connection.password_proved_by_login();
        let cancel_token = connection.cancel_token();
        let (stream, unread) = connection.into_stream();
        Ok(Self {
            stream,
            unread,
            parameters,
            password_proved,
            cancel_token,
        })
    }

    /// What the server reported of the session (`server_version`, `TimeZone`, …), in its order. It
    /// reports later changes in the stream.
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// See [`Connection::password_proved_by_login`].
    pub fn password_proved_by_login(&self) -> bool {
        self.password_proved
    }

    /// The right to cancel what the session is doing.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }
}

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(self.unread.get(..length).unwrap_or_default());
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("to", &self.cancel_token.config)
            .finish_non_exhaustive()
    }
}
