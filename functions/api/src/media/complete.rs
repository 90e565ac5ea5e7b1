//! `POST /api/media/{id}/complete`: the client has uploaded the file; processing begins.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use tirage_guest::database::{BUILT_IN_WORKSPACE, BUILT_IN_WORKSPACE_ID, Database};
use tirage_guest::store::ObjectStore;
use tirage_guest::{Error, Service, json};
use tirage_problem::{Kind, Problem};
use tirage_s3::ObjectInfo;
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::signature::{START_LENGTH, Signature};
use super::{MediaItem, State, original};
use crate::{tasks, workspace_database};

/// Verifies the stored file and responds 202 with the media item and its task, or with its failure if no
/// step reads the format. May be repeated: a completed item stays as it is, and one that failed because no
/// step read its format is examined again, since a step may have been added.
///
/// # Errors
/// 404; 409 if the store holds no file, or another one than announced; 503 and 500.
pub(crate) async fn complete(id: Uuid) -> Result<Response<Bytes>, Error> {
    let database = workspace_database().await?;
    let store = ObjectStore::open().await?;
    let mut item = MediaItem::find(&database, &store, id).await?;
    let has_no_task = item.state == State::Failed && item.tasks.is_empty();
    if item.state == State::Uploading || has_no_task {
        let signature = match store.head(&original(id)).await? {
            Some(stored) => verify(&store, &item, &stored).await?,
            None => {
                return Err(Problem::new(Kind::CONFLICT)
                    .detail("Nothing has been uploaded yet")
                    .into());
            }
        };
        begin(&database, id, signature, None).await?;
        item = MediaItem::find(&database, &store, id).await?;
    }
    publish(&database, &item).await;
    respond(StatusCode::ACCEPTED, item)
}

/// Finishes an upload that its client abandoned: completes it if the file is whole, else deletes it.
///
/// # Errors
/// 503 and 500.
pub(crate) async fn finish_upload(
    database: &Database,
    store: &ObjectStore,
    id: Uuid,
) -> Result<(), Error> {
    let item = MediaItem::find(database, store, id).await?;
    let key = original(id);
    let Some(stored) = store.head(&key).await? else {
        // A 404 to HEAD has no body, so it may mean a missing bucket, or come from a proxy. A list proves
        // that the object is missing: a wrong setting must delete nothing.
        let listed = store.list(BUILT_IN_WORKSPACE_ID, id).await?;
        return match listed.contains(&key) {
            false => delete_upload(database, id).await,
            true => Err(Error::unavailable(
                Service::ObjectStore,
                format!("{key} is listed but not found"),
            )),
        };
    };
    match verify(store, &item, &stored).await {
        Ok(signature) => begin(database, id, signature, None).await,
        Err(error) if error.refusal() == Some(Kind::CONFLICT) => delete_upload(database, id).await,
        Err(error) => Err(error),
    }
}

async fn delete_upload(database: &Database, id: Uuid) -> Result<(), Error> {
    // A repeated announcement may have extended the time meanwhile. An upload that began before its URL
    // expired may still arrive: the row stays for an hour, so that the sweep looks again.
    let statement = Statement::new(
        "update media set state = 'deleting', cleanup_due_at = now(), \
           cleanup_until = now() + interval '1 hour' \
         where id = $1 and state = 'uploading' and upload_expires_at < now()",
    )
    .bind(id.to_string());
    database.run(statement).await?;
    Ok(())
}

/// Compares the stored file with the announcement and reads its first bytes.
///
/// # Errors
/// 409 if size or hash differ; the store's errors.
async fn verify(
    store: &ObjectStore,
    item: &MediaItem,
    stored: &ObjectInfo,
) -> Result<Signature, Error> {
    if i64::try_from(stored.size) != Ok(item.size) {
        return Err(Problem::new(Kind::CONFLICT)
            .detail(format!(
                "{} bytes were uploaded, {} announced",
                stored.size, item.size
            ))
            .into());
    }
    if let (Some(stored), Some(announced)) = (&stored.sha256, &item.sha256)
        && hex::encode(stored) != *announced
    {
        return Err(Problem::new(Kind::CONFLICT)
            .detail("The uploaded file has another SHA-256 than announced")
            .into());
    }
    let start = store.start(&original(item.id), START_LENGTH).await?;
    Ok(Signature::of(&start.unwrap_or_default()))
}

/// Inserts the task that the file's format needs, or fails the media item if no step reads the format.
/// Each is one statement, so no item is ever `processing` without a task.
///
/// # Errors
/// The database's.
pub(super) async fn begin(
    database: &Database,
    id: Uuid,
    signature: Signature,
    sha256: Option<String>,
) -> Result<(), Error> {
    let bind = |text: String| {
        Statement::new(text)
            .bind(BUILT_IN_WORKSPACE)
            .bind(id.to_string())
            .bind(signature.kind.as_str())
            .bind(signature.content_type)
            .bind(sha256)
    };
    const SET: &str = "kind = $3, content_type = $4, sha256 = coalesce($5, sha256)";
    // A failed item without a task is one whose format no step could read so far.
    const WHERE: &str = "workspace_id = $1 and id = $2 and (state = 'uploading' or (state = 'failed' \
         and not exists (select from task where task.media_id = media.id)))";
    let statement = match signature.task() {
        Ok(task) => bind(format!(
            "with media as (update media set state = 'processing', failure = null, \
               finished_at = null, {SET} where {WHERE} returning id, workspace_id) \
             insert into task (id, workspace_id, media_id, kind) \
               select $6::uuid, workspace_id, id, $7 from media"
        ))
        .bind(Uuid::now_v7().to_string())
        .bind(task.as_str()),
        Err(problem) => bind(format!(
            "update media set state = 'failed', failure = $6::jsonb, finished_at = now(), {SET} \
             where {WHERE}"
        ))
        .bind(problem.to_document().to_string()),
    };
    database.run(statement).await?;
    Ok(())
}

/// Sends the message of the item's task, unless it is sent already or there is no task.
pub(super) async fn publish(database: &Database, item: &MediaItem) {
    if let Some(task) = item.unsent_task() {
        tasks::publish(database, task).await;
    }
}

/// Responds with the media item and its address.
pub(super) fn respond(status: StatusCode, item: MediaItem) -> Result<Response<Bytes>, Error> {
    let location = format!("/api/media/{}", item.id);
    let mut response = json::response(status, &item.without_position())?;
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
