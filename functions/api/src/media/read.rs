//! `GET /api/media/{id}`: one media item.

use bytes::Bytes;
use http::{Response, StatusCode};
use tirage_guest::store::ObjectStore;
use tirage_guest::{Error, json};
use uuid::Uuid;

use super::MediaItem;
use crate::workspace_database;

/// Responds with the media item; with its position only for `?include=position`.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn read(id: Uuid, query: Option<&str>) -> Result<Response<Bytes>, Error> {
    let includes_position = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "include" && value == "position");
    let database = workspace_database().await?;
    let item = MediaItem::find(&database, &ObjectStore::open().await?, id).await?;
    let item = match includes_position {
        true => item,
        false => item.without_position(),
    };
    json::response(StatusCode::OK, &item)
}
