//! The library of all functions: what a handler needs around its own logic.
//!
//! - [`settings`]: variables of the manifest.
//! - [`database`]: Postgres over HTTP, in the scope of a workspace, a task or the sweep.
//! - [`store`]: objects of one bucket.
//! - [`Error`] and [`respond`]: errors to problem documents, with the request id.
//! - [`body`], [`digest`], [`json`], [`timeout`]: observed bodies, SHA-256, JSON, time limits.
//!
//! Its imports (outgoing HTTP, variables) are those of the worlds `api` and `worker`; a `site` or a `step`
//! may not use it.

pub mod body;
pub mod database;
pub mod digest;
mod error;
pub mod json;
pub mod settings;
pub mod store;
pub mod timeout;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};

pub use error::{Error, Service};

/// The router's id of a request, which leads from a response to the log.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?;
    id.to_str().ok().map(str::to_owned)
}

/// Completes a handler's result: logs an error, turns it into a problem document, sets the length.
pub fn respond(
    result: Result<Response<Bytes>, impl Into<Error>>,
    request_id: Option<&str>,
) -> Response<Bytes> {
    let mut response =
        result.unwrap_or_else(|error| error.into().into_problem().into_response(request_id));
    if response.status() != StatusCode::NO_CONTENT {
        let length = response.body().len();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}
