//! `POST /jobs/sweep`: picks up what fell down. A schedule calls it, every minute or so.
//!
//! Each part finds what some process left half-way when it died, and brings it to a state that is
//! true. All of them may be done twice, or by two at once, and so be broken off: a sweep has
//! [`TIME`] and leaves the rest to the next one. What is fast and keeps tables small goes first.
//!
//! | found | then |
//! |---|---|
//! | changes and idempotency keys of yesterday | forgotten |
//! | a lease that has run out | the task waits again; after too many leases it has failed |
//! | a task that waits, and whose message was never sent or must be lost | its message is sent |
//! | an upload that nobody completed | completed if the bytes are there, else deleted |
//! | objects that no row points at | deleted |

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{self, Either};
use futures::stream::{self, Stream, StreamExt};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;
use tirage_jobs::{SCHEDULE_HEADER, Secret};
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Json, Rows, Statement};
use uuid::Uuid;

use crate::cleanup::{self, Remains};
use crate::database::{self, Database};
use crate::json;
use crate::media;
use crate::settings;
use crate::storage::Storage;
use crate::tasks::{self, Task};

/// How long a sweep may take, and with it whatever it waits for: less than callers are patient.
const TIME: Duration = Duration::from_secs(20);
/// How many of each are looked at in one go; the next sweep goes on.
const AT_ONCE: i64 = 200;
/// How many of them at the same time, so that one that is slow doesn't take the time of all.
const SIDE_BY_SIDE: usize = 8;
/// How many rows are forgotten in one transaction, so that none is long.
const FORGOTTEN_AT_ONCE: i64 = 10_000;

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

/// Answers 200 with what was done, and how much could not be done now.
///
/// # Errors
/// 403 without the right MAC; 503 if the database can't be asked, and 500.
pub(crate) async fn sweep(head: &Parts) -> Result<Response<Bytes>, Problem> {
    admit(head).await?;
    let database = Database::of_all().await?;
    let storage = Storage::open().await?;
    let deadline = Deadline(Instant::now() + TIME);
    let mut swept = Swept::default();
    // However much there is to forget, the others get their turn.
    forget(&database, Deadline(Instant::now() + TIME / 2)).await?;
    give_up(&database, &mut swept).await?;
    release(&database, &mut swept).await?;
    send(&database, deadline, &mut swept).await?;
    finish_uploads(&database, &storage, deadline, &mut swept).await?;
    clean(&database, &storage, deadline, &mut swept).await?;
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
async fn send(database: &Database, deadline: Deadline, swept: &mut Swept) -> Result<(), Problem> {
    let statement = Statement::new(
        "select to_jsonb(task) as task from task where state = 'queued' and \
           (sent_at < now() - make_interval(secs => $1) \
            or (sent_at is null and queued_at < now() - make_interval(secs => $2))) \
         order by queued_at limit $3",
    )
    .bind(settings::parsed::<f64>("resend_after_seconds").await?)
    .bind(settings::parsed::<f64>("send_after_seconds").await?)
    .bind(AT_ONCE);
    let rows = database.run(statement).await?;
    let tasks = rows.iter().map(|row| {
        let Json(task) = row.get::<Json<Task>>("task").map_err(database::problem)?;
        Ok(task)
    });
    let tasks = tasks.collect::<Result<Vec<_>, Problem>>()?;
    let found = count_of(&tasks);
    let mut outcomes = pin!(deadline.each(tasks, |task: Task| async move {
        tasks::send(database, &task)
            .await
            .map_err(|problem| format!("task {} cannot be sent: {problem}", task.id))
    }));
    let mut sent = 0;
    // If the queue is down for one, it is so for the others, too.
    while let Some(Ok(())) = outcomes.next().await {
        sent += 1;
    }
    swept.sent = sent;
    swept.postponed += found - sent;
    Ok(())
}

/// Whoever wanted to complete them is gone.
async fn finish_uploads(
    database: &Database,
    storage: &Storage,
    deadline: Deadline,
    swept: &mut Swept,
) -> Result<(), Problem> {
    let statement = Statement::new(
        "select id from media where state = 'uploading' \
           and upload_expires_at < now() - make_interval(secs => $1) order by id limit $2",
    )
    .bind(settings::parsed::<f64>("upload_grace_seconds").await?)
    .bind(AT_ONCE);
    let rows = database.run(statement).await?;
    let ids = rows.iter().map(|row| {
        let id: String = row.get("id").map_err(database::problem)?;
        id.parse().map_err(settings::internal)
    });
    let ids = ids.collect::<Result<Vec<Uuid>, Problem>>()?;
    let found = count_of(&ids);
    let outcomes = deadline.each(ids, |id| async move {
        media::finish_upload(database, storage, id)
            .await
            .map_err(|problem| format!("upload of media {id} waits for the next sweep: {problem}"))
    });
    swept.uploads = successes(outcomes).await;
    swept.postponed += found - swept.uploads;
    Ok(())
}

async fn clean(
    database: &Database,
    storage: &Storage,
    deadline: Deadline,
    swept: &mut Swept,
) -> Result<(), Problem> {
    let statement = Statement::new(format!(
        "select {} from media where cleanup_due_at <= now() order by cleanup_due_at limit $1",
        Remains::COLUMNS
    ))
    .bind(AT_ONCE);
    let rows = database.run(statement).await?;
    let remains = rows.iter().map(|row| Remains::read(&row));
    let remains = remains.collect::<Result<Vec<_>, Problem>>()?;
    let found = count_of(&remains);
    let outcomes = deadline.each(remains, |remains| async move {
        cleanup::clean(database, storage, &remains)
            .await
            .map_err(|problem| format!("objects wait for the next sweep: {problem}"))
    });
    swept.cleaned = successes(outcomes).await;
    swept.postponed += found - swept.cleaned;
    Ok(())
}

/// By where the rows are: the fastest way to delete some of many.
async fn forget(database: &Database, deadline: Deadline) -> Result<(), Problem> {
    for table in ["change", "idempotency"] {
        let statement = Statement::new(format!(
            "delete from {table} where ctid = any(array(select ctid from {table} \
               where created_at < now() - interval '1 day' limit $1))"
        ))
        .bind(FORGOTTEN_AT_ONCE);
        loop {
            let forgotten = count(&database.run(statement.clone()).await?);
            if i64::try_from(forgotten) != Ok(FORGOTTEN_AT_ONCE) || deadline.is_over() {
                break;
            }
        }
    }
    Ok(())
}

/// When a sweep ends.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

impl Deadline {
    fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// Does this with each, some side by side; how it went, as it comes. What is not begun by then is
    /// left out, what is not done by then is broken off, and the log has what went wrong.
    fn each<T, F>(self, items: Vec<T>, act: impl Fn(T) -> F) -> impl Stream<Item = Result<(), ()>>
    where
        F: Future<Output = Result<(), String>>,
    {
        stream::iter(items)
            .take_while(move |_| future::ready(!self.is_over()))
            .map(move |item| self.bound(act(item)))
            .buffer_unordered(SIDE_BY_SIDE)
    }

    async fn bound(self, work: impl Future<Output = Result<(), String>>) -> Result<(), ()> {
        let left = self.0.saturating_duration_since(Instant::now());
        let outcome = match future::select(pin!(work), pin!(spin_sdk::time::sleep(left))).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => Err("the sweep's time is over".to_owned()),
        };
        outcome.map_err(|error| eprintln!("{error}"))
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
