//! `functions/api`: the HTTP API for clients, the health check, and the sweep.
//!
//! | route | action |
//! |---|---|
//! | `GET /health`, `GET /api/health` | `{"status":"ok"}`: the function runs; no dependency is checked |
//! | `POST /api/description` | stores `{"text"}`, responds with `{"id","text","created_at"}` |
//! | `GET /api/description?limit=` | the newest descriptions, newest first |
//! | `GET /api/description/latest` | the newest description |
//! | `POST /api/media` | JSON: announces an upload; any other content type: takes the body as a file |
//! | `GET /api/media?limit=&cursor=&kind=&state=` | media items, newest first |
//! | `GET /api/media/{id}?include=position` | one media item, with variants, metadata and tasks |
//! | `DELETE /api/media/{id}` | deletes it |
//! | `POST /api/media/{id}/complete` | the file is uploaded: begins processing |
//! | `GET /api/tasks/{id}`, `POST /api/tasks/{id}/retry` | a task; another attempt at a failed one |
//! | `GET /api/live` | changes as server-sent events |
//! | `GET /internal/live/admission` | admits a client to the live feed; called by the router |
//! | `POST /jobs/sweep` | repairs, called by a schedule |
//!
//! Responses are JSON (or events), errors problem documents; no cache may store them. State is in Postgres,
//! files are in S3: an instance holds nothing between requests.
//!
//! Every handler returns [`tirage_guest::Error`]: a problem that refuses the request, an unavailable
//! service (503, to be repeated), or an internal fault (500, logged). The worker's error type has the same
//! shape and adds the failure of a file.

mod cleanup;
mod description;
mod descriptions;
mod idempotency;
mod live;
mod media;
mod queue;
mod routes;
mod sweep;
mod tasks;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Either;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use tirage_guest::database::{BUILT_IN_WORKSPACE_ID, Database, Scope};
use tirage_guest::{Error, json};
use tirage_problem::{Kind, Problem};

use crate::description::{Limit, NewDescription, Text};
use crate::idempotency::IdempotencyKey;
use crate::routes::Action;

#[http_service]
async fn handle(request: Request) -> Response<Either<FullBody<Bytes>, live::Events>> {
    let is_head = request.method() == Method::HEAD;
    let request_id = tirage_guest::request_id(request.headers());
    let result = match routes::find(request.method(), request.uri().path()) {
        Ok(Action::Live) if !is_head => match live::follow(&request.into_parts().0).await {
            Ok(events) => return events.map(Either::Right),
            Err(error) => Err(error),
        },
        Ok(action) => run(action, request).await,
        Err(problem) => Err(problem.into()),
    };
    tirage_guest::respond(result, request_id.as_deref())
        .map(|body| Either::Left(FullBody::new(if is_head { Bytes::new() } else { body })))
}

async fn run(action: Action, request: Request) -> Result<Response<Bytes>, Error> {
    let (head, body) = request.into_parts();
    match action {
        Action::Health => json::response(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
        Action::CreateDescription => {
            let new: NewDescription = json::read(&head.headers, body).await?;
            let text = Text::parse(&new.text)?;
            let key = IdempotencyKey::of(&head, text.as_str().as_bytes())?;
            let database = workspace_database().await?;
            let description = descriptions::add(&database, &text, key.as_ref()).await?;
            json::response(StatusCode::OK, &description)
        }
        Action::ListDescriptions => {
            let limit = Limit::parse(head.uri.query())?;
            let newest = descriptions::newest(&workspace_database().await?, limit).await?;
            json::response(StatusCode::OK, &newest)
        }
        Action::LatestDescription => {
            let newest = descriptions::newest(&workspace_database().await?, Limit::ONE).await?;
            match newest.first() {
                Some(latest) => json::response(StatusCode::OK, latest),
                None => Err(Problem::new(Kind::NOT_FOUND)
                    .detail("No description found")
                    .into()),
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

/// The database in the scope of the client's workspace.
async fn workspace_database() -> Result<Database, Error> {
    Database::open(Scope::Workspace(BUILT_IN_WORKSPACE_ID)).await
}
