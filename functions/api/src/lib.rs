//! What clients call: `/api/…`, and the health of the service.
//!
//! | route | answers |
//! |---|---|
//! | `GET /health`, `GET /api/health` | `{"status":"ok"}`: the function runs; it asks nobody else |
//! | `POST /api/description` | stores `{"text"}`, gives `{"id","text","created_at"}` |
//! | `GET /api/description?limit=` | the newest ones, newest first |
//! | `GET /api/description/latest` | the newest one |
//!
//! Every answer is JSON, every error a problem document, and none may be kept by a cache. State is in
//! Postgres, reached over HTTP: an instance holds nothing between requests.

mod description;
mod json;
mod routes;
mod store;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use tirage_problem::{Kind, Problem};

use crate::description::{Limit, NewDescription, Text};
use crate::routes::Action;
use crate::store::Store;

#[http_service]
async fn handle(request: Request) -> Response<FullBody<Bytes>> {
    let is_head = request.method() == Method::HEAD;
    let request_id = request_id(&request);
    let mut response = answer(request)
        .await
        .unwrap_or_else(|problem| problem.into_response(request_id.as_deref()));
    let length = response.body().len();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.map(|body| FullBody::new(if is_head { Bytes::new() } else { body }))
}

async fn answer(request: Request) -> Result<Response<Bytes>, Problem> {
    let (head, body) = request.into_parts();
    match routes::find(&head.method, head.uri.path())? {
        Action::Health => json::answer(&serde_json::json!({ "status": "ok" })),
        Action::CreateDescription => {
            let new: NewDescription = json::read(&head.headers, body).await?;
            let text = Text::parse(&new.text)?;
            json::answer(&Store::open().await?.add(&text).await?)
        }
        Action::ListDescriptions => {
            let limit = Limit::parse(head.uri.query())?;
            json::answer(&Store::open().await?.newest(limit).await?)
        }
        Action::LatestDescription => match Store::open().await?.newest(Limit::ONE).await?.first() {
            Some(latest) => json::answer(latest),
            None => Err(Problem::new(Kind::NOT_FOUND).detail("No description found")),
        },
    }
}

/// What the router calls this request, so that an error leads to the log.
fn request_id(request: &Request) -> Option<String> {
    let id = request.headers().get("x-request-id")?;
    id.to_str().ok().map(str::to_owned)
}
