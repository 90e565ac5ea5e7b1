//! `functions/worker`: processes tasks. The queue's trigger POSTs a message to `/jobs/<kind>`.
//!
//! A job claims the task under a numbered lease, streams the original through the step, stores the variants
//! and commits under that lease. It needs the database, the bucket and `JOB_SECRET`, and nothing else.
//!
//! | response | meaning |
//! |---|---|
//! | 204 | done; or failed permanently, and recorded; or nothing to do (done, claimed or deleted) |
//! | 400, 403 | invalid message: the queue repeats it and then moves it to its dead-letter queue |
//! | 503, 500 | temporary fault: the queue repeats the message |
//!
//! The response 204 follows the commit. If the worker dies before, its lease expires, and the sweep queues
//! the task again.
//!
//! Handlers return [`tirage_guest::Error`], as those of the api. Within a job, [`error::Error`] adds the
//! failure of a file, which is recorded on the task and never becomes a response.

mod error;
mod job;
mod lease;
mod multipart;
mod output;
mod step;
mod variants;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use tirage_guest::{Error, json, settings};
use tirage_jobs::{InvalidMessage, Kind as TaskKind, MAX_MESSAGE_BYTES, Message, Secret};
use tirage_problem::{Kind, Problem};

#[http_service]
async fn handle(request: Request) -> Response<FullBody<Bytes>> {
    let request_id = tirage_guest::request_id(request.headers());
    let result = run(request)
        .await
        .map(|()| json::empty(StatusCode::NO_CONTENT));
    tirage_guest::respond(result, request_id.as_deref()).map(FullBody::new)
}

async fn run(request: Request) -> Result<(), Error> {
    let kind = request
        .uri()
        .path()
        .strip_prefix("/jobs/")
        .and_then(TaskKind::parse)
        .ok_or_else(|| Problem::new(Kind::NOT_FOUND))?;
    if request.method() != Method::POST {
        return Err(Problem::new(Kind::METHOD_NOT_ALLOWED)
            .header(ALLOW, HeaderValue::from_static("POST"))
            .into());
    }
    let message = read(request).await?;
    if message.kind != kind {
        return Err(Problem::new(Kind::INVALID_INPUT)
            .detail("The message is for another kind of task than the path")
            .into());
    }
    job::run(&message).await
}

async fn read(request: Request) -> Result<Message, Error> {
    let invalid = || Problem::new(Kind::INVALID_INPUT).detail("The body is not a job message");
    let secret = settings::variable("job_secret").await?;
    let secret = Secret::new(&secret).map_err(Error::internal)?;
    let body = Limited::new(request.into_body(), MAX_MESSAGE_BYTES)
        .collect()
        .await
        .map_err(|_| invalid())?;
    Message::open(&body.to_bytes(), &secret).map_err(|error| {
        eprintln!("refused: {error}");
        Error::Refused(match error {
            InvalidMessage::Forged => Problem::new(Kind::FORBIDDEN),
            InvalidMessage::Malformed | InvalidMessage::Version(_) => invalid(),
        })
    })
}
