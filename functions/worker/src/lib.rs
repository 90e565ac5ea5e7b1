//! Does the jobs that the queue brings: the trigger POSTs a message to `/jobs/<kind>`.
//!
//! A job is: claim the task under a numbered lease, let the step make prints of the original, store
//! them, commit under that lease, answer. It needs the database, the bucket and `JOB_SECRET`, and
//! nothing else.
//!
//! | answer | when |
//! |---|---|
//! | 204 | done; or failed for good, and recorded; or nothing to do (done before, in other hands, or gone) |
//! | 400, 403 | no message of ours: the queue tries again and then puts it aside |
//! | 503 | something that may pass: the queue tries again |
//!
//! It answers 204 only after the commit. If it dies before, its lease runs out, and the sweep sees to it
//! that somebody else takes over.

mod answer;
mod job;
mod original;
mod outcome;
mod parts;
mod settings;
mod step;
mod tasks;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use tirage_jobs::{Kind as JobKind, MAX_MESSAGE_BYTES, Message, NotAMessage, Secret};
use tirage_problem::{Kind, Problem};

use crate::settings::{internal, variable};

#[http_service]
async fn handle(request: Request) -> Response<FullBody<Bytes>> {
    let request_id = request
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let response = match answer(request).await {
        Ok(()) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(problem) => {
            let mut response = problem.into_response(request_id.as_deref());
            let length = response.body().len();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            response
        }
    };
    response.map(FullBody::new)
}

async fn answer(request: Request) -> Result<(), Problem> {
    let kind = request
        .uri()
        .path()
        .strip_prefix("/jobs/")
        .and_then(JobKind::parse)
        .ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    if request.method() != Method::POST {
        return Err(
            Problem::new(Kind::METHOD_NOT_ALLOWED).header(ALLOW, HeaderValue::from_static("POST"))
        );
    }
    let message = read(request).await?;
    if message.kind != kind {
        return Err(Problem::new(Kind::INVALID_INPUT)
            .detail("The message is for another kind of job than the path"));
    }
    job::run(&message).await
}

async fn read(request: Request) -> Result<Message, Problem> {
    let secret = Secret::new(&variable("job_secret").await?).map_err(internal)?;
    let body = Limited::new(request.into_body(), MAX_MESSAGE_BYTES)
        .collect()
        .await
        .map_err(|_| Problem::new(Kind::INVALID_INPUT).detail("The body is no message"))?;
    Message::open(&body.to_bytes(), &secret).map_err(|error| {
        eprintln!("refused: {error}");
        match error {
            NotAMessage::Forged => Problem::new(Kind::FORBIDDEN),
            NotAMessage::Malformed | NotAMessage::Version(_) => {
                Problem::new(Kind::INVALID_INPUT).detail("The body is no message")
            }
        }
    })
}
