//! `DELETE /api/media/{id}`: the rows at once, the objects now or by the sweep.

use bytes::Bytes;
use http::{Response, StatusCode};
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use crate::cleanup::{self, Remains};
use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::json;
use crate::storage::Storage;

/// 204 as soon as nobody can see it any more.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn remove(id: Uuid) -> Result<Response<Bytes>, Problem> {
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let scoped = |text: &str| {
        Statement::new(text)
            .bind(BUILT_IN_WORKSPACE)
            .bind(id.to_string())
    };
    // Until the last promised upload has run out and the last worker has given up, objects may still
    // arrive: the row stays that long, so that the sweep looks again.
    let [gone, _, _] = database
        .run_all([
            scoped(
                "update media set state = 'deleting', position = null, cleanup_due_at = now(), \
                   cleanup_until = greatest(upload_expires_at, now()) + interval '1 hour' \
                   where workspace_id = $1 and id = $2 and state <> 'deleting'",
            ),
            scoped("delete from variant where workspace_id = $1 and media_id = $2"),
            scoped("delete from task where workspace_id = $1 and media_id = $2"),
        ])
        .await
        .map_err(database::problem)?;
    if gone.affected() == Some(0) {
        return Err(Problem::new(Kind::NOT_FOUND).detail("There is no such media"));
    }
    let cleaned = async {
        let storage = Storage::open().await?;
        cleanup::clean(&database, &storage, &Remains::of_deleted(id)).await
    };
    if let Err(problem) = cleaned.await {
        eprintln!("objects of media {id} wait for the sweep: {problem}");
    }
    Ok(json::empty(StatusCode::NO_CONTENT))
}
