//! Task rows: one task per media item, its state for clients, and its message.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tirage_guest::database::{BUILT_IN_WORKSPACE, Database};
use tirage_guest::{Error, json};
use tirage_jobs::Message;
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Json, Statement};
use uuid::Uuid;

use crate::idempotency::IdempotencyKey;
use crate::queue::Queue;
use crate::workspace_database;

/// A row of `task`, as clients see it and as Postgres converts it to JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: Uuid,
    pub(crate) media_id: Uuid,
    pub(crate) kind: tirage_jobs::Kind,
    pub(crate) state: State,
    /// From 1; a retry increments it.
    pub(crate) attempt: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    /// Reason of the state `failed`: a problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Value>,
    #[serde(skip_serializing)]
    sent_at: Option<Timestamp>,
}

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// No worker has claimed it.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Its results are committed.
    Done,
    /// It has no results; `failure` says why.
    Failed,
}

impl Task {
    /// `true` if its message has not been sent.
    pub(crate) fn is_unsent(&self) -> bool {
        self.state == State::Queued && self.sent_at.is_none()
    }

    /// The message that announces the task.
    pub(crate) fn message(&self) -> Message {
        Message {
            task: self.id,
            kind: self.kind,
            attempt: self.attempt,
        }
    }

    /// Finds a task by id.
    ///
    /// # Errors
    /// 404; the database's errors.
    async fn find(database: &Database, id: Uuid) -> Result<Self, Error> {
        let statement = Statement::new(
            "select to_jsonb(task) as task from task where workspace_id = $1 and id = $2",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(id.to_string());
        let rows = database.run(statement).await?;
        let Some(row) = rows.iter().next() else {
            return Err(Problem::new(Kind::NOT_FOUND)
                .detail("There is no such task")
                .into());
        };
        let Json(task) = row.get("task")?;
        Ok(task)
    }
}

/// `GET /api/tasks/{id}`: responds with the task.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn read(id: Uuid) -> Result<Response<Bytes>, Error> {
    let database = workspace_database().await?;
    json::response(StatusCode::OK, &Task::find(&database, id).await?)
}

/// `POST /api/tasks/{id}/retry`: starts another attempt at a failed task. Responds 202 with the task.
///
/// # Errors
/// 404; 409 for a task in another state; 503 and 500.
pub(crate) async fn retry(id: Uuid, head: &Parts) -> Result<Response<Bytes>, Error> {
    let database = workspace_database().await?;
    let key = IdempotencyKey::of(head, &[])?;
    let is_repeated = match &key {
        Some(key) => key.subject::<Uuid>(&database).await?.is_some(),
        None => false,
    };
    if !is_repeated {
        let detail = match Task::find(&database, id).await?.state {
            State::Failed => None,
            State::Done => Some("The task is done"),
            State::Queued | State::Running => Some("The task is not finished yet"),
        };
        if let Some(detail) = detail {
            return Err(Problem::new(Kind::CONFLICT).detail(detail).into());
        }
        // One statement changes both rows, so that no task of a failed media item is ever queued. It
        // changes nothing if another request retries at the same moment.
        let requeue = Statement::new(
            "with task as (update task set state = 'queued', attempt = attempt + 1, claims = 0, \
               failure = null, finished_at = null, sent_at = null, queued_at = now() \
               where workspace_id = $1 and id = $2 and state = 'failed' returning media_id) \
             update media set state = 'processing', failure = null, finished_at = null \
               from task where media.id = task.media_id and media.state = 'failed'",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(id.to_string());
        let stored = database
            .run_all([IdempotencyKey::insert(key.as_ref(), id), requeue])
            .await;
        if let Err(error) = stored
            && !IdempotencyKey::is_taken(&error)
        {
            return Err(error.into());
        }
    }
    let task = Task::find(&database, id).await?;
    publish(&database, &task).await;
    json::response(StatusCode::ACCEPTED, &task)
}

/// Sends the task's message, unless it is sent already. A failure is only logged: the task is committed, and
/// the sweep sends its message.
pub(crate) async fn publish(database: &Database, task: &Task) {
    if task.is_unsent()
        && let Err(error) = send(database, task).await
    {
        eprintln!(
            "the sweep will send the message of task {}: {error}",
            task.id
        );
    }
}

/// Sends the task's message, then records `sent_at`. The record doesn't depend on the task's state: a worker
/// may claim and release the task in between, and a released task needs no second message, because the queue
/// redelivers the first.
///
/// # Errors
/// 503 if the queue or the database is unavailable.
pub(crate) async fn send(database: &Database, task: &Task) -> Result<(), Error> {
    Queue::open().await?.send(&task.message()).await?;
    let statement =
        Statement::new("update task set sent_at = now() where id = $1 and attempt = $2")
            .bind(task.id.to_string())
            .bind(i64::from(task.attempt));
    database.run(statement).await?;
    Ok(())
}
