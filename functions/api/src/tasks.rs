//! Tasks: what is done with a media, and how far it is.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tirage_jobs::Message;
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Json, Statement};
use uuid::Uuid;

use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::idempotency::IdempotencyKey;
use crate::json;
use crate::queue::Queue;

/// A task, as clients see it and as the database writes it in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: Uuid,
    pub(crate) media_id: Uuid,
    pub(crate) kind: tirage_jobs::Kind,
    pub(crate) state: State,
    /// From 1; each retry raises it.
    pub(crate) attempt: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    /// Why it failed: a problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Value>,
    #[serde(skip_serializing)]
    sent_at: Option<Timestamp>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Nobody is at it yet.
    Queued,
    /// A worker is.
    Running,
    /// Its results are there.
    Done,
    /// It won't have any.
    Failed,
}

impl Task {
    /// Whether nobody has been told of it yet.
    pub(crate) fn is_unsent(&self) -> bool {
        self.state == State::Queued && self.sent_at.is_none()
    }

    pub(crate) fn message(&self) -> Message {
        Message {
            task: self.id,
            kind: self.kind,
            attempt: self.attempt,
        }
    }

    async fn find(database: &Database, id: Uuid) -> Result<Self, Problem> {
        let statement = Statement::new(
            "select to_jsonb(task) as task from task where workspace_id = $1 and id = $2",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(id.to_string());
        let rows = database.run(statement).await?;
        let Some(row) = rows.iter().next() else {
            return Err(Problem::new(Kind::NOT_FOUND).detail("There is no such task"));
        };
        let Json(task) = row.get("task").map_err(database::problem)?;
        Ok(task)
    }
}

/// `GET /api/tasks/{id}`.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn read(id: Uuid) -> Result<Response<Bytes>, Problem> {
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    json::answer(StatusCode::OK, &Task::find(&database, id).await?)
}

/// `POST /api/tasks/{id}/retry`: another attempt at a task that failed. 202 with the task.
///
/// # Errors
/// 404; 409 for a task that didn't fail; 503 and 500.
pub(crate) async fn retry(id: Uuid, head: &Parts) -> Result<Response<Bytes>, Problem> {
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let key = IdempotencyKey::of(head, &[])?;
    let again = match &key {
        Some(key) => key.subject::<Uuid>(&database).await?.is_some(),
        None => false,
    };
    if !again {
        let detail = match Task::find(&database, id).await?.state {
            State::Failed => None,
            State::Done => Some("The task is done"),
            State::Queued | State::Running => Some("The task is not over yet"),
        };
        if let Some(detail) = detail {
            return Err(Problem::new(Kind::CONFLICT).detail(detail));
        }
        // One statement changes both, so that no task waits whose media has failed. If it changes
        // nothing, somebody else asked for the same at the same moment.
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
            .run_all([IdempotencyKey::store(key.as_ref(), id), requeue])
            .await;
        if let Err(error) = stored
            && !IdempotencyKey::is_taken(&error)
        {
            return Err(database::problem(error));
        }
    }
    let task = Task::find(&database, id).await?;
    tell(&database, &task).await;
    json::answer(StatusCode::ACCEPTED, &task)
}

/// Sends the task's message, if nobody has been told of it. That it can't be sent now is no error: the
/// task is stored, and the sweep sends it again.
pub(crate) async fn tell(database: &Database, task: &Task) {
    if task.is_unsent()
        && let Err(problem) = send(database, task).await
    {
        eprintln!("task {} waits for the sweep: {problem}", task.id);
    }
}

/// Sends the task's message, and only then notes that it was sent: in whatever state the task is by then,
/// since a worker may be quicker. One that gives the task back has it waiting for its message to come again,
/// and nobody is to send a second.
///
/// # Errors
/// 503 when the queue or the database can't be reached now.
pub(crate) async fn send(database: &Database, task: &Task) -> Result<(), Problem> {
    Queue::open().await?.send(&task.message()).await?;
    let statement =
        Statement::new("update task set sent_at = now() where id = $1 and attempt = $2")
            .bind(task.id.to_string())
            .bind(i64::from(task.attempt));
    database.run(statement).await.map(drop)
}
