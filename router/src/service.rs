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
use http::{HeaderName, HeaderValue, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tempfile::TempDir;
use tirage_host::{Host, Request, Response};
use tirage_manifest::{Routes, StaticResponse, Target, strip_spin_headers};

use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::server::Service;

/// Carries the id of a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// Where Spin keeps addresses for itself.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// The application that this process serves.
pub(crate) struct Application {
    pub(crate) host: Host,
    pub(crate) routes: Routes<Target>,
    /// What `/.well-known/spin/info` answers.
    pub(crate) info: Bytes,
    pub(crate) metrics: Arc<Metrics>,
    /// Folders that were gathered for components; removed with the application.
    pub(crate) _mounted: Vec<TempDir>,
}

impl Service for Application {
    async fn respond(&self, client: SocketAddr, mut request: http::Request<Incoming>) -> Response {
        let start = Instant::now();
        let _in_flight = self.metrics.begin();
        let id = request_id(&request);
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let id_text = id.to_str().unwrap_or_default().to_owned();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();

        let (component, mut response) = self.route(client, &path, request, &id_text).await;
        response.headers_mut().insert(REQUEST_ID, id);

        let duration = start.elapsed();
        let status = response.status();
        let component = component.unwrap_or_default();
        self.metrics.answered(component, &method, status, duration);
        tracing::info!(
            %method,
            path,
            status = status.as_u16(),
            duration_ms = duration.as_micros() as f64 / 1000.0,
            component,
            request_id = id_text,
            "request"
        );
        response
    }
}

impl Application {
    /// The response, and the component that the request was for.
    async fn route<'a>(
        &'a self,
        client: SocketAddr,
        path: &'a str,
        request: http::Request<Incoming>,
        request_id: &str,
    ) -> (Option<&'a str>, Response) {
        if let Some(name) = path.strip_prefix(WELL_KNOWN) {
            return (None, self.well_known(name, request_id));
        }
        let Some(route) = self.routes.find(path) else {
            return (None, Problem::NotFound.response(request_id));
        };
        match route.value() {
            Target::StaticResponse(fixed) => (None, fixed_response(fixed)),
            Target::Component(component) => {
                let component = component.as_str();
                let Some(uri) = full_uri(&request) else {
                    return (Some(component), Problem::BadRequest.response(request_id));
                };
                let headers: Vec<_> = route.spin_headers(&uri, client).collect();
                let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
                *request.uri_mut() = uri;
                strip_spin_headers(request.headers_mut());
                request.headers_mut().reserve(headers.len());
                request.headers_mut().extend(headers);
                (
                    Some(component),
                    self.call(component, request, request_id).await,
                )
            }
        }
    }

    async fn call(&self, component: &str, request: Request, request_id: &str) -> Response {
        match self.host.call(component, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(component, request_id, %error, "no answer");
                Problem::from(&error).response(request_id)
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
