//! `DELETE /api/media/{id}`: deletes rows immediately, objects immediately or by the sweep.

use bytes::Bytes;
use http::{Response, StatusCode};
use tirage_guest::database::BUILT_IN_WORKSPACE;
use tirage_guest::store::ObjectStore;
use tirage_guest::{Error, json};
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use crate::cleanup::{self, Remains};
use crate::workspace_database;

/// Responds 204 as soon as no client can see the media item.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn remove(id: Uuid) -> Result<Response<Bytes>, Error> {
    let database = workspace_database().await?;
    let scoped = |text: &str| {
        Statement::new(text)
            .bind(BUILT_IN_WORKSPACE)
            .bind(id.to_string())
    };
    // Objects may arrive until the upload URL has expired and the last worker has given up. The row stays
    // that long, so that the sweep looks again.
    let [updated, _, _] = database
        .run_all([
            scoped(
                "update media set state = 'deleting', position = null, cleanup_due_at = now(), \
                   cleanup_until = greatest(upload_expires_at, now()) + interval '1 hour' \
                   where workspace_id = $1 and id = $2 and state <> 'deleting'",
            ),
            scoped("delete from variant where workspace_id = $1 and media_id = $2"),
            scoped("delete from task where workspace_id = $1 and media_id = $2"),
        ])
        .await?;
    if updated.affected() == Some(0) {
        return Err(Problem::new(Kind::NOT_FOUND)
            .detail("There is no such media item")
            .into());
    }
    let cleaned = async {
        let store = ObjectStore::open().await?;
        cleanup::clean(&database, &store, &Remains::of_deleted(id)).await
    };
    if let Err(error) = cleaned.await {
        eprintln!("the sweep will delete the objects of media item {id}: {error}");
    }
    Ok(json::empty(StatusCode::NO_CONTENT))
}
