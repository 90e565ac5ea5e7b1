//! What clients call: `/api/…`, the health of the service, and the sweep.
//!
//! | route | answers |
//! |---|---|
//! | `GET /health`, `GET /api/health` | `{"status":"ok"}`: the function runs; it asks nobody else |
//! | `POST /api/description` | stores `{"text"}`, gives `{"id","text","created_at"}` |
//! | `GET /api/description?limit=` | the newest ones, newest first |
//! | `GET /api/description/latest` | the newest one |
//! | `POST /api/media` | JSON: where a file may be put; anything else: takes the body as a file |
//! | `GET /api/media?limit=&cursor=&kind=&state=` | the newest ones, newest first |
//! | `GET /api/media/{id}?include=position` | one, with prints, metadata and tasks |
//! | `DELETE /api/media/{id}` | removes it |
//! | `POST /api/media/{id}/complete` | the file is there: begins with its prints |
//! | `GET /api/tasks/{id}`, `POST /api/tasks/{id}/retry` | a task; another attempt at one that failed |
//! | `GET /api/live` | changes as they happen (server-sent events) |
//! | `GET /internal/live/admission` | admits a client to the live feed; called by the router |
//! | `POST /jobs/sweep` | for a schedule: picks up what fell down |
//!
//! Every answer is JSON (or events), every error a problem document, and none may be kept by a cache.
//! State is in Postgres, reached over HTTP, files are in S3: an instance holds nothing between requests.

mod cleanup;
mod database;
mod description;
mod descriptions;
mod idempotency;
mod json;
mod live;
mod media;
mod queue;
mod routes;
mod settings;
mod storage;
mod sweep;
mod tasks;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body_util::Either;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use tirage_problem::{Kind, Problem};

use crate::database::{BUILT_IN_WORKSPACE, Database};
use crate::description::{Limit, NewDescription, Text};
use crate::idempotency::IdempotencyKey;
use crate::routes::Action;

#[http_service]
async fn handle(request: Request) -> Response<Either<FullBody<Bytes>, live::Events>> {
    let is_head = request.method() == Method::HEAD;
    let request_id = request_id(&request);
    let answered = match routes::find(request.method(), request.uri().path()) {
        Ok(Action::Live) if !is_head => match live::follow(&request.into_parts().0).await {
            Ok(events) => return events.map(Either::Right),
            Err(problem) => Err(problem),
        },
        Ok(action) => answer(action, request).await,
        Err(problem) => Err(problem),
    };
    let mut response =
        answered.unwrap_or_else(|problem| problem.into_response(request_id.as_deref()));
    let length = response.body().len();
    if response.status() != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.map(|body| Either::Left(FullBody::new(if is_head { Bytes::new() } else { body })))
}

async fn answer(action: Action, request: Request) -> Result<Response<Bytes>, Problem> {
    let (head, body) = request.into_parts();
    match action {
        Action::Health => json::answer(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
        Action::CreateDescription => {
            let new: NewDescription = json::read(&head.headers, body).await?;
            let text = Text::parse(&new.text)?;
            let key = IdempotencyKey::of(&head, text.as_str().as_bytes())?;
            let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
            let description = descriptions::add(&database, &text, key.as_ref()).await?;
            json::answer(StatusCode::OK, &description)
        }
        Action::ListDescriptions => {
            let limit = Limit::parse(head.uri.query())?;
            let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
            json::answer(
                StatusCode::OK,
                &descriptions::newest(&database, limit).await?,
            )
        }
        Action::LatestDescription => {
            let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
            match descriptions::newest(&database, Limit::ONE).await?.first() {
                Some(latest) => json::answer(StatusCode::OK, latest),
                None => Err(Problem::new(Kind::NOT_FOUND).detail("No description found")),
            }
        }
        Action::CreateMedia if json::is_json(&head.headers) => {
            media::announce(&head, &json::collect(body).await?).await
        }
        Action::CreateMedia => media::receive(&head, body).await,
        Action::ListMedia => media::list(head.uri.query()).await,
        Action::ReadMedia(id) => media::read(id, head.uri.query()).await,
        Action::DeleteMedia(id) => media::remove(id).await,
        Action::CompleteMedia(id) => media::complete(id).await,
        Action::ReadTask(id) => tasks::read(id).await,
        Action::RetryTask(id) => tasks::retry(id, &head).await,
        Action::Live => Ok(json::empty(StatusCode::OK)),
        Action::AdmitToLive => live::admission(),
        Action::Sweep => sweep::sweep(&head).await,
    }
}

/// What the router calls this request, so that an error leads to the log.
fn request_id(request: &Request) -> Option<String> {
    let id = request.headers().get("x-request-id")?;
    id.to_str().ok().map(str::to_owned)
}
