//! The client's side: a WebSocket (RFC 6455) whose binary messages form one stream of bytes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::io::InspectReader;

/// Timeout for closing a client's connection.
const CLOSING: Duration = Duration::from_secs(2);
/// Size of the read buffer of each client, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// A client's connection, which calls a function whenever bytes arrive.
type Connection = InspectReader<TokioIo<Upgraded>, Box<dyn FnMut(&[u8]) + Send + Sync>>;
pub(super) type Socket = WebSocketStream<Connection>;
pub(super) type ToClient = SplitSink<Socket, Message>;
pub(super) type FromClient = SplitStream<Socket>;

/// A client that has not logged in yet.
pub(super) struct Client {
    socket: Socket,
    unread: BytesMut,
    last_received: LastReceived,
}

/// Error of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the client has disconnected")]
    Disconnected,
    #[error("text messages are not supported")]
    Text,
    #[error("a message is too long")]
    TooLong,
    #[error("invalid WebSocket message")]
    Protocol,
}

impl ClientError {
    /// Returns the code that the WebSocket is closed with.
    pub(super) fn close_code(self) -> CloseCode {
        match self {
            Self::Disconnected => CloseCode::Normal,
            Self::Text => CloseCode::Unsupported,
            Self::TooLong => CloseCode::Size,
            Self::Protocol => CloseCode::Protocol,
        }
    }
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;

        match error {
            tungstenite::Error::Capacity(_) => Self::TooLong,
            tungstenite::Error::Utf8(_) => Self::Text,
            tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Self::Disconnected,
            tungstenite::Error::Protocol(_) | tungstenite::Error::AttackAttempt => Self::Protocol,
            _ => Self::Disconnected,
        }
    }
}

impl Client {
    /// Wraps an upgraded connection. Messages longer than `max_message` bytes are refused before they are
    /// read into memory.
    pub(super) async fn new(connection: Upgraded, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Each message is flushed as it is sent.
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let last_received = LastReceived(Arc::new(Mutex::new(Instant::now())));
        let note = last_received.clone();
        let connection: Connection = InspectReader::new(
            TokioIo::new(connection),
            Box::new(move |_bytes: &[u8]| note.set(Instant::now())),
        );
        Self {
            socket: Socket::from_raw_socket(connection, Role::Server, Some(config)).await,
            unread: BytesMut::new(),
            last_received,
        }
    }

    /// Reads `length` bytes. Buffers at most these and one message.
    pub(super) async fn read(&mut self, length: usize) -> Result<Bytes, ClientError> {
        while self.unread.len() < length {
            let message = self
                .socket
                .next()
                .await
                .ok_or(ClientError::Disconnected)??;
            if let Some(bytes) = payload(message)? {
                self.unread.extend_from_slice(&bytes);
            }
        }
        Ok(self.unread.split_to(length).freeze())
    }

    /// Reads `N` bytes.
    pub(super) async fn read_array<const N: usize>(&mut self) -> Result<[u8; N], ClientError> {
        let bytes = self.read(N).await?;
        <[u8; N]>::try_from(&*bytes).map_err(|_never| ClientError::Disconnected)
    }

    pub(super) async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), ClientError> {
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    /// Sends `message` and closes the WebSocket.
    pub(super) async fn close(self, message: BytesMut, code: CloseCode) {
        close(self.socket, message, code, "").await;
    }

    /// Returns the time at which the client last sent something.
    pub(super) fn last_received(&self) -> LastReceived {
        self.last_received.clone()
    }

    /// Returns both directions, and the bytes that were received but not read yet.
    pub(super) fn split(self) -> (ToClient, FromClient, BytesMut) {
        let (to_client, from_client) = self.socket.split();
        (to_client, from_client, self.unread)
    }
}

/// The time at which a client last sent something, if only part of a message.
#[derive(Clone, Debug)]
pub(super) struct LastReceived(Arc<Mutex<Instant>>);

impl LastReceived {
    pub(super) fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// Returns the bytes of a binary message, or `None` for a control message.
///
/// # Errors
/// [`ClientError::Text`], and [`ClientError::Disconnected`] for a close message.
pub(super) fn payload(message: Message) -> Result<Option<Bytes>, ClientError> {
    match message {
        Message::Binary(bytes) => Ok(Some(bytes)),
        Message::Text(_) => Err(ClientError::Text),
        Message::Close(_) => Err(ClientError::Disconnected),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

/// Sends `message` and a close message with `reason`, and closes the connection, within two seconds.
///
/// The connection is read to its end, because closing a socket with unread bytes may discard what is
/// still on its way to the client.
pub(super) async fn close(mut socket: Socket, message: BytesMut, code: CloseCode, reason: &str) {
    let closing = async {
        // Sending fails if the client has closed first. Reading on answers its close message.
        if !message.is_empty() {
            let _sent = socket.send(Message::Binary(message.freeze())).await;
        }
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _sent = socket.send(Message::Close(Some(frame))).await;
        while let Some(Ok(_ignored)) = socket.next().await {}
        let connection = socket.get_mut();
        connection.shutdown().await?;
        let mut ignored = [0; 4096];
        while connection.read(&mut ignored).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    match timeout(CLOSING, closing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client disconnected before its session was closed")
        }
        Err(_elapsed) => tracing::debug!("a client did not close its connection"),
    }
}
