//! Cancels the current statement of a session.
//!
//! A cancel request is sent on a connection of its own and names the session by the two numbers that the
//! server has sent at the login. The server doesn't reply; it closes that connection after it has
//! signalled the session. Waiting for the close ensures that the request doesn't cancel a later
//! statement.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Config, Error, socket};

/// Cancels the current statement of one connection, without borrowing the connection.
#[derive(Clone, Debug)]
pub struct CancelToken {
    pub(crate) config: Arc<Config>,
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
}

impl CancelToken {
    /// Sends the request and waits until the server has handled it, for at most `limit`.
    ///
    /// The cancelled statement fails with SQLSTATE 57014, unless it has ended before.
    ///
    /// # Errors
    /// As for connecting; [`Error::ConnectTimeout`] after `limit`.
    pub async fn cancel(&self, limit: Duration) -> Result<(), Error> {
        tokio::time::timeout(limit, self.send())
            .await
            .unwrap_or(Err(Error::ConnectTimeout(limit)))
    }

    async fn send(&self) -> Result<(), Error> {
        let mut stream = socket::open(&self.config).await?.stream;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.process_id, self.secret_key, &mut request);
        stream.write_all(&request).await.map_err(Error::Lost)?;
        stream.flush().await.map_err(Error::Lost)?;
        // A TLS server may close without a close_notify alert.
        let _closed = stream.read(&mut [0]).await;
        Ok(())
    }
}
