//! The login: from the client's first packet to its session or a refusal.
//!
//! The gateway requests the password in clear text, because Neon's driver sends it unasked, together
//! with the startup packet and its first statement. A client that waits for the request works as well.
//! The password is checked as for `/sql` before a session is opened.

use std::sync::Arc;

use bytes::BytesMut;
use tirage_postgres::{Password, Session};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Relay;
use super::cancel::Cancellable;
use super::client::{Client, ClientError};
use super::message;
use super::startup::{self, CancelKey, SessionRequest, Startup, StartupError};
use crate::caller::Caller;
use crate::failure::Failure;

/// Maximum number of requests for encryption: one each for TLS and GSS.
const ENCRYPTION_REQUESTS: usize = 2;

/// The purpose of a connection.
pub(super) enum Login {
    /// Cancels a statement of another session.
    Cancel(CancelKey),
    /// Opens a session; the client has been told that the login succeeded.
    Session(LoggedIn),
}

/// A client's session.
pub(super) struct LoggedIn {
    pub(super) upstream: Session,
    pub(super) cancellable: Cancellable,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Reason for refusing a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Startup(#[from] StartupError),
    #[error("too many sessions: at most {0} are allowed at the same time")]
    TooMany(usize),
    #[error("{0}")]
    Failure(#[from] Failure),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("the login took too long")]
    TooSlow,
    #[error("the gateway is stopping")]
    Stopping,
}

/// Reads the client's request and, for a session, logs the client in.
pub(super) async fn log_in(client: &mut Client, relay: &Arc<Relay>) -> Result<Login, Refusal> {
    // Limits the memory that clients use before they are logged in.
    let greeting = relay.greetings.acquire().await;
    let wanted = match greet(client).await? {
        Greeting::Cancel(key) => return Ok(Login::Cancel(key)),
        Greeting::Session(wanted) => wanted,
    };
    let password = password(client, &wanted).await?;
    let permit = relay
        .permits
        .clone()
        .try_acquire_owned()
        .map_err(|_full| Refusal::TooMany(relay.settings.max_sessions))?;
    drop(greeting);

    let caller = Caller {
        user: wanted.user,
        password,
        database: wanted.database,
    };
    let upstream = relay
        .accounts
        .session(caller, &wanted.settings, relay.settings.wait)
        .await?;
    let cancellable = relay.cancel_keys.admit(upstream.cancel_token())?;
    let mut reply = BytesMut::new();
    message::logged_in(&mut reply, upstream.parameters(), cancellable.key);
    client.send(reply).await?;
    Ok(Login::Session(LoggedIn {
        upstream,
        cancellable,
        permit,
    }))
}

enum Greeting {
    Cancel(CancelKey),
    Session(SessionRequest),
}

async fn greet(client: &mut Client) -> Result<Greeting, Refusal> {
    for _ in 0..=ENCRYPTION_REQUESTS {
        let length = startup::packet_length(client.read_array().await?)?;
        match Startup::read(client.read(length).await?)? {
            Startup::Encryption => client.send(message::NO_ENCRYPTION).await?,
            Startup::Cancel(key) => return Ok(Greeting::Cancel(key)),
            Startup::Session(wanted) => return Ok(Greeting::Session(wanted)),
        }
    }
    Err(StartupError::Layout.into())
}

async fn password(client: &mut Client, wanted: &SessionRequest) -> Result<Password, Refusal> {
    let mut request = BytesMut::new();
    if let Some(unsupported) = &wanted.unsupported {
        message::negotiate_protocol(&mut request, unsupported);
    }
    message::request_password(&mut request);
    client.send(request).await?;

    let [kind, length @ ..] = client.read_array::<5>().await?;
    let length = startup::password_length(kind, length)?;
    Ok(startup::password(&client.read(length).await?)?)
}

impl Refusal {
    /// Returns the message in Postgres' protocol; empty if the client has disconnected.
    pub(super) fn message(&self) -> BytesMut {
        match self {
            Self::Startup(error) => message::fatal(error.code(), &error.to_string()),
            Self::Failure(failure) => message::refusal(failure),
            Self::TooMany(_) => message::fatal("53300", &self.to_string()),
            Self::TooSlow => message::fatal("57014", &self.to_string()),
            Self::Stopping => message::fatal("57P01", &self.to_string()),
            Self::Random(_) => message::fatal("58000", "the gateway has no random numbers"),
            Self::Client(_) => BytesMut::new(),
        }
    }

    /// Returns the code that the WebSocket is closed with.
    pub(super) fn close_code(&self) -> CloseCode {
        match self {
            Self::Client(error) => error.close_code(),
            Self::Startup(_) => CloseCode::Protocol,
            Self::TooMany(_) | Self::Failure(Failure::Full(_)) => CloseCode::Again,
            Self::Stopping => CloseCode::Away,
            Self::Failure(
                Failure::Password(_)
                | Failure::Connect {
                    by_caller: true, ..
                },
            )
            | Self::TooSlow => CloseCode::Policy,
            Self::Failure(_) | Self::Random(_) => CloseCode::Error,
        }
    }
}
