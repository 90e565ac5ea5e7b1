//! `GET /api/live`: the change feed, answered by the router itself, since a stream would outlive what a
//! component is given of time and places.
//!
//! Whom to admit, and to which workspace, is the component's to say: it is asked at
//! [`ADMISSION`] with the client's own headers, when the stream begins and again before each piece of it.
//! The feed is read with the rights of that component's database role.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use serde::Deserialize;
use tirage_host::{BodyError, Component, InternalService, Request, Response};
use tirage_live::{
    Change, Frontier, HEARTBEAT, HEARTBEAT_INTERVAL, Hub, LastEventId, Outbox, Pace,
};
use tirage_sqlhttp::{Client as SqlClient, Endpoint, Error, Transport, TransportError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::problem::Problem;
use crate::sql;

/// The path that is answered here, where it leads to a component with a database role.
pub(crate) const PATH: &str = "/api/live";
/// Where that component says whom to admit: 200 with `{"workspace"}`, or a refusal, which goes to the
/// client as it is.
const ADMISSION: &str = "http://live.internal/api/live/admission";
const MAX_ADMISSION_BYTES: usize = 16 << 10;
/// A change is noticed in less than half a second.
const PACE: Pace = Pace {
    poll_interval: Duration::from_millis(400),
    heartbeat_interval: HEARTBEAT_INTERVAL,
};

/// How long a stream waits for a component that can't say just now whether its client is still to be
/// admitted.
const PATIENCE: Duration = Duration::from_secs(5);

/// The feeds of this process.
pub(crate) struct Live {
    hub: Arc<Hub<Gateway>>,
    /// One for each stream that there may be.
    places: Arc<Semaphore>,
}

impl Live {
    /// Feeds that `service`, the SQL gateway, reads as `component`, for at most so many streams at once.
    ///
    /// # Errors
    /// None in practice: the gateway's address is a constant.
    pub(crate) fn new(
        service: Arc<dyn InternalService>,
        component: &str,
        max_streams: usize,
    ) -> anyhow::Result<Self> {
        let transport = InProcess {
            service,
            component: component.into(),
        };
        let endpoint = Endpoint::new(
            &format!("http://{}", sql::HOST_NAME),
            "postgres://in.process/",
        )?;
        let gateway = Gateway(SqlClient::new(transport, endpoint));
        Ok(Self {
            hub: Hub::new(gateway, PACE),
            places: Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// Ends all streams: their clients come back, to another process.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// A stream of changes, if the component admits whoever asks and there is room for one more.
    pub(crate) async fn answer(
        &self,
        component: &Component,
        request: Request,
        request_id: &str,
    ) -> Response {
        let headers = request.headers().clone();
        let seen = LastEventId::of(&headers, request.uri().query());
        let workspace = match admit(component, &headers, request_id).await {
            Ok(workspace) => workspace,
            Err(refusal) => return refusal,
        };
        // Only now: strangers take no places.
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Problem::TooBusy.response(request_id);
        };
        let follower = match self.hub.follow(&workspace, seen).await {
            Ok(follower) => follower,
            Err(error) => {
                tracing::warn!(%error, "the change feed can't be read");
                return Problem::Unavailable.response(request_id);
            }
        };
        let client = Client {
            component: component.clone(),
            headers,
            workspace,
            request_id: request_id.to_owned(),
            _place: place,
        };
        let pieces = stream::unfold((follower, client), |(mut follower, client)| async {
            let piece = follower.next().await?;
            if piece != HEARTBEAT && !client.is_still_admitted().await {
                return None;
            }
            Some((Ok::<_, BodyError>(Frame::data(piece)), (follower, client)))
        });
        let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies that collect an answer before they pass it on would show changes late or never.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// Whoever follows a feed.
struct Client {
    component: Component,
    headers: HeaderMap,
    workspace: String,
    request_id: String,
    _place: OwnedSemaphorePermit,
}

impl Client {
    /// Rights may have been taken away meanwhile. Where that can't be told in time the answer is no: the
    /// client comes back, and misses nothing.
    async fn is_still_admitted(&self) -> bool {
        let asked = Instant::now();
        loop {
            match admit(&self.component, &self.headers, &self.request_id).await {
                Ok(workspace) => return workspace == self.workspace,
                Err(refusal) if refusal.status().is_server_error() => {}
                Err(_) => return false,
            }
            if asked.elapsed() >= PATIENCE {
                return false;
            }
            tokio::time::sleep(PACE.poll_interval).await;
        }
    }
}

#[derive(Deserialize)]
struct Admission {
    workspace: String,
}

/// The workspace of whoever sends these headers; or the component's refusal, or ours if it says nothing.
async fn admit(
    component: &Component,
    headers: &HeaderMap,
    request_id: &str,
) -> Result<String, Response> {
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = Method::GET;
    *request.headers_mut() = headers.clone();
    *request.uri_mut() = Uri::from_static(ADMISSION);
    let response = component.call(request).await.map_err(|error| {
        tracing::warn!(request_id, %error, "nobody says whom to admit to the change feed");
        Problem::from(&error).response(request_id)
    })?;
    if response.status() != StatusCode::OK {
        return Err(response);
    }
    let body = Limited::new(response.into_body(), MAX_ADMISSION_BYTES).collect();
    let admission = body
        .await
        .ok()
        .and_then(|body| serde_json::from_slice::<Admission>(&body.to_bytes()).ok());
    match admission {
        Some(admission) => Ok(admission.workspace),
        None => {
            tracing::warn!(request_id, "the answer of {ADMISSION} makes no sense");
            Err(Problem::ComponentFailed.response(request_id))
        }
    }
}

/// The feeds in the database, through the gateway of this process.
struct Gateway(SqlClient<InProcess>);

type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl Outbox for Gateway {
    fn frontier<'a>(&'a self, workspace: &'a str) -> Reading<'a, Frontier> {
        Box::pin(tirage_live::frontier(&self.0, workspace))
    }

    fn changes<'a>(&'a self, workspace: &'a str, after: u64) -> Reading<'a, Vec<Change>> {
        Box::pin(tirage_live::changes(&self.0, workspace, after))
    }
}

/// Calls the gateway as a component would.
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
