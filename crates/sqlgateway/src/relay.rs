//! Interactive sessions: `GET /v2` becomes a WebSocket, whose binary messages carry the Postgres
//! protocol.
//!
//! That is how Neon's driver has transactions that ask and answer, cursors, LISTEN and COPY. Each
//! WebSocket has a connection to Postgres of its own, never one of a pool's.
//!
//! It is no tunnel. The relay ends the login itself and checks the password as for `/sql`, so nobody
//! reaches Postgres who couldn't reach it over HTTP; it makes up the key that cancels statements; and
//! it knows whose turn it is, so that it can tell an idle session from a long statement. All else it
//! passes on unread.
//!
//! What it promises:
//! - **Bounded.** Sessions, messages, logins and idleness have limits ([`Settings`]); a session over
//!   the limit is told 53300, an idle one 57P05.
//! - **Who leaves is cleaned up after.** A client's end cancels its statement and ends its connection
//!   to Postgres, and only then is its place free; the end of that connection closes the WebSocket.
//! - **Stopping loses nothing that could be saved.** Sessions with nothing under way end at once, the
//!   others when nothing is or when there is no time left.
//!
//! What it leaves out: TLS and GSS inside of the WebSocket, replication, and sessions over HTTP/2
//! (RFC 8441).

mod activity;
mod cancel;
mod client;
mod login;
mod message;
mod session;
mod startup;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::cancel::CancelKeys;
use self::client::Client;
use self::login::{Login, Refusal, log_in};
use self::startup::CancelKey;
use self::stop::{Phase, Stopper};
use crate::accounts::Accounts;
use crate::settings::Settings;

/// Where clients open their WebSocket.
pub(crate) const PATH: &str = "/v2";

/// Clients that are heard at once before they have said who they are.
const GREETINGS: usize = 64;

/// How long a cancel request may take to reach Postgres.
const CANCELLING: Duration = Duration::from_secs(5);

/// How long sessions may take to say goodbye once there is no time left.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves interactive sessions.
#[derive(Debug)]
pub(crate) struct Relay {
    settings: Arc<Settings>,
    accounts: Arc<Accounts>,
    /// One for each session.
    permits: Arc<Semaphore>,
    greetings: Semaphore,
    cancel_keys: Arc<CancelKeys>,
    stopper: Stopper,
}

impl Relay {
    /// Serves whom `accounts` let in.
    pub(crate) fn new(settings: Arc<Settings>, accounts: Arc<Accounts>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.max_sessions)),
            greetings: Semaphore::new(GREETINGS),
            cancel_keys: Arc::default(),
            stopper: Stopper::new(),
            settings,
            accounts,
        })
    }

    /// Answers a request for a WebSocket. The session lives in a task of its own.
    pub(crate) fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        if self.stopper.phase() != Phase::Serving {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping");
        }
        match create_response_with_body(&request, Full::default) {
            Ok(response) => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(self.clone().serve(upgrade));
                response
            }
            Err(error) => {
                tracing::debug!(%error, "not a WebSocket");
                let mut response = refuse(
                    StatusCode::UPGRADE_REQUIRED,
                    "sessions are served over a WebSocket",
                );
                let headers = response.headers_mut();
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                response
            }
        }
    }

    /// Ends sessions in which nothing is under way, and waits until there are none left.
    pub(crate) async fn drain(&self) {
        self.stopper.enter(Phase::Draining);
        self.all_ended().await;
    }

    /// Ends the sessions that are left.
    pub(crate) async fn end(&self) {
        self.stopper.enter(Phase::Over);
        if timeout(FAREWELL, self.all_ended()).await.is_err() {
            tracing::warn!("sessions were still open when the SQL gateway stopped");
        }
    }

    async fn all_ended(&self) {
        let all = u32::try_from(self.settings.max_sessions).unwrap_or(u32::MAX);
        // The semaphore is never closed. While it stops, nobody new gets a permit.
        let _all = self.permits.acquire_many(all).await;
    }

    async fn serve(self: Arc<Self>, upgrade: OnUpgrade) {
        let connection = match upgrade.await {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%error, "no WebSocket came of it"),
        };
        let mut client = Client::new(connection, self.settings.max_frame_bytes).await;
        let mut stop = self.stopper.listen();
        let login = tokio::select! {
            login = timeout(self.settings.session_startup, log_in(&mut client, &self)) => {
                login.unwrap_or(Err(Refusal::TooSlow))
            }
            () = stop.reached(Phase::Draining) => Err(Refusal::Stopping),
        };
        match login {
            Ok(Login::Session(session)) => {
                session::relay(client, session.upstream, &self.settings, stop).await;
                drop((session.cancellable, session.permit));
            }
            Ok(Login::Cancel(key)) => {
                self.cancel(key).await;
                client.dismiss(BytesMut::new(), CloseCode::Normal, "").await;
            }
            Err(refusal) => {
                let why = refusal.to_string();
                tracing::debug!(refusal = why, "session refused");
                let (last_words, code) = (refusal.last_words(), refusal.close_code());
                client.dismiss(last_words, code, "").await;
            }
        }
    }

    /// As with Postgres, nobody is told whether the key meant anything.
    async fn cancel(&self, key: CancelKey) {
        if let Some(token) = self.cancel_keys.token(key)
            && let Err(error) = token.cancel(CANCELLING).await
        {
            tracing::warn!(%error, "could not pass a cancel request on");
        }
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "message": message }).to_string();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
