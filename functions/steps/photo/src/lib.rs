//! A step: `POST /` with a photo as the body, answered with its prints and what is known about it.
//!
//! | parameter of the query | default | means |
//! |---|---|---|
//! | `variant=<name>:<long side>:<format>[:<quality>]`, repeatable | thumb, small, display, large | the prints that are wanted |
//! | `max_bytes` | 64 MiB | the longest file |
//! | `max_pixels` | 100 million | the most pixels, all frames together |
//! | `max_memory_bytes` | 512 MiB | the most memory |
//!
//! The answer is `multipart/mixed` (RFC 2046, 5.1): first JSON, then each print in the order in which it
//! is listed there. An answer that lacks its closing boundary was cut off. Where the photo was taken is
//! in the JSON as `position`, beside `metadata` and not in it, since it isn't for everybody.
//!
//! Whatever isn't a photo that can be printed is answered with a problem document. The step reaches
//! nothing and nobody, and keeps nothing.

mod body;
mod multipart;
mod options;
mod refusal;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::wasip3::random::random::get_random_u64;
use tirage_problem::{Kind, Problem};

use crate::body::Parts;
use crate::options::Options;

#[http_service]
async fn handle(request: Request) -> Response<Parts> {
    let request_id = request_id(&request);
    answer(request).await.unwrap_or_else(|problem| {
        let response = problem.into_response(request_id.as_deref());
        with_length(response.map(|body| Parts::new([body])))
    })
}

async fn answer(request: Request) -> Result<Response<Parts>, Problem> {
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
    let prints =
        tirage_imaging::print(&file, &options.variants, &options.limits).map_err(refusal::of)?;
    let bytes = file.len();
    drop(file);

    // What nobody can foresee, no print contains.
    let boundary = format!("{:016x}{:016x}", get_random_u64(), get_random_u64());
    let mut response = Response::new(Parts::new(multipart::write(prints, bytes, &boundary)?));
    let headers = response.headers_mut();
    let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}"))
        .map_err(|_| Problem::new(Kind::INTERNAL))?;
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(with_length(response))
}

fn with_length(mut response: Response<Parts>) -> Response<Parts> {
    let length = response.body().length();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// What the router calls this request, so that an error leads to the log.
fn request_id(request: &Request) -> Option<String> {
    let id = request.headers().get("x-request-id")?;
    id.to_str().ok().map(str::to_owned)
}
