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
use tirage_sqlhttp::{Client, Endpoint, Error, Transport, TransportError};

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

/// The feeds of this process.
pub(crate) struct Live {
    hub: Arc<Hub<Gateway>>,
}

impl Live {
    /// Feeds that `service`, the SQL gateway, reads as `component`.
    ///
    /// # Errors
    /// None in practice: the gateway's address is a constant.
    pub(crate) fn new(service: Arc<dyn InternalService>, component: &str) -> anyhow::Result<Self> {
        let transport = InProcess {
            service,
            component: component.into(),
        };
        let endpoint = Endpoint::new(
            &format!("http://{}", sql::HOST_NAME),
            "postgres://in.process/",
        )?;
        let gateway = Gateway(Client::new(transport, endpoint));
        Ok(Self {
            hub: Hub::new(gateway, PACE),
        })
    }

    /// Ends all streams: their clients come back, to another process.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// A stream of changes, if the component admits whoever asks.
    pub(crate) async fn answer(&self, component: &Component, request: Request) -> Response {
        let headers = request.headers().clone();
        let seen = LastEventId::of(&headers, request.uri().query());
        let workspace = match admit(component, &headers).await {
            Ok(workspace) => workspace,
            Err(refusal) => return refusal,
        };
        let follower = match self.hub.follow(&workspace, seen).await {
            Ok(follower) => follower,
            Err(error) => {
                tracing::warn!(%error, "the change feed can't be read");
                return unavailable();
            }
        };
        let admission = (component.clone(), headers, workspace);
        let pieces = stream::unfold((follower, admission), |(mut follower, admission)| async {
            let piece = follower.next().await?;
            if piece != HEARTBEAT {
                let (component, headers, workspace) = &admission;
                // Rights may have been taken away meanwhile.
                if admit(component, headers).await.ok().as_ref() != Some(workspace) {
                    return None;
                }
            }
            Some((
                Ok::<_, BodyError>(Frame::data(piece)),
                (follower, admission),
            ))
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

#[derive(Deserialize)]
struct Admission {
    workspace: String,
}

/// The workspace of whoever sends these headers; or the component's refusal.
async fn admit(component: &Component, headers: &HeaderMap) -> Result<String, Response> {
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = Method::GET;
    *request.headers_mut() = headers.clone();
    *request.uri_mut() = Uri::from_static(ADMISSION);
    let response = component.call(request).await.map_err(|error| {
        tracing::warn!(%error, "nobody says whom to admit to the change feed");
        unavailable()
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
            tracing::warn!("the answer of {ADMISSION} makes no sense");
            Err(unavailable())
        }
    }
}

fn unavailable() -> Response {
    let body = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let soon = HeaderValue::from_static("2");
    response.headers_mut().insert(header::RETRY_AFTER, soon);
    response
}

/// The feeds in the database, through the gateway of this process.
struct Gateway(Client<InProcess>);

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
