//! Answers one request: finds its route, calls the component, turns what went wrong into a problem
//! document, and writes the access log.
//!
//! Every request has an id: the client's `X-Request-ID` if it is a reasonable one, else a new
//! UUIDv7. Component, log and client see the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body as _, Incoming};
use tempfile::TempDir;
use tirage_host::{Component, Host, Request, Response};
use tirage_manifest::{Routes, StaticResponse, strip_spin_headers};

use crate::access_log::{AccessLog, Entry};
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::server::Service;

/// Carries the id of a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// Where Spin keeps addresses for itself.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// Where a route leads.
pub(crate) enum Destination {
    /// To a component.
    Component {
        /// Its name.
        id: Arc<str>,
        component: Component,
    },
    /// To an answer that is always the same.
    Fixed(StaticResponse),
}

/// The application that this process serves.
pub(crate) struct Application {
    /// Components find each other through it for as long as it is there.
    pub(crate) _host: Host,
    pub(crate) routes: Routes<Destination>,
    /// The change feed, where there is one.
    pub(crate) live: Option<Live>,
    /// What `/.well-known/spin/info` answers.
    pub(crate) info: Bytes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    /// Folders that were gathered for components; removed with the application.
    pub(crate) _mounted: Vec<TempDir>,
}

impl Service for Application {
    async fn respond(&self, client: SocketAddr, request: http::Request<Incoming>) -> Response {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        self.answer(client, request).await
    }
}

impl Application {
    /// Answers a request, wherever it comes from.
    pub(crate) async fn answer(&self, client: SocketAddr, mut request: Request) -> Response {
        let start = Instant::now();
        let _in_flight = self.metrics.begin();
        let id = request_id(&request);
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();

        // It was checked or made here, and is ASCII.
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

    /// The response, and the component that the request was for.
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
        let Some(route) = self.routes.find(path) else {
            return (None, Problem::NotFound.response(request_id));
        };
        match route.value() {
            Destination::Fixed(fixed) => (None, fixed_response(fixed)),
            Destination::Component { id, component } => {
                if let Some(live) = &self.live
                    && path == live::PATH
                    && request.method() == Method::GET
                {
                    return (Some(id), live.answer(component, request, request_id).await);
                }
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
                        tracing::warn!(component, request_id, %error, "no answer");
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

/// The answer to HEAD: the headers of the answer to GET, and nothing else (RFC 9110, 9.3.2).
///
/// Over HTTP/2 hyper would send what body there is. The empty one of a component that tells the
/// length of GET's, as it may, counts as broken off, and would end the stream with an error.
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

/// The client's id if it is made of characters that are safe in any log, else a new one.
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

/// The request's URI with scheme and authority: HTTP/1.1 has the latter in `Host`.
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
