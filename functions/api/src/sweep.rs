//! `POST /jobs/sweep`: repairs what a crashed process left unfinished. A schedule calls it about every minute.
//!
//! Each part is idempotent and may run concurrently with other sweeps. A sweep stops after [`TIME`] and
//! leaves the rest to the next one, so the fast parts, which keep tables small, come first.
//!
//! | found | repair |
//! |---|---|
//! | changes and idempotency keys older than a day | deleted |
//! | an expired lease | the task is queued again; after too many claims it fails |
//! | a queued task whose message was not sent, or was lost | the message is sent |
//! | an upload that its client didn't complete | completed if the file is whole, else deleted |
//! | objects that no row points at | deleted |

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future;
use futures::stream::{self, Stream, StreamExt};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;
use tirage_guest::database::{self, Database, Scope};
use tirage_guest::store::ObjectStore;
use tirage_guest::timeout::within;
use tirage_guest::{Error, json, settings};
use tirage_jobs::{SCHEDULE_HEADER, Secret};
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Json, Rows, Statement};
use uuid::Uuid;

use crate::cleanup::{self, Remains};
use crate::media;
use crate::tasks::{self, Task};

/// Time limit of a sweep, shorter than the timeouts of its callers.
const TIME: Duration = Duration::from_secs(20);
/// Upper bound on the rows of each kind per sweep.
const BATCH: i64 = 200;
/// Rows processed concurrently, so that a slow one doesn't block the others.
const CONCURRENCY: usize = 8;
/// Upper bound on the rows deleted in one transaction, to keep transactions short.
const DELETE_BATCH: i64 = 10_000;

/// Result of a sweep.
#[derive(Debug, Default, Serialize)]
struct Swept {
    /// Expired leases.
    released: u64,
    /// Tasks that failed after too many claims.
    given_up: u64,
    /// Messages sent.
    sent: u64,
    /// Uploads completed or deleted.
    uploads: u64,
    /// Media items whose objects were checked.
    cleaned: u64,
    /// Repairs left to the next sweep.
    postponed: u64,
}

/// Runs a sweep and responds 200 with its result.
///
/// # Errors
/// 403 without the right MAC; 503 if the database is unavailable; 500.
pub(crate) async fn sweep(head: &Parts) -> Result<Response<Bytes>, Error> {
    authenticate(head).await?;
    let database = Database::open(Scope::Sweep).await?;
    let store = ObjectStore::open().await?;
    let deadline = Deadline(Instant::now() + TIME);
    let mut swept = Swept::default();
    // Half of the time at most, so that the other parts always run.
    delete_old_rows(&database, Deadline(Instant::now() + TIME / 2)).await?;
    give_up(&database, &mut swept).await?;
    release(&database, &mut swept).await?;
    send(&database, deadline, &mut swept).await?;
    finish_uploads(&database, &store, deadline, &mut swept).await?;
    clean(&database, &store, deadline, &mut swept).await?;
    json::response(StatusCode::OK, &swept)
}

async fn authenticate(head: &Parts) -> Result<(), Error> {
    let secret = settings::variable("job_secret").await?;
    let secret = Secret::new(&secret).map_err(Error::internal)?;
    let mac = head.headers.get(SCHEDULE_HEADER);
    match mac.is_some_and(|mac| secret.is_schedule_mac(head.uri.path(), mac.as_bytes())) {
        true => Ok(()),
        false => Err(Problem::new(Kind::FORBIDDEN).into()),
    }
}

/// Fails tasks whose workers disappeared again and again.
async fn give_up(database: &Database, swept: &mut Swept) -> Result<(), Error> {
    let failure = Problem::new(Kind::GAVE_UP).detail(
        "Several workers began to process this file and did not finish. The task can be retried.",
    );
    let statement = Statement::new(
        "with task as (update task set state = 'failed', leased_until = null, finished_at = now(), \
           failure = $1::jsonb where state = 'running' and leased_until < now() and claims >= $2 \
           returning media_id) \
         update media set state = 'failed', finished_at = now(), failure = $1::jsonb, \
           cleanup_due_at = now() from task where media.id = task.media_id and state = 'processing'",
    )
    .bind(failure.to_document().to_string())
    .bind(settings::parsed::<i32>("task_max_claims").await?);
    swept.given_up = count(&database.run(statement).await?);
    Ok(())
}

/// Queues tasks with expired leases again.
async fn release(database: &Database, swept: &mut Swept) -> Result<(), Error> {
    let statement = Statement::new(
        "update task set state = 'queued', leased_until = null, sent_at = null, queued_at = now() \
         where state = 'running' and leased_until < now()",
    );
    swept.released = count(&database.run(statement).await?);
    Ok(())
}

