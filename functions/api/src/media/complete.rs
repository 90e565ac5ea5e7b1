//! `POST /api/media/{id}/complete`: the bytes are there; let the work begin.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use tirage_problem::{Kind, Problem};
use tirage_s3::ObjectInfo;
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::new::hexadecimal;
use super::signature::{LOOKED_AT, Signature};
use super::{Media, ORIGINAL, State, key};
use crate::database::{BUILT_IN_WORKSPACE, BUILT_IN_WORKSPACE_ID, Database};
use crate::json;
use crate::storage::Storage;
use crate::tasks;

/// Looks at what was stored, and answers 202 with the media and its tasks. What is complete already is
/// answered the same: asking twice does no harm.
///
/// # Errors
/// 404; 409 while there is nothing in storage, or something else than was announced; 503 and 500.
pub(crate) async fn complete(id: Uuid) -> Result<Response<Bytes>, Problem> {
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let storage = Storage::open().await?;
    let mut media = Media::find(&database, &storage, id).await?;
    if media.state == State::Uploading {
        let signature = check(&storage, &media).await?;
        begin(&database, id, signature, None).await?;
        media = Media::find(&database, &storage, id).await?;
    }
    if let Some(task) = media.unsent_task() {
        tasks::tell(&database, task).await;
    }
    answer(StatusCode::ACCEPTED, media)
}

/// An upload whose client is gone: complete it if the bytes are all there, else delete it.
///
/// # Errors
/// 503 and 500.
pub(crate) async fn finish_upload(
    database: &Database,
    storage: &Storage,
    id: Uuid,
) -> Result<(), Problem> {
    let media = Media::find(database, storage, id).await?;
    let original = key(id, ORIGINAL)?;
    let Some(stored) = storage.look(&original).await? else {
        // That answer has no body, so it may mean that there is no such bucket, or be a proxy's. A list
        // tells: nothing is deleted because of a setting that is wrong for a while.
        let listed = storage.list(BUILT_IN_WORKSPACE_ID, id).await?;
        return match listed.contains(&original) {
            false => give_up(database, id).await,
            true => Err(Problem::new(Kind::UNAVAILABLE)
                .detail("The object store lists what it says it doesn't have")),
        };
    };
    match inspect(storage, &media, &stored).await {
        Ok(signature) => begin(database, id, signature, None).await,
        Err(problem) if problem.kind() == Kind::CONFLICT => give_up(database, id).await,
        Err(problem) => Err(problem),
    }
}

async fn give_up(database: &Database, id: Uuid) -> Result<(), Problem> {
    // The announcement may have come again meanwhile, which moves the time. What was begun before that
    // may still arrive: the row stays so long, for the sweep to look again.
    let statement = Statement::new(
        "update media set state = 'deleting', cleanup_due_at = now(), \
           cleanup_until = now() + interval '1 hour' \
         where id = $1 and state = 'uploading' and upload_expires_at < now()",
    )
    .bind(id.to_string());
    database.run(statement).await.map(drop)
}

/// The media, and where to look for news of it.
pub(super) fn answer(status: StatusCode, media: Media) -> Result<Response<Bytes>, Problem> {
    let location = format!("/api/media/{}", media.id);
    let mut response = json::answer(status, &media.without_position())?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Whether what is stored is what was announced, and what it is.
async fn check(storage: &Storage, media: &Media) -> Result<Signature, Problem> {
    match storage.look(&key(media.id, ORIGINAL)?).await? {
        Some(stored) => inspect(storage, media, &stored).await,
        None => Err(Problem::new(Kind::CONFLICT).detail("Nothing has been uploaded yet")),
    }
}

async fn inspect(
    storage: &Storage,
    media: &Media,
    stored: &ObjectInfo,
) -> Result<Signature, Problem> {
    if i64::try_from(stored.size) != Ok(media.size) {
        return Err(Problem::new(Kind::CONFLICT).detail(format!(
            "{} bytes were uploaded, {} announced",
            stored.size, media.size
        )));
    }
    if let (Some(stored), Some(announced)) = (&stored.sha256, &media.sha256)
        && hexadecimal(stored) != *announced
    {
        return Err(Problem::new(Kind::CONFLICT).detail("Other bytes were uploaded than announced"));
    }
    let start = storage.start(&key(media.id, ORIGINAL)?, LOOKED_AT).await?;
    Ok(Signature::of(&start))
}

/// Makes the media's task, unless there is one. One statement: there is no moment in which the media is
/// being processed and has no task.
///
/// # Errors
/// 503 and 500.
pub(super) async fn begin(
    database: &Database,
    id: Uuid,
    signature: Signature,
    sha256: Option<String>,
) -> Result<(), Problem> {
    let statement = Statement::new(
        "with media as (update media set state = 'processing', kind = $3, content_type = $4, \
           sha256 = coalesce($5, sha256) where workspace_id = $1 and id = $2 and state = 'uploading' \
           returning id, workspace_id) \
         insert into task (id, workspace_id, media_id, kind) \
           select $6::uuid, workspace_id, id, 'photo' from media",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(id.to_string())
    .bind(signature.kind)
    .bind(signature.content_type)
    .bind(sha256)
    .bind(Uuid::now_v7().to_string());
    database.run(statement).await.map(drop)
}
