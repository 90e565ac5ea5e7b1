//! The client's side: a WebSocket (RFC 6455) whose binary messages are one stream of bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

/// How long a client may take to hear that it is over.
const FAREWELL: Duration = Duration::from_secs(2);
/// Each client has a buffer of this size for what it sends.
const READ_BUFFER: usize = 16 * 1024;

pub(super) type Socket = WebSocketStream<Connection>;
pub(super) type ToClient = SplitSink<Socket, Message>;
pub(super) type FromClient = SplitStream<Socket>;

/// A client that has not logged in yet.
#[derive(Debug)]
pub(super) struct Client {
    socket: Socket,
    unread: BytesMut,
}

/// Why a client can't be heard any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the client has left")]
    Left,
    #[error("only binary messages are understood")]
    Text,
    #[error("a message is too long")]
    TooLong,
    #[error("this is not the WebSocket protocol")]
    Protocol,
}

impl ClientError {
    /// What the client is told, if it is still there.
    pub(super) fn close_code(self) -> CloseCode {
        match self {
            Self::Left => CloseCode::Normal,
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
            tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Self::Left,
            tungstenite::Error::Protocol(_) | tungstenite::Error::AttackAttempt => Self::Protocol,
            _ => Self::Left,
        }
    }
}

impl Client {
    /// The server's end of a connection that has just become a WebSocket. Messages longer than
    /// `longest_message` bytes are refused before they are read into memory.
    pub(super) async fn new(connection: Upgraded, longest_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Each message is flushed as it is sent.
            .write_buffer_size(0)
            .max_message_size(Some(longest_message))
            .max_frame_size(Some(longest_message));
        let connection = Connection {
            stream: TokioIo::new(connection),
            heard: Arc::new(Mutex::new(Instant::now())),
        };
        Self {
            socket: Socket::from_raw_socket(connection, Role::Server, Some(config)).await,
            unread: BytesMut::new(),
        }
    }

    /// The next `length` bytes. Not more is kept in memory than these and one message.
    pub(super) async fn read(&mut self, length: usize) -> Result<Bytes, ClientError> {
        while self.unread.len() < length {
            let message = self.socket.next().await.ok_or(ClientError::Left)??;
            if let Some(bytes) = payload(message)? {
                self.unread.extend_from_slice(&bytes);
            }
        }
        Ok(self.unread.split_to(length).freeze())
    }

    /// The next `N` bytes.
    pub(super) async fn read_array<const N: usize>(&mut self) -> Result<[u8; N], ClientError> {
        let bytes = self.read(N).await?;
        <[u8; N]>::try_from(&*bytes).map_err(|_never| ClientError::Left)
    }

    pub(super) async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), ClientError> {
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    /// Says `last_words` and why it is over, and closes.
    pub(super) async fn dismiss(self, last_words: BytesMut, code: CloseCode, why: &str) {
        dismiss(self.socket, last_words, code, why).await;
    }

    /// Tells when something was last heard of the client.
    pub(super) fn heard(&self) -> Heard {
        Heard(self.socket.get_ref().heard.clone())
    }

    /// Both directions, and what has been received and not read yet.
    pub(super) fn split(self) -> (ToClient, FromClient, BytesMut) {
        let (to_client, from_client) = self.socket.split();
        (to_client, from_client, self.unread)
    }
}

/// Tells when something was last heard of a client, if only a part of a message.
#[derive(Debug)]
pub(super) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    pub(super) fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection, which notes when something arrives.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TokioIo<Upgraded>,
    heard: Arc<Mutex<Instant>>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
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

/// The bytes of a message, if it is of a kind that has any.
///
/// # Errors
/// [`ClientError::Text`], and [`ClientError::Left`] for a farewell.
pub(super) fn payload(message: Message) -> Result<Option<Bytes>, ClientError> {
    match message {
        Message::Binary(bytes) => Ok(Some(bytes)),
        Message::Text(_) => Err(ClientError::Text),
        Message::Close(_) => Err(ClientError::Left),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

/// Says `last_words` and why it is over, and closes, within two seconds.
///
/// The connection is read to its end: closing a socket with something unread in it may destroy what
/// is still on its way to the other side.
pub(super) async fn dismiss(mut socket: Socket, last_words: BytesMut, code: CloseCode, why: &str) {
    let farewell = async {
        // Whoever has said goodbye already can't be told anything, but is owed an answer, which
        // reading on sends.
        if !last_words.is_empty() {
            let _heard = socket.send(Message::Binary(last_words.freeze())).await;
        }
        let frame = CloseFrame {
            code,
            reason: why.into(),
        };
        let _heard = socket.send(Message::Close(Some(frame))).await;
        while let Some(Ok(_ignored)) = socket.next().await {}
        let connection = socket.get_mut();
        connection.shutdown().await?;
        let mut ignored = [0; 4096];
        while connection.read(&mut ignored).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    match timeout(FAREWELL, farewell).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client left before it was told to"),
        Err(_elapsed) => tracing::debug!("a client did not close its connection"),
    }
}
