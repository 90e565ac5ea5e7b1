//! `POST /api/media` with JSON: says where a file may be put, straight into storage.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tirage_problem::Problem;
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::new::{Announced, NewMedia, hexadecimal};
use super::{Media, ORIGINAL, key};
use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::idempotency::IdempotencyKey;
use crate::json;
use crate::settings;
use crate::storage::{Storage, Upload};

/// How long a file may be put where it was promised to go. No longer than the clocks of clients and
/// storage may differ, since a URL that is not valid yet or any more is refused.
pub(super) const UPLOAD_TIME: SignedDuration = SignedDuration::from_mins(15);

#[derive(Serialize)]
struct Announcement {
    media: Media,
    /// Absent where the workspace has these bytes already.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
}

/// 201 with the media and where to put its bytes; 200 with the media that has them already.
///
/// # Errors
/// 400 and 413 for what can't be announced; 422 for an idempotency key that was used; 503 and 500.
pub(crate) async fn announce(head: &Parts, body: &[u8]) -> Result<Response<Bytes>, Problem> {
    let announced: Announced = json::parse(body)?;
    let new = NewMedia::parse(announced, settings::parsed("upload_max_bytes").await?)?;
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let storage = Storage::open().await?;
    let key = IdempotencyKey::of(head, body)?;
    let again = match &key {
        Some(key) => key.subject(&database).await?,
        None => None,
    };
    let id = match again {
        Some(id) => {
            extend(&database, id).await?;
            id
        }
        None => {
            if let Some(sha256) = new.sha256
                && let Some(media) =
                    Media::with_content(&database, &storage, &hexadecimal(&sha256)).await?
            {
                let media = media.without_position();
                let known = Announcement {
                    media,
                    upload: None,
                };
                return json::answer(StatusCode::OK, &known);
            }
            store(&database, &new, key.as_ref()).await?
        }
    };
    let media = Media::find(&database, &storage, id)
        .await?
        .without_position();
    // A request that comes again after the file has arrived has nowhere to put it any more.
    let upload = match media.state {
        super::State::Uploading => Some(promise(&storage, id, &new)?),
        _ => None,
    };
    json::answer(StatusCode::CREATED, &Announcement { media, upload })
}

/// Stores a media whose bytes are awaited; its id.
///
/// # Errors
/// 503 and 500; 422 as [`IdempotencyKey::subject`].
pub(super) async fn store(
    database: &Database,
    new: &NewMedia,
    key: Option<&IdempotencyKey>,
) -> Result<Uuid, Problem> {
    let id = Uuid::now_v7();
    let statement = Statement::new(
        "insert into media (id, workspace_id, kind, content_type, filename, size_bytes, sha256, \
           upload_expires_at) values ($1, $2, 'other', $3, $4, $5, $6, $7)",
    )
    .bind(id.to_string())
    .bind(BUILT_IN_WORKSPACE)
    .bind(new.content_type.as_str())
    .bind(new.filename.as_str())
    .bind(i64::try_from(new.size).map_err(settings::internal)?)
    .bind(new.sha256.map(|digest| hexadecimal(&digest)))
    .bind(Timestamp::now() + UPLOAD_TIME);
    match database
        .run_all([IdempotencyKey::store(key, id), statement])
        .await
    {
        Ok(_) => Ok(id),
        // The same request, at the same moment.
        Err(error) if IdempotencyKey::is_taken(&error) => {
            let first = match key {
                Some(key) => key.subject(database).await?,
                None => None,
            };
            first.ok_or_else(|| database::problem(error))
        }
        Err(error) => Err(database::problem(error)),
    }
}

/// Awaits the bytes for as long as a URL that is signed now. Before it is signed, so that the sweep
/// never deletes what somebody has just been asked to upload.
///
/// # Errors
/// 503 and 500.
pub(super) async fn extend(database: &Database, id: Uuid) -> Result<(), Problem> {
    let statement = Statement::new(
        "update media set upload_expires_at = greatest(upload_expires_at, $3) \
         where workspace_id = $1 and id = $2 and state = 'uploading'",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(id.to_string())
    .bind(Timestamp::now() + UPLOAD_TIME);
    database.run(statement).await.map(drop)
}

fn promise(storage: &Storage, id: Uuid, new: &NewMedia) -> Result<Upload, Problem> {
    storage.writable(
        &key(id, ORIGINAL)?,
        &new.content_type,
        new.size,
        new.sha256,
        UPLOAD_TIME,
    )
}
