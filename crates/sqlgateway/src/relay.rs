//! Interactive sessions: `GET /v2` opens a WebSocket whose binary messages carry the Postgres protocol.
//!
//! Neon's driver uses them for interactive transactions, cursors, LISTEN and COPY. Each WebSocket has a
//! connection to Postgres of its own, not one of a pool.
//!
//! The relay is no tunnel. It handles the login itself and checks the password as for `/sql`, so only
//! clients that may use `/sql` reach Postgres. It creates the keys of cancel requests. It follows the
//! state of the protocol to tell an idle session from a long statement. Everything else is relayed
//! unparsed.
//!
//! Guarantees:
//! - **Bounded.** Sessions, messages, logins and idle times have limits ([`Settings`]). A session over
//!   the limit is refused with 53300, an idle one ends with 57P05.
//! - **A client that disconnects leaves nothing running.** Its statement is cancelled and its connection
//!   to Postgres closed; only then is its permit released. If Postgres ends the session, the WebSocket
//!   is closed.
//! - **Graceful shutdown.** Sessions without pending requests and transactions end immediately, the
//!   others when these are done or the drain timeout is over.
//!
//! Limits: no TLS or GSS inside the WebSocket, no replication, no sessions over HTTP/2 (RFC 8441).

mod activity;
mod cancel;
mod client;
mod login;
mod message;
mod session;
mod startup;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::cancel::CancelKeys;
use self::client::Client;
use self::login::{Login, Refusal, log_in};
use self::startup::CancelKey;
use crate::accounts::Accounts;
use crate::settings::Settings;

/// Path of the WebSocket.
pub(crate) const PATH: &str = "/v2";

/// Maximum number of clients that are connected but not logged in.
const MAX_GREETINGS: usize = 64;

/// Timeout for a cancel request to Postgres.
const CANCELLING: Duration = Duration::from_secs(5);

/// Time that sessions get to close after the drain timeout.
const CLOSING: Duration = Duration::from_secs(5);

/// Phase of the gateway's shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Sessions end as soon as no request is pending and no transaction is open.
    Draining,
    /// All sessions end.
    Over,
}

/// Serves interactive sessions.
#[derive(Debug)]
pub(crate) struct Relay {
    settings: Arc<Settings>,
    accounts: Arc<Accounts>,
    /// One permit per session.
    permits: Arc<Semaphore>,
    greetings: Semaphore,
    cancel_keys: Arc<CancelKeys>,
    phase: watch::Sender<Phase>,
}

impl Relay {
    /// Creates a relay for the users of `accounts`.
    pub(crate) fn new(settings: Arc<Settings>, accounts: Arc<Accounts>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(settings.max_sessions)),
            greetings: Semaphore::new(MAX_GREETINGS),
            cancel_keys: Arc::default(),
            phase: watch::Sender::new(Phase::Serving),
            settings,
            accounts,
        })
    }

    /// Upgrades a request to a WebSocket. A tokio task serves the session.
    pub(crate) fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        if *self.phase.borrow() != Phase::Serving {
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

    /// Refuses new sessions, and ends the others as soon as they are quiescent.
    pub(crate) fn begin_draining(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Ends all remaining sessions.
    pub(crate) async fn end(&self) {
        self.phase.send_replace(Phase::Over);
        if timeout(CLOSING, self.all_ended()).await.is_err() {
            tracing::warn!("sessions were still open when the SQL gateway stopped");
        }
    }

    /// Waits until no session is left.
    pub(crate) async fn all_ended(&self) {
        let all = u32::try_from(self.settings.max_sessions).unwrap_or(u32::MAX);
        // The semaphore is never closed, and no session starts during the shutdown.
        let _all = self.permits.acquire_many(all).await;
    }

    async fn serve(self: Arc<Self>, upgrade: OnUpgrade) {
        let connection = match upgrade.await {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%error, "the upgrade to a WebSocket failed"),
        };
        let mut client = Client::new(connection, self.settings.max_frame_bytes).await;
        let mut phase = self.phase.subscribe();
        let login = tokio::select! {
            login = timeout(self.settings.session_startup, log_in(&mut client, &self)) => {
                login.unwrap_or(Err(Refusal::TooSlow))
            }
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => Err(Refusal::Stopping),
        };
        match login {
            Ok(Login::Session(session)) => {
                session::relay(client, session.upstream, &self.settings, phase).await;
                drop((session.cancellable, session.permit));
            }
            Ok(Login::Cancel(key)) => {
                self.cancel(key).await;
                client.close(BytesMut::new(), CloseCode::Normal).await;
            }
            Err(refusal) => {
                let (message, code) = (refusal.message(), refusal.close_code());
                let reason = refusal.to_string();
                tracing::debug!(reason, "session refused");
                client.close(message, code).await;
            }
        }
    }

    /// Forwards a cancel request. As with Postgres, the client isn't told whether the key is valid.
    async fn cancel(&self, key: CancelKey) {
        if let Some(token) = self.cancel_keys.token(key)
            && let Err(error) = token.cancel(CANCELLING).await
        {
            tracing::warn!(%error, "could not forward a cancel request");
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
