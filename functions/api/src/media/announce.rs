//! `POST /api/media` with JSON: announces an upload that goes straight to the object store.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tirage_guest::database::{BUILT_IN_WORKSPACE, Database};
use tirage_guest::store::ObjectStore;
use tirage_guest::{Error, json, settings};
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::announcement::{Announcement, AnnouncementBody};
use super::{MediaItem, State, original};
use crate::idempotency::IdempotencyKey;
use crate::workspace_database;

/// Validity of an upload URL. Storage refuses a URL from the future or the past, so clocks may differ by
/// less than this.
const UPLOAD_TIME: SignedDuration = SignedDuration::from_mins(15);

#[derive(Serialize)]
struct Announced {
    media: MediaItem,
    /// Absent if the workspace has this content already.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
}

/// A presigned upload.
#[derive(Debug, Serialize)]
struct Upload {
    method: String,
    url: String,
    /// Headers that the client must send unchanged, because they are signed.
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

/// Responds 201 with a new media item and its presigned upload, or 200 with the media item that has this
/// content already.
///
/// # Errors
/// 400 and 413 for an invalid announcement; 422 for an idempotency key of another request; 503 and 500.
pub(crate) async fn announce(head: &Parts, body: &[u8]) -> Result<Response<Bytes>, Error> {
    let body_fields: AnnouncementBody = json::parse(body)?;
    let announcement =
        Announcement::parse(body_fields, settings::parsed("upload_max_bytes").await?)?;
    let database = workspace_database().await?;
    let store = ObjectStore::open().await?;
    let key = IdempotencyKey::of(head, body)?;
    let repeated = match &key {
        Some(key) => key.subject(&database).await?,
        None => None,
    };
    let id = match repeated {
        Some(id) => {
            extend(&database, id).await?;
            id
        }
        None => {
            if let Some(sha256) = announcement.sha256
                && let Some(item) =
                    MediaItem::with_content(&database, &store, &hex::encode(sha256)).await?
            {
                let known = Announced {
                    media: item.without_position(),
                    upload: None,
                };
                return json::response(StatusCode::OK, &known);
            }
            insert(&database, &announcement, key.as_ref()).await?
        }
    };
    let media = MediaItem::find(&database, &store, id)
        .await?
        .without_position();
    // A request repeated after the upload gets no second one.
    let upload = match media.state {
        State::Uploading => Some(presign(&store, id, &announcement)?),
        _ => None,
    };
    json::response(StatusCode::CREATED, &Announced { media, upload })
}

/// Inserts a media item in the state `uploading`. Returns its id, or the id that the same request
/// inserted before.
///
/// # Errors
/// 422 as [`IdempotencyKey::subject`]; the database's errors.
pub(super) async fn insert(
    database: &Database,
    announcement: &Announcement,
    key: Option<&IdempotencyKey>,
) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    let statement = Statement::new(
        "insert into media (id, workspace_id, kind, content_type, filename, size_bytes, sha256, \
           upload_expires_at) values ($1, $2, 'other', $3, $4, $5, $6, $7)",
    )
    .bind(id.to_string())
    .bind(BUILT_IN_WORKSPACE)
    .bind(announcement.content_type.as_str())
    .bind(announcement.filename.as_str())
    .bind(i64::try_from(announcement.size).map_err(Error::internal)?)
    .bind(announcement.sha256.map(hex::encode))
    .bind(Timestamp::now() + UPLOAD_TIME);
    match database
        .run_all([IdempotencyKey::insert(key, id), statement])
        .await
    {
        Ok(_) => Ok(id),
        // The same request arrived twice at the same moment.
        Err(error) if IdempotencyKey::is_taken(&error) => {
            let first = match key {
                Some(key) => key.subject(database).await?,
                None => None,
            };
            first.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Extends the time for the upload. Must precede signing a URL, so that the sweep never deletes an item
/// while a client holds a valid URL.
///
/// # Errors
/// The database's.
pub(super) async fn extend(database: &Database, id: Uuid) -> Result<(), Error> {
    let statement = Statement::new(
        "update media set upload_expires_at = greatest(upload_expires_at, $3) \
         where workspace_id = $1 and id = $2 and state = 'uploading'",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(id.to_string())
    .bind(Timestamp::now() + UPLOAD_TIME);
    database.run(statement).await?;
    Ok(())
}

fn presign(store: &ObjectStore, id: Uuid, announcement: &Announcement) -> Result<Upload, Error> {
    let presigned = store.presign_put(
        &original(id),
        &announcement.content_type,
        announcement.size,
        announcement.sha256,
        UPLOAD_TIME.unsigned_abs(),
    )?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Upload {
        method: presigned.method.to_string(),
        url: presigned.url,
        headers: presigned
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        expires_at: presigned.expires_at,
    })
}
