//! A session: bytes both ways, until one side ends it or a limit does.
//!
//! In each direction there is one piece under way: the next is read when the last was taken. So a
//! slow reader slows the server down, and what a session holds in memory is one message of the
//! client's and 64 KiB of the server's.

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
use super::client::{self, Client, ClientError, FromClient, Heard, ToClient};
use super::message;
use super::stop::{Phase, Stop};
use crate::settings::Settings;

/// The most that is read of the server at once, in bytes.
const PIECE: usize = 64 * 1024;
/// A client is asked for a sign of life so many times before it counts as gone.
const PINGS: u32 = 3;
/// How long the server may take to end a session, before it is asked to once more.
const LEAVING: Duration = Duration::from_secs(1);
/// How long it may take to be asked.
const CANCELLING: Duration = Duration::from_secs(5);
/// How often it is asked.
const ATTEMPTS: usize = 5;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Ending {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the client gave no sign of life")]
    Silence,
    #[error("the database ended the session")]
    Server,
    #[error("the session was idle for too long")]
    Idle,
    #[error("the gateway is stopping")]
    Stopping,
}

/// Passes on what both sides say, until it is over; then ends both.
pub(super) async fn relay(client: Client, upstream: Session, settings: &Settings, stop: Stop) {
    let cancel_token = upstream.cancel_token();
    let activity = watch::Sender::new(Activity::new());
    let heard = client.heard();
    let (mut to_client, mut from_client, unread) = client.split();
    let (mut from_server, mut to_server) = upstream.split();
    let ending = tokio::select! {
        ending = pass_requests(&mut from_client, &mut to_server, unread, &activity) => ending,
        ending = pass_answers(&mut from_server, &mut to_client, &activity, settings) => ending,
        ending = watch_over(&activity, &heard, settings, stop) => ending,
    };
    tracing::debug!(%ending, "session ended");
    let activity = activity.subscribe();
    let (last_words, close_code) = ending.farewell(&activity.borrow());
    let has_begun = activity.borrow().has_begun();
    let client = async {
        if ending != Ending::Silence
            && let Ok(socket) = to_client.reunite(from_client)
        {
            client::dismiss(socket, last_words, close_code, &ending.to_string()).await;
        }
    };
    let server = end_server(from_server, to_server, has_begun, &cancel_token);
    tokio::join!(client, server);
}

async fn pass_requests(
    from_client: &mut FromClient,
    to_server: &mut (impl AsyncWrite + Unpin),
    unread: BytesMut,
    activity: &watch::Sender<Activity>,
) -> Ending {
    let mut next = Some(unread.freeze());
    loop {
        if let Some(bytes) = next.filter(|bytes| !bytes.is_empty()) {
            // Told before it is sent: the answer may be quicker than we are.
            activity.send_modify(|activity| activity.requested(&bytes));
            let sent = async {
                to_server.write_all(&bytes).await?;
                to_server.flush().await
            };
            if sent.await.is_err() {
                // The server is gone, and may have said why: whoever reads it ends the session.
                return std::future::pending().await;
            }
            activity.send_modify(Activity::listen);
        }
        let message = match from_client.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Ending::Client(error.into()),
            None => return Ending::Client(ClientError::Left),
        };
        next = match client::payload(message) {
            Ok(bytes) => bytes,
            Err(error) => return Ending::Client(error),
        };
    }
}

async fn pass_answers(
    from_server: &mut (impl AsyncRead + Unpin),
    to_client: &mut ToClient,
    activity: &watch::Sender<Activity>,
    settings: &Settings,
) -> Ending {
    let pause = (settings.session_silence / PINGS).max(Duration::from_millis(1));
    let mut pings = interval_at(Instant::now() + pause, pause);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = BytesMut::with_capacity(PIECE);
    loop {
        let message = tokio::select! {
            read = from_server.read_buf(&mut buffer) => match read {
                Ok(1..) => {
                    activity.send_modify(|activity| activity.answered(&buffer));
                    Message::Binary(buffer.split().freeze())
                }
                Ok(0) | Err(_) => return Ending::Server,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        let is_answer = matches!(message, Message::Binary(_));
        if let Err(error) = to_client.send(message).await {
            return Ending::Client(error.into());
        }
        if is_answer {
            activity.send_modify(Activity::taken);
        }
        buffer.reserve(PIECE);
    }
}

/// Waits until a limit is hit or the gateway stops.
async fn watch_over(
    activity: &watch::Sender<Activity>,
    heard: &Heard,
    settings: &Settings,
    mut stop: Stop,
) -> Ending {
    loop {
        let (idle, silent) = {
            let activity = activity.borrow();
            (
                activity.idle_since().elapsed(),
                activity.silent_since(heard.at()).elapsed(),
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
            () = stop.reached(Phase::Draining) => break,
        }
    }
    let mut changes = activity.subscribe();
    tokio::select! {
        // The sender lives as long as the session.
        _ = changes.wait_for(Activity::is_quiet) => {}
        () = stop.reached(Phase::Over) => {}
    }
    Ending::Stopping
}

/// Ends the server's side, and what it is still doing for the client with it.
async fn end_server(
    mut from_server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    has_begun: bool,
    cancel_token: &CancelToken,
) {
    // The server sees the end of our words only when it has done what came before.
    let _gone = timeout(LEAVING, to_server.shutdown()).await;
    let mut ignored = vec![0; PIECE];
    for _ in 0..ATTEMPTS {
        if has_begun && let Err(error) = cancel_token.cancel(CANCELLING).await {
            tracing::debug!(%error, "could not cancel an abandoned statement");
        }
        let end = async { while matches!(from_server.read(&mut ignored).await, Ok(1..)) {} };
        if timeout(LEAVING, end).await.is_ok() {
            return;
        }
    }
    tracing::warn!("the database goes on with a session that was given up");
}

impl Ending {
    /// What the client is told, in both protocols.
    fn farewell(self, activity: &Activity) -> (BytesMut, CloseCode) {
        let last_words = match self {
            Self::Idle if activity.can_interject() => message::fatal("57P05", &self.to_string()),
            Self::Stopping if activity.can_interject() => {
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
        (last_words, close_code)
    }
}
