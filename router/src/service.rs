//! Answers one request: finds its route, calls the component, turns errors into problem documents, and
//! writes the access log.
//!
//! Every request has an id: the client's `X-Request-ID` if it is safe in a log, else a new UUIDv7.
//! Component, log and client see the same id.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Body as _;
use tempfile::TempDir;
use tirage_host::{Component, Host, Request, Response};
use tirage_manifest::{Routes, StaticResponse, strip_spin_headers};

use crate::access_log::{AccessLog, Entry};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// Carries the id of a request, in requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is accepted from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// Paths that Spin reserves.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// Target of a route.
pub(crate) enum Destination {
    /// A component.
    Component {
        /// Id of the component.
        id: Arc<str>,
        component: Component,
    },
    /// A static response.
    Fixed(StaticResponse),
}

/// The application that this process serves.
pub(crate) struct Application {
    /// Components call each other through it for as long as it exists.
    pub(crate) _host: Host,
    pub(crate) routes: Routes<Destination>,
    /// The live feed, if this process serves one.
    pub(crate) live: Option<Live>,
    /// Body of `/.well-known/spin/info`.
    pub(crate) info: Bytes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    /// Temporary folders of components' files; removed with the application.
    pub(crate) _mounted: Vec<TempDir>,
}

impl Application {
    /// Answers a request of a client or of a component.
    pub(crate) async fn respond(&self, client: SocketAddr, mut request: Request) -> Response {
        let start = Instant::now();
        let _in_flight = self.metrics.begin();
        let id = request_id(&request);
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();

        // Checked or created here, so it is ASCII.
        let id_text = id.to_str().unwrap_or_default();
        let (component, mut response) = self.route(client, &path, request, id_text).await;

        let duration = start.elapsed();
        let status = response.status();
        self.metrics.answered(component, &method, status, duration);
        self.access_log.write(Entry {
            method: &method,
            path: &path,
            status,
            duration,
            component: component.map_or("", |component| component),
            request_id: id_text,
        });
        response.headers_mut().insert(REQUEST_ID, id);
        if method == Method::HEAD {
            response = without_body(response);
        }
        response
    }

    /// Returns the response, and the component that the request was routed to.
    async fn route<'a>(
        &'a self,
        client: SocketAddr,
        path: &'a str,
        mut request: Request,
        request_id: &str,
    ) -> (Option<&'a Arc<str>>, Response) {
        if let Some(name) = path.strip_prefix(WELL_KNOWN) {
            return (None, self.well_known(name, request_id));
        }
        if let Some(live) = &self.live
            && path == live.route
            && request.method() == Method::GET
        {
            let response = live.respond(request, request_id).await;
            return (Some(&live.component_id), response);
        }
        let Some(route) = self.routes.find(path) else {
            return (None, Problem::NotFound.response(request_id));
        };
        match route.value() {
            Destination::Fixed(fixed) => (None, fixed_response(fixed)),
            Destination::Component { id, component } => {
                let Some(uri) = full_uri(&request) else {
                    return (Some(id), Problem::BadRequest.response(request_id));
                };
                strip_spin_headers(request.headers_mut());
                request
                    .headers_mut()
                    .extend(route.spin_headers(&uri, client));
                *request.uri_mut() = uri;
                let response = match component.call(request).await {
                    Ok(response) => response,
                    Err(error) => {
                        let component = &**id;
                        tracing::warn!(component, request_id, %error, "the component failed");
                        Problem::from(&error).response(request_id)
                    }
                };
                (Some(id), response)
            }
        }
    }

    fn well_known(&self, name: &str, request_id: &str) -> Response {
        match name {
            "health" => content("text/plain; charset=utf-8", Bytes::from_static(b"OK")),
            "info" => content("application/json", self.info.clone()),
            _ => Problem::NotFound.response(request_id),
        }
    }
}

/// Removes the body of a response to HEAD, which has the headers of the response to GET and nothing else
/// (RFC 9110, 9.3.2).
///
/// Over HTTP/2 hyper would send the body. The empty body of a component that declares the length of GET's,
/// as it may, would count as incomplete and end the stream with an error.
fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact()
        && length > 0
    {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync())
}

fn fixed_response(fixed: &StaticResponse) -> Response {
    let body = Bytes::from(fixed.body.clone());
    let mut response = Response::new(
        Full::new(body)
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    *response.status_mut() = fixed.status;
    for (name, value) in &fixed.headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

fn content(media_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(
        Full::new(body)
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Returns the client's id if its characters are safe in any log, else a new one.
fn request_id<B>(request: &http::Request<B>) -> HeaderValue {
    let is_safe = |id: &&HeaderValue| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
    };
    request
        .headers()
        .get(REQUEST_ID)
        .filter(is_safe)
        .cloned()
        .unwrap_or_else(|| {
            let id = uuid::Uuid::now_v7().to_string();
            // A UUID is ASCII.
            HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"))
        })
}

/// Returns the request's URI with scheme and authority, which HTTP/1.1 sends in `Host`.
fn full_uri<B>(request: &http::Request<B>) -> Option<Uri> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.clone(),
        None => {
            let host = request.headers().get(header::HOST)?;
            Authority::try_from(host.as_bytes()).ok()?
        }
    };
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    Uri::from_parts(parts).ok()
}
