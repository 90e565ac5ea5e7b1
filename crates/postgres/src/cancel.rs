//! Asks the server to stop what a connection is doing.
//!
//! A cancel request travels over a connection of its own and names the session by the two numbers
//! that the server gave it at the start. The server sends no answer; it closes that connection once
//! it has signalled the session, so whoever waits for the close knows that a later statement of the
//! session isn't hit by this request.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Config, Error, socket};

/// The right to cancel one connection's current statement; it outlives borrows of the connection.
#[derive(Clone, Debug)]
pub struct CancelToken {
    pub(crate) config: Arc<Config>,
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
}

impl CancelToken {
    /// Sends the request and waits, for at most `limit`, until the server has acted on it.
    ///
    /// The cancelled statement then fails with SQLSTATE 57014, unless it was done already.
    ///
    /// # Errors
    /// Any of those of connecting; [`Error::ConnectTimeout`] after `limit`.
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
        // A TLS server may leave without a farewell; that is a close like any other.
        let _closed = stream.read(&mut [0]).await;
        Ok(())
    }
}
