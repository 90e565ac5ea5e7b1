//! Relays bytes in both directions until the client, the server or a limit ends the session.
//!
//! Each direction buffers one chunk: the next is read when the last was written. So a slow client slows
//! the server down, and a session buffers at most one message of the client and 64 KiB of the server.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tirage_postgres::{CancelToken, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::activity::Activity;
use super::client::{self, Client, ClientError, FromClient, LastReceived, ToClient};
use super::{Phase, message};
use crate::settings::Settings;

/// Maximum size of one read from the server, in bytes.
const CHUNK: usize = 64 * 1024;
/// Number of unanswered pings after which a client counts as disconnected.
const PINGS: u32 = 3;
/// Time that the server gets to end a session before it is sent another cancel request.
const ENDING: Duration = Duration::from_secs(1);
/// Timeout for a cancel request.
const CANCELLING: Duration = Duration::from_secs(5);
/// Maximum number of cancel requests.
const ATTEMPTS: usize = 5;

/// Reason for the end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Ending {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the client sent nothing for too long")]
    Silence,
    #[error("the database ended the session")]
    Server,
    #[error("the session was idle for too long")]
    Idle,
    #[error("the gateway is stopping")]
    Stopping,
}

/// Relays a session to its end, then closes both sides.
pub(super) async fn relay(
    client: Client,
    upstream: Session,
    settings: &Settings,
    phase: watch::Receiver<Phase>,
) {
    let cancel_token = upstream.cancel_token();
    let activity = watch::Sender::new(Activity::new());
    let last_received = client.last_received();
    let (mut to_client, mut from_client, unread) = client.split();
    let (mut from_server, mut to_server) = upstream.split();
    let ending = tokio::select! {
        ending = relay_requests(&mut from_client, &mut to_server, unread, &activity) => ending,
        ending = relay_replies(&mut from_server, &mut to_client, &activity, settings) => ending,
        ending = watch_limits(&activity, &last_received, settings, phase) => ending,
    };
    tracing::debug!(%ending, "session ended");
    let activity = activity.subscribe();
    let (message, close_code) = ending.last_message(&activity.borrow());
    let is_executing = activity.borrow().may_be_executing();
    let client = async {
        if ending != Ending::Silence
            && let Ok(socket) = to_client.reunite(from_client)
        {
            client::close(socket, message, close_code, &ending.to_string()).await;
        }
    };
    let server = end_server(from_server, to_server, is_executing, &cancel_token);
    tokio::join!(client, server);
}

async fn relay_requests(
    from_client: &mut FromClient,
    to_server: &mut (impl AsyncWrite + Unpin),
    unread: BytesMut,
    activity: &watch::Sender<Activity>,
) -> Ending {
    let mut next = Some(unread.freeze());
    loop {
        if let Some(bytes) = next.filter(|bytes| !bytes.is_empty()) {
            // Noted before it is sent, because the reply may arrive at any time after that.
            activity.send_modify(|activity| activity.requested(&bytes));
            let sent = async {
                to_server.write_all(&bytes).await?;
                to_server.flush().await
            };
            if sent.await.is_err() {
                // The server may have sent a reason. The other direction relays it and ends the session.
                return std::future::pending().await;
            }
            activity.send_modify(Activity::request_written);
        }
        let message = match from_client.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Ending::Client(error.into()),
            None => return Ending::Client(ClientError::Disconnected),
        };
        next = match client::payload(message) {
            Ok(bytes) => bytes,
            Err(error) => return Ending::Client(error),
        };
    }
}

async fn relay_replies(
    from_server: &mut (impl AsyncRead + Unpin),
    to_client: &mut ToClient,
    activity: &watch::Sender<Activity>,
    settings: &Settings,
) -> Ending {
    let pause = (settings.session_silence / PINGS).max(Duration::from_millis(1));
    let mut pings = interval_at(Instant::now() + pause, pause);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        let message = tokio::select! {
            read = from_server.read_buf(&mut buffer) => match read {
                Ok(1..) => {
                    activity.send_modify(|activity| activity.replied(&buffer));
                    Message::Binary(buffer.split().freeze())
                }
                Ok(0) | Err(_) => return Ending::Server,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        let is_reply = matches!(message, Message::Binary(_));
        if let Err(error) = to_client.send(message).await {
            return Ending::Client(error.into());
        }
        if is_reply {
            activity.send_modify(Activity::reply_written);
        }
        buffer.reserve(CHUNK);
    }
}

/// Waits until a limit is exceeded or the gateway stops.
async fn watch_limits(
    activity: &watch::Sender<Activity>,
    last_received: &LastReceived,
    settings: &Settings,
    mut phase: watch::Receiver<Phase>,
) -> Ending {
    loop {
        let (idle, silent) = {
            let activity = activity.borrow();
            (
                activity.idle_since().elapsed(),
                activity.silent_since(last_received.get()).elapsed(),
            )
        };
        let left = settings
            .session_idle
            .saturating_sub(idle)
            .min(settings.session_silence.saturating_sub(silent));
        if idle >= settings.session_idle {
            return Ending::Idle;
        }
        if silent >= settings.session_silence {
            return Ending::Silence;
        }
        tokio::select! {
            () = sleep(left) => {}
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => break,
        }
    }
    let mut changes = activity.subscribe();
    tokio::select! {
        _ = changes.wait_for(Activity::is_quiescent) => {}
        _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
    }
    Ending::Stopping
}

/// Ends the server's side and cancels the statement that it is executing.
async fn end_server(
    mut from_server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    is_executing: bool,
    cancel_token: &CancelToken,
) {
    // The server reads the end of the stream only after it has executed everything before it.
    let _closed = timeout(ENDING, to_server.shutdown()).await;
    let mut ignored = vec![0; CHUNK];
    for _ in 0..ATTEMPTS {
        if is_executing && let Err(error) = cancel_token.cancel(CANCELLING).await {
            tracing::debug!(%error, "could not cancel an abandoned statement");
        }
        let end = async { while matches!(from_server.read(&mut ignored).await, Ok(1..)) {} };
        if timeout(ENDING, end).await.is_ok() {
            return;
        }
    }
    tracing::warn!("Postgres still executes a statement of a session that has ended");
}

impl Ending {
    /// Returns the last message in Postgres' protocol and the code that the WebSocket is closed with.
    fn last_message(self, activity: &Activity) -> (BytesMut, CloseCode) {
        let message = match self {
            Self::Idle if activity.can_insert_message() => {
                message::fatal("57P05", &self.to_string())
            }
            Self::Stopping if activity.can_insert_message() => {
                message::fatal("57P01", &self.to_string())
            }
            _ => BytesMut::new(),
        };
        let close_code = match self {
            Self::Client(error) => error.close_code(),
            Self::Server if activity.was_ended_by_client() => CloseCode::Normal,
            Self::Server => CloseCode::Error,
            Self::Idle | Self::Stopping | Self::Silence => CloseCode::Away,
        };
        (message, close_code)
    }
}
