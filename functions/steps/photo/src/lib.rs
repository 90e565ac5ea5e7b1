//! The photo step: `POST /` takes a photo as the body, and returns its variants and metadata.
//!
//! | query parameter | default | meaning |
//! |---|---|---|
//! | `variant=<name>:<long side>:<format>[:<quality>]`, repeatable | thumb, small, display, large | variants to create |
//! | `max_bytes` | 64 MiB | limit on the length of the file |
//! | `max_pixels` | 100 million | limit on the pixels of all frames |
//! | `max_memory_bytes` | 512 MiB | limit on the memory |
//!
//! The response is `multipart/mixed` (RFC 2046, 5.1): a JSON part, then each variant in the order of the
//! JSON list. A response without its closing boundary was cut off. The GPS position is in the JSON as
//! `position`, outside `metadata`, because it is private.
//!
//! Any other input gives a problem document (RFC 9457). The step has no network, files or secrets, and
//! keeps no state.

mod body;
mod multipart;
mod options;
mod problem;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::wasip3::random::random::get_random_u64;
use tirage_problem::{Kind, Problem};

use crate::body::PartsBody;
use crate::options::Options;

#[http_service]
async fn handle(request: Request) -> Response<PartsBody> {
    let request_id = request_id(&request);
    respond(request).await.unwrap_or_else(|problem| {
        let response = problem.into_response(request_id.as_deref());
        with_length(response.map(|body| PartsBody::new([body])))
    })
}

async fn respond(request: Request) -> Result<Response<PartsBody>, Problem> {
    let (head, body) = request.into_parts();
    if head.uri.path() != "/" {
        return Err(Problem::new(Kind::NOT_FOUND));
    }
    if head.method != Method::POST {
        return Err(
            Problem::new(Kind::METHOD_NOT_ALLOWED).header(ALLOW, HeaderValue::from_static("POST"))
        );
    }
    let options = Options::parse(head.uri.query().unwrap_or_default())?;
    let file = body::read(&head.headers, body, &options.limits).await?;
    let processed = tirage_imaging::process(&file, &options.variants, &options.limits)
        .map_err(problem::from_error)?;
    let bytes = file.len();
    drop(file);

    // A random boundary, which an attacker can't put into a variant.
    let boundary = format!("{:016x}{:016x}", get_random_u64(), get_random_u64());
    let mut response = Response::new(PartsBody::new(multipart::write(
        processed, bytes, &boundary,
    )?));
    let headers = response.headers_mut();
    let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}"))
        .map_err(|_| Problem::new(Kind::INTERNAL))?;
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(with_length(response))
}

fn with_length(mut response: Response<PartsBody>) -> Response<PartsBody> {
    let length = response.body().length();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// Request id of the router, which leads from a problem document to the log.
fn request_id(request: &Request) -> Option<String> {
    let id = request.headers().get("x-request-id")?;
    id.to_str().ok().map(str::to_owned)
}
