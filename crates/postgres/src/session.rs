//! A session that is logged in, and that somebody else speaks in from there on.
//!
//! A relay ends the login on both of its sides, and then only passes bytes on. It needs the server's
//! stream as it is after the login, and what the server said of the session until then.

use std::io::Cursor;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

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

    /// What the server says, and what is said to it.
    pub fn split(
        self,
    ) -> (
        impl AsyncRead + Send + Sync + Unpin + 'static,
        impl AsyncWrite + Send + Sync + Unpin + 'static,
    ) {
        let (from_server, to_server) = tokio::io::split(self.stream);
        (Cursor::new(self.unread).chain(from_server), to_server)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("to", &self.cancel_token.config)
            .finish_non_exhaustive()
    }
}