/// Sends the messages of queued tasks: those that were never sent, and those sent so long ago that they must
/// be lost or dead-lettered.
async fn send(database: &Database, deadline: Deadline, swept: &mut Swept) -> Result<(), Error> {
    let statement = Statement::new(
        "select to_jsonb(task) as task from task where state = 'queued' and \
           (sent_at < now() - make_interval(secs => $1) \
            or (sent_at is null and queued_at < now() - make_interval(secs => $2))) \
         order by queued_at limit $3",
    )
    .bind(settings::parsed::<f64>("resend_after_seconds").await?)
    .bind(settings::parsed::<f64>("send_after_seconds").await?)
    .bind(BATCH);
    let rows = database.run(statement).await?;
    let tasks = rows.iter().map(|row| {
        let Json(task) = row.get::<Json<Task>>("task")?;
        Ok(task)
    });
    let tasks = tasks.collect::<Result<Vec<_>, Error>>()?;
    let found = count_of(&tasks);
    let mut outcomes = pin!(deadline.each(tasks, |task: Task| async move {
        tasks::send(database, &task)
            .await
            .map_err(|error| format!("the message of task {} was not sent: {error}", task.id))
    }));
    let mut sent = 0;
    // If the queue is unavailable for one message, it is for all.
    while let Some(Ok(())) = outcomes.next().await {
        sent += 1;
    }
    swept.sent = sent;
    swept.postponed += found - sent;
    Ok(())
}

/// Completes or deletes expired uploads.
async fn finish_uploads(
    database: &Database,
    store: &ObjectStore,
    deadline: Deadline,
    swept: &mut Swept,
) -> Result<(), Error> {
    let statement = Statement::new(
        "select id from media where state = 'uploading' \
           and upload_expires_at < now() - make_interval(secs => $1) order by id limit $2",
    )
    .bind(settings::parsed::<f64>("upload_grace_seconds").await?)
    .bind(BATCH);
    let rows = database.run(statement).await?;
    let ids = rows.iter().map(|row| Ok(database::uuid(&row, "id")?));
    let ids = ids.collect::<Result<Vec<Uuid>, Error>>()?;
    let found = count_of(&ids);
    let outcomes = deadline.each(ids, |id| async move {
        media::finish_upload(database, store, id)
            .await
            .map_err(|error| format!("the upload of media item {id} was not finished: {error}"))
    });
    swept.uploads = successes(outcomes).await;
    swept.postponed += found - swept.uploads;
    Ok(())
}

/// Deletes objects without rows.
async fn clean(
    database: &Database,
    store: &ObjectStore,
    deadline: Deadline,
    swept: &mut Swept,
) -> Result<(), Error> {
    let statement = Statement::new(format!(
        "select {} from media where cleanup_due_at <= now() order by cleanup_due_at limit $1",
        Remains::COLUMNS
    ))
    .bind(BATCH);
    let rows = database.run(statement).await?;
    let remains = rows.iter().map(|row| Remains::from_row(&row));
    let remains = remains.collect::<Result<Vec<_>, Error>>()?;
    let found = count_of(&remains);
    let outcomes = deadline.each(remains, |remains| async move {
        cleanup::clean(database, store, &remains)
            .await
            .map_err(|error| format!("objects were not deleted: {error}"))
    });
    swept.cleaned = successes(outcomes).await;
    swept.postponed += found - swept.cleaned;
    Ok(())
}

/// Deletes old changes and idempotency keys. By `ctid`, the fastest way to delete a part of many rows.
async fn delete_old_rows(database: &Database, deadline: Deadline) -> Result<(), Error> {
    for table in ["change", "idempotency"] {
        let statement = Statement::new(format!(
            "delete from {table} where ctid = any(array(select ctid from {table} \
               where created_at < now() - interval '1 day' limit $1))"
        ))
        .bind(DELETE_BATCH);
        loop {
            let deleted = count(&database.run(statement.clone()).await?);
            if i64::try_from(deleted) != Ok(DELETE_BATCH) || deadline.is_over() {
                break;
            }
        }
    }
    Ok(())
}

/// End of a sweep.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

impl Deadline {
    fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// Applies `act` to each item, some concurrently, and yields the outcomes in order of completion. At the
    /// deadline, items in progress are aborted and the rest is skipped. Errors are logged.
    fn each<T, F>(self, items: Vec<T>, act: impl Fn(T) -> F) -> impl Stream<Item = Result<(), ()>>
    where
        F: Future<Output = Result<(), String>>,
    {
        stream::iter(items)
            .take_while(move |_| future::ready(!self.is_over()))
            .map(move |item| self.bound(act(item)))
            .buffer_unordered(CONCURRENCY)
    }

    async fn bound(self, work: impl Future<Output = Result<(), String>>) -> Result<(), ()> {
        let left = self.0.saturating_duration_since(Instant::now());
        within(left, work)
            .await
            .unwrap_or_else(|| Err("the sweep reached its deadline".to_owned()))
            .map_err(|error| eprintln!("left to the next sweep: {error}"))
    }
}

async fn successes(outcomes: impl Stream<Item = Result<(), ()>>) -> u64 {
    let count = |count, outcome: Result<(), ()>| future::ready(count + u64::from(outcome.is_ok()));
    outcomes.fold(0, count).await
}

fn count(rows: &Rows) -> u64 {
    rows.affected().unwrap_or_default()
}

fn count_of<T>(items: &[T]) -> u64 {
    items.len() as u64
}
