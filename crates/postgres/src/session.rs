//! A session whose stream is handed over after the login.
//!
//! A relay handles the login on both of its sides and then forwards bytes. It needs the server's stream
//! after the login, and the parameters that the server has reported until then.

use std::io::Cursor;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::socket::Socket;
use crate::{CancelToken, Config, Connection, Error};

/// A server's stream after its first ReadyForQuery, which has been read.
///
/// It carries messages of the protocol
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>), split anywhere. Dropping it
/// closes the socket, which doesn't cancel a statement; [`cancel_token`](Self::cancel_token) does.
pub struct Session {
    stream: Box<dyn Socket>,
    /// Bytes that were received with the end of the login; they are read first.
    unread: BytesMut,
    parameters: Vec<(String, String)>,
    password_proved: bool,
    cancel_token: CancelToken,
}

impl Session {
    /// Connects and logs in to a session that begins with `settings` (`application_name`, `search_path`,
    /// `options`, …). They take precedence over `config`.
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

    /// Returns the parameters that the server has reported (`server_version`, `TimeZone`, …), in its order.
    /// Later changes are in the stream.
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// See [`Connection::password_proved_by_login`].
    pub fn password_proved_by_login(&self) -> bool {
        self.password_proved
    }

    /// Returns a token that cancels the current statement.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }

    /// Returns the stream from the server and the stream to it.
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
