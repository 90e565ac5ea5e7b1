//! `POST /jobs/sweep`: picks up what fell down. A schedule calls it, every minute or so.
//!
//! Each part finds what some process left half-way when it died, and brings it to a state that is
//! true. All of them may be done twice, or by two at once.
//!
//! | found | then |
//! |---|---|
//! | a lease that has run out | the task waits again; after too many leases it has failed |
//! | a task that waits, and whose message was never sent or must be lost | its message is sent |
//! | an upload that nobody completed | completed if the bytes are there, else deleted |
//! | objects that no row points at | deleted |
//! | changes and idempotency keys of yesterday | forgotten |

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;
use tirage_jobs::{SCHEDULE_HEADER, Secret};
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Json, Rows, Statement};

use crate::cleanup::{self, Remains};
use crate::database::{self, Database};
use crate::json;
use crate::media;
use crate::settings;
use crate::storage::Storage;
use crate::tasks::{self, Task};

/// How many of each are looked at in one go; the next sweep goes on.
const AT_ONCE: i64 = 200;

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
struct Swept {
    /// Leases that had run out.
    released: u64,
    /// Tasks that were given up.
    given_up: u64,
    /// Messages that were sent.
    sent: u64,
    /// Uploads that were completed or deleted.
    uploads: u64,
    /// Media whose objects were looked through.
    cleaned: u64,
    /// What could not be done now, and is left for the next sweep.
    postponed: u64,
}

/// Answers 200 with what was done, 503 if there is more that could not be done now.
///
/// # Errors
/// 403 without the right MAC; 503 and 500.
pub(crate) async fn sweep(head: &Parts) -> Result<Response<Bytes>, Problem> {
    admit(head).await?;
    let database = Database::of_all().await?;
    let storage = Storage::open().await?;
    let mut swept = Swept::default();
    give_up(&database, &mut swept).await?;
    release(&database, &mut swept).await?;
    send(&database, &mut swept).await?;
    finish_uploads(&database, &storage, &mut swept).await?;
    clean(&database, &storage, &mut swept).await?;
    forget(&database).await?;
    json::answer(StatusCode::OK, &swept)
}

async fn admit(head: &Parts) -> Result<(), Problem> {
    let secret =
        Secret::new(&settings::required("job_secret").await?).map_err(settings::internal)?;
    let mac = head.headers.get(SCHEDULE_HEADER);
    match mac.is_some_and(|mac| secret.is_schedule_mac(head.uri.path(), mac.as_bytes())) {
        true => Ok(()),
        false => Err(Problem::new(Kind::FORBIDDEN)),
    }
}

/// Tasks that workers died of, again and again.
async fn give_up(database: &Database, swept: &mut Swept) -> Result<(), Problem> {
    let statement = Statement::new(
        "with task as (update task set state = 'failed', leased_until = null, finished_at = now(), \
           failure = $1::jsonb where state = 'running' and leased_until < now() and claims >= $2 \
           returning media_id) \
         update media set state = 'failed', finished_at = now(), failure = $1::jsonb, \
           cleanup_due_at = now() from task where media.id = task.media_id and state = 'processing'",
    )
    .bind(
        r#"{"type":"urn:tirage:problem:gave-up","title":"Gave up","status":500,"detail":"Several workers took this on and none of them came back. It can be retried."}"#,
    )
    .bind(settings::parsed::<i32>("task_max_claims").await?);
    swept.given_up = count(&database.run(statement).await?);
    Ok(())
}

async fn release(database: &Database, swept: &mut Swept) -> Result<(), Problem> {
    let statement = Statement::new(
        "update task set state = 'queued', leased_until = null, sent_at = null, queued_at = now() \
         where state = 'running' and leased_until < now()",
    );
    swept.released = count(&database.run(statement).await?);
    Ok(())
}

/// A message that was sent and not acted on for so long is not in the queue any more, or is dead.
async fn send(database: &Database, swept: &mut Swept) -> Result<(), Problem> {
    let statement = Statement::new(
        "select to_jsonb(task) as task from task where state = 'queued' and \
           (sent_at < now() - make_interval(secs => $1) \
            or (sent_at is null and queued_at < now() - make_interval(secs => $2))) \
         order by queued_at limit $3",
    )
    .bind(settings::parsed::<f64>("resend_after_seconds").await?)
    .bind(settings::parsed::<f64>("send_after_seconds").await?)
    .bind(AT_ONCE);
    for row in database.run(statement).await?.iter() {
        let Json(task) = row.get::<Json<Task>>("task").map_err(database::problem)?;
        match tasks::send(database, &task).await {
            Ok(()) => swept.sent += 1,
            Err(problem) => {
                eprintln!("task {} cannot be sent: {problem}", task.id);
                swept.postponed += 1;
                // If the queue is down, it is so for the others, too.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whoever wanted to complete them is gone.
async fn finish_uploads(
    database: &Database,
    storage: &Storage,
    swept: &mut Swept,
) -> Result<(), Problem> {
    let statement = Statement::new(
        "select id from media where state = 'uploading' \
           and upload_expires_at < now() - make_interval(secs => $1) order by id limit $2",
    )
    .bind(settings::parsed::<f64>("upload_grace_seconds").await?)
    .bind(AT_ONCE);
    for row in database.run(statement).await?.iter() {
        let id: String = row.get("id").map_err(database::problem)?;
        let id = id.parse().map_err(settings::internal)?;
        match media::finish_upload(database, storage, id).await {
            Ok(()) => swept.uploads += 1,
            Err(problem) => {
                eprintln!("upload of media {id} waits for the next sweep: {problem}");
                swept.postponed += 1;
            }
        }
    }
    Ok(())
}

async fn clean(database: &Database, storage: &Storage, swept: &mut Swept) -> Result<(), Problem> {
    let statement = Statement::new(format!(
        "select {} from media where cleanup_due_at <= now() order by cleanup_due_at limit $1",
        Remains::COLUMNS
    ))
    .bind(AT_ONCE);
    for row in database.run(statement).await?.iter() {
        match cleanup::clean(database, storage, &Remains::read(&row)?).await {
            Ok(()) => swept.cleaned += 1,
            Err(problem) => {
                eprintln!("objects wait for the next sweep: {problem}");
                swept.postponed += 1;
            }
        }
    }
    Ok(())
}

async fn forget(database: &Database) -> Result<(), Problem> {
    database
        .run_all([
            Statement::new("delete from change where created_at < now() - interval '1 day'"),
            Statement::new("delete from idempotency where created_at < now() - interval '1 day'"),
        ])
        .await
        .map(drop)
        .map_err(database::problem)
}

fn count(rows: &Rows) -> u64 {
    rows.affected().unwrap_or_default()
}
