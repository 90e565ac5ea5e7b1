//! The login: what the client says, until it has a session of its own or knows why not.
//!
//! The client is asked for its password in clear text, since Neon's driver sends it without being
//! asked, together with what it begins with and its first statement; one that waits to be asked is
//! served the same. Its word is checked as for `/sql`. Only then is a session made.

use std::sync::Arc;

use bytes::BytesMut;
use tirage_postgres::{Password, Session};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Relay;
use super::cancel::Cancellable;
use super::client::{Client, ClientError};
use super::message;
use super::startup::{self, CancelKey, Startup, StartupError, Wanted};
use crate::caller::Caller;
use crate::failure::Failure;

/// How often a client may ask for encryption: once each for TLS and GSS.
const ENCRYPTION_REQUESTS: usize = 2;

/// What a connection turned out to be for.
pub(super) enum Login {
    /// Stopping a statement of another session's.
    Cancel(CancelKey),
    /// A session, which the client has been told that it has.
    Session(LoggedIn),
}

/// A session of the client's own.
pub(super) struct LoggedIn {
    pub(super) upstream: Session,
    pub(super) cancellable: Cancellable,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Startup(#[from] StartupError),
    #[error("too many sessions: at most {0} at once are served")]
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

/// Reads what the client wants and, if that is a session, logs it in.
pub(super) async fn log_in(client: &mut Client, relay: &Arc<Relay>) -> Result<Login, Refusal> {
    // What is unread of those who are nobody yet has a bound too.
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
    let mut welcome = BytesMut::new();
    message::logged_in(&mut welcome, upstream.parameters(), cancellable.key);
    client.send(welcome).await?;
    Ok(Login::Session(LoggedIn {
        upstream,
        cancellable,
        permit,
    }))
}

enum Greeting {
    Cancel(CancelKey),
    Session(Wanted),
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

async fn password(client: &mut Client, wanted: &Wanted) -> Result<Password, Refusal> {
    let mut question = BytesMut::new();
    if let Some(unsupported) = &wanted.unsupported {
        message::negotiate_protocol(&mut question, unsupported);
    }
    message::ask_for_password(&mut question);
    client.send(question).await?;

    let [kind, length @ ..] = client.read_array::<5>().await?;
    let length = startup::password_length(kind, length)?;
    Ok(startup::password(&client.read(length).await?)?)
}

impl Refusal {
    /// What the client is told in Postgres' protocol, if anything.
    pub(super) fn last_words(&self) -> BytesMut {
        match self {
            Self::Startup(error) => message::fatal(error.code(), &error.to_string()),
            Self::Failure(failure) => message::refusal(failure),
            Self::TooMany(_) => message::fatal("53300", &self.to_string()),
            Self::TooSlow => message::fatal("57014", &self.to_string()),
            Self::Stopping => message::fatal("57P01", &self.to_string()),
            Self::Random(_) => message::fatal("58000", "there is no session to be had"),
            Self::Client(_) => BytesMut::new(),
        }
    }

    /// What the client is told in the WebSocket's protocol.
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
