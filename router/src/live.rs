//! The live feed of the manifest, `[application.tool.tirage.live]`: a stream of server-sent events that the
//! router serves itself, since a stream outlives the deadline and the concurrency limit of a component.
//!
//! The component that the manifest names admits clients and chooses their feed. The router calls it at the
//! manifest's `admission` path, with the client's headers, when a stream begins; then before the next event
//! once [`ADMISSION_INTERVAL`] has passed, and at the time that the admission names. The feed is read with
//! the rights of that component's database role.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use jiff::Timestamp;
use serde::Deserialize;
use tirage_host::{BodyError, Component, InternalService, Request, Response};
use tirage_live::{
    Change, Follower, Frontier, HEARTBEAT, HEARTBEAT_INTERVAL, Hub, LastEventId, Pace, Source,
    TableFunctions,
};
use tirage_manifest::{LiveFeed, strip_spin_headers};
use tirage_sqlhttp::{Client as SqlClient, Endpoint, Error, Transport, TransportError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::problem::Problem;
use crate::sql;

/// Validity of an admission, unless it names an earlier time.
const ADMISSION_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two admissions of a stream, whatever time they name.
const MIN_ADMISSION_INTERVAL: Duration = Duration::from_secs(1);
/// Longest timer for the end of an admission; a longer admission is renewed then.
const MAX_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time that a stream waits for a busy component to renew its admission.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two calls to a busy component.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
const MAX_ADMISSION_BYTES: usize = 16 << 10;
/// A change is sent after at most half a second.
const PACE: Pace = Pace {
    poll_interval: Duration::from_millis(400),
    heartbeat_interval: HEARTBEAT_INTERVAL,
};

/// The live feed of this process.
pub(crate) struct Live {
    /// Public path of the feed.
    pub(crate) route: String,
    /// Id of the component that admits clients.
    pub(crate) component_id: Arc<str>,
    component: Component,
    admission: Uri,
    hub: Arc<Hub<Database>>,
    /// One permit for each stream.
    permits: Arc<Semaphore>,
}

impl Live {
    /// The feed that the manifest describes, read through `service`, the SQL gateway, with at most
    /// `max_streams` streams.
    ///
    /// # Errors
    /// None in practice: addresses are checked with the manifest.
    pub(crate) fn new(
        feed: &LiveFeed,
        component: Component,
        service: Arc<dyn InternalService>,
        max_streams: usize,
    ) -> anyhow::Result<Self> {
        let component_id: Arc<str> = feed.component.as_str().into();
        let transport = InProcess {
            service,
            component: Arc::clone(&component_id),
        };
        let endpoint = Endpoint::new(
            &format!("http://{}", sql::HOST_NAME),
            "postgres://in.process/",
        )?;
        let database = Database {
            client: SqlClient::new(transport, endpoint),
            functions: TableFunctions::new(&feed.frontier, &feed.changes),
        };
        Ok(Self {
            route: feed.route.clone(),
            component,
            component_id,
            admission: format!("http://live.internal{}", feed.admission).parse()?,
            hub: Hub::new(database, PACE),
            permits: Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// Ends all streams: their clients reconnect, to another process.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// Answers a request for the feed: with a stream if the component admits the client and a permit is
    /// free, else with the component's refusal or a problem.
    pub(crate) async fn respond(&self, request: Request, request_id: &str) -> Response {
        let mut headers = request.headers().clone();
        strip_spin_headers(&mut headers);
        let last_event_id = LastEventId::of(&headers, request.uri().query());
        let client = Client {
            component: self.component.clone(),
            admission: self.admission.clone(),
            headers,
            request_id: request_id.to_owned(),
        };
        let admission = match client.admit().await {
            Ok(admission) => admission,
            Err(refusal) => return refusal,
        };
        // After the admission, so that only admitted clients take permits.
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return Problem::TooBusy.response(request_id);
        };
        let follower = match self.hub.follow(&admission.feed, last_event_id).await {
            Ok(follower) => follower,
            Err(error) => {
                tracing::warn!(request_id, %error, "cannot read the live feed");
                return Problem::Unavailable.response(request_id);
            }
        };
        let live_stream = LiveStream {
            follower,
            client,
            admission,
            _permit: permit,
        };
        let pieces = stream::unfold(live_stream, |mut live_stream| async {
            let piece = live_stream.next().await?;
            Some((Ok::<_, BodyError>(Frame::data(piece)), live_stream))
        });
        let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A proxy that buffers the response would delay events.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// One client's stream.
struct LiveStream {
    follower: Follower<Database>,
    client: Client,
    admission: Admission,
    _permit: OwnedSemaphorePermit,
}

impl LiveStream {
    /// Waits for the next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let expires = self.admission.expires;
            let piece = tokio::select! {
                piece = self.follower.next() => piece?,
                () = tokio::time::sleep_until(expires.unwrap_or_else(Instant::now)), if expires.is_some() => {
                    self.renew().await?;
                    continue;
                }
            };
            if piece != HEARTBEAT && self.admission.is_due() {
                self.renew().await?;
            }
            return Some(piece);
        }
    }

    /// Asks the component whether it still admits the client to this feed, and waits if it is busy. `None`
    /// ends the stream: a client that is still admitted reconnects and misses nothing.
    async fn renew(&mut self) -> Option<()> {
        let begin = Instant::now();
        loop {
            match self.client.admit().await {
                Ok(admission) if admission.feed == self.admission.feed => {
                    self.admission = admission;
                    return Some(());
                }
                Err(refusal) if refusal.status().is_server_error() => {}
                Ok(_) | Err(_) => return None,
            }
            if begin.elapsed() >= BUSY_TIMEOUT {
                tracing::debug!(
                    request_id = self.client.request_id,
                    "ending a stream: the component did not renew its admission in time"
                );
                return None;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }
}

/// A client's permission to follow a feed.
struct Admission {
    feed: String,
    at: Instant,
    /// Its end, if the component named one.
    expires: Option<Instant>,
}

impl Admission {
    /// `true` if it has to be renewed before the next event.
    fn is_due(&self) -> bool {
        self.at.elapsed() >= ADMISSION_INTERVAL
    }
}

/// The body of the component's response to an admission.
#[derive(Deserialize)]
struct AdmissionBody {
    feed: String,
    /// RFC 3339.
    expires_at: Option<String>,
}

impl Admission {
    /// Parses the body of a response that arrived at `at`.
    fn parse(body: &[u8], at: Instant) -> anyhow::Result<Self> {
        let AdmissionBody { feed, expires_at } = serde_json::from_slice(body)?;
        let expires = match expires_at {
            Some(expires_at) => {
                let remaining = expires_at
                    .parse::<Timestamp>()?
                    .duration_since(Timestamp::now());
                let remaining = Duration::try_from(remaining).unwrap_or_default();
                Some(at + remaining.clamp(MIN_ADMISSION_INTERVAL, MAX_EXPIRY))
            }
            None => None,
        };
        Ok(Self { feed, at, expires })
    }
}

/// A client: the headers that the component admits it by.
struct Client {
    component: Component,
    admission: Uri,
    headers: HeaderMap,
    request_id: String,
}

impl Client {
    /// Asks the component to admit the client.
    ///
    /// # Errors
    /// The component's refusal, or the problem that it failed.
    async fn admit(&self) -> Result<Admission, Response> {
        let request_id = &self.request_id;
        let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *request.method_mut() = Method::GET;
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = self.admission.clone();
        let response = self.component.call(request).await.map_err(|error| {
            tracing::warn!(request_id, %error, "the component failed to admit a client");
            Problem::from(&error).response(request_id)
        })?;
        if response.status() != StatusCode::OK {
            return Err(response);
        }
        let body = Limited::new(response.into_body(), MAX_ADMISSION_BYTES).collect();
        let admission = body
            .await
            .map_err(anyhow::Error::from_boxed)
            .and_then(|body| Admission::parse(&body.to_bytes(), Instant::now()));
        admission.map_err(|error| {
            let path = self.admission.path();
            tracing::warn!(request_id, %error, path, "invalid response to an admission");
            Problem::ComponentFailed.response(request_id)
        })
    }
}

/// The feeds in the database, through the gateway of this process.
struct Database {
    client: SqlClient<InProcess>,
    functions: TableFunctions,
}

type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl Source for Database {
    fn frontier<'a>(&'a self, feed: &'a str) -> Reading<'a, Frontier> {
        Box::pin(self.functions.frontier(&self.client, feed))
    }

    fn changes<'a>(&'a self, feed: &'a str, after: u64) -> Reading<'a, Vec<Change>> {
        Box::pin(self.functions.changes(&self.client, feed, after))
    }
}

/// Calls the gateway in the name of a component.
struct InProcess {
    service: Arc<dyn InternalService>,
    component: Arc<str>,
}

impl Transport for InProcess {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = request.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        let response = self.service.call(&self.component, request).await;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| TransportError::Broken(error.to_string()))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(body: &str) -> Admission {
        Admission::parse(body.as_bytes(), Instant::now()).unwrap()
    }

    #[test]
    fn an_admission_is_renewed_after_thirty_seconds() {
        let mut admission = admission(r#"{"feed":"a"}"#);
        assert!(admission.expires.is_none());
        admission.at = Instant::now() - Duration::from_secs(29);
        assert!(!admission.is_due());
        admission.at = Instant::now() - Duration::from_secs(30);
        assert!(admission.is_due());
    }

    #[test]
    fn an_admission_ends_at_its_time_and_at_most_once_a_second() {
        let past = admission(r#"{"feed":"a","expires_at":"2020-01-01T00:00:00Z"}"#);
        assert_eq!(past.expires, Some(past.at + MIN_ADMISSION_INTERVAL));
        let soon = Timestamp::now() + Duration::from_secs(20);
        let soon = admission(&format!(r#"{{"feed":"a","expires_at":"{soon}"}}"#));
        let remaining = soon.expires.unwrap() - soon.at;
        assert!(remaining <= Duration::from_secs(20) && remaining > Duration::from_secs(15));
        let invalid = br#"{"feed":"a","expires_at":"soon"}"#;
        assert!(Admission::parse(invalid, Instant::now()).is_err());
    }
}
