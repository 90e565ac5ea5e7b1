//! The lease on a task: claim, commit, fail, release.
//!
//! A claim increments the task's lease number. The later statements name that number and change nothing if
//! the task has another one or isn't running, so a worker that is too late has no effect.

use tirage_guest::database::{self, Database};
use tirage_s3::{Key, ObjectName, VariantName};
use tirage_sqlhttp::{Error, Parameter, Statement};
use uuid::Uuid;

use crate::error::Failure;
use crate::job::Results;

/// The leases of one task.
pub(crate) struct Leases {
    database: Database,
    task: Uuid,
    times: Times,
}

/// Durations in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Duration of a lease: longer than any job.
    pub(crate) lease: f64,
    /// Time until every worker that is too late has given up.
    pub(crate) cleanup_after: f64,
}

/// A claimed task.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) lease: i32,
    pub(crate) media: Uuid,
    pub(crate) workspace: Uuid,
    /// Size of the original.
    pub(crate) size_bytes: i64,
}

impl Claim {
    /// Key of the original.
    pub(crate) fn original(&self) -> Key {
        Key::original(self.workspace, self.media)
    }

    /// Key of a variant under this lease.
    pub(crate) fn variant(&self, name: VariantName) -> Key {
        let lease = self.lease;
        Key::new(
            self.workspace,
            self.media,
            ObjectName::Variant { name, lease },
        )
    }
}

impl Leases {
    /// The leases of `task`. `database` has the task as its scope.
    pub(crate) fn new(database: Database, task: Uuid, times: Times) -> Self {
        Self {
            database,
            task,
            times,
        }
    }

    /// Claims the task if it is queued, or if its lease has expired. `None` if it is done, claimed, deleted, or
    /// of another attempt.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn claim(&self, attempt: u32) -> Result<Option<Claim>, Error> {
        let statement = Statement::new(
            "with task as (update task set state = 'running', lease = lease + 1, claims = claims + 1, \
               leased_until = now() + make_interval(secs => $3) \
               where id = $1 and attempt = $2 \
                 and (state = 'queued' or (state = 'running' and leased_until < now())) \
               returning lease, media_id) \
             select task.lease, media.id, media.workspace_id, media.size_bytes \
               from task join media on media.id = task.media_id and media.state = 'processing'",
        )
        .bind(self.task.to_string())
        .bind(i64::from(attempt))
        .bind(self.times.lease);
        let rows = self.database.run(statement).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Claim {
            lease: row.get("lease")?,
            media: database::uuid(&row, "id")?,
            workspace: database::uuid(&row, "workspace_id")?,
            size_bytes: row.get("size_bytes")?,
        }))
    }

    /// Commits all results in one statement. Returns `false`, without effect, if the lease has expired and another
    /// worker has claimed the task.
    ///
    /// # Errors
    /// The database's. Unless Postgres refused the statement, it may be committed anyway.
    pub(crate) async fn commit(&self, claim: &Claim, results: &Results) -> Result<bool, Error> {
        let unserializable = |error| Error::Protocol(format!("results don't serialize: {error}"));
        let metadata = Parameter::json(&results.metadata).map_err(unserializable)?;
        let position = results.position.as_ref().map(Parameter::json).transpose();
        let variants = Parameter::json(&results.variants).map_err(unserializable)?;
        let statement = Statement::new(
            "with task as (update task set state = 'done', leased_until = null, finished_at = now() \
               where id = $1 and lease = $2 and state = 'running' returning media_id, workspace_id, lease), \
             ready as (update media set state = 'ready', content_type = $3, sha256 = $4, \
               metadata = $5::jsonb, position = $6::jsonb, finished_at = now(), \
               cleanup_due_at = case when task.lease > 1 then now() + make_interval(secs => $8) end \
               from task where media.id = task.media_id), \
             old as (delete from variant using task where variant.media_id = task.media_id \
               and not variant.name in (select name from jsonb_to_recordset($7::jsonb) as new(name text))), \
             new as (insert into variant \
                 (media_id, workspace_id, name, object, content_type, width, height, size_bytes, sha256) \
               select task.media_id, task.workspace_id, made.* from task, jsonb_to_recordset($7::jsonb) as made \
                 (name text, object text, content_type text, width int, height int, size_bytes bigint, sha256 text) \
               on conflict (media_id, name) do update set object = excluded.object, \
                 content_type = excluded.content_type, width = excluded.width, height = excluded.height, \
                 size_bytes = excluded.size_bytes, sha256 = excluded.sha256) \
             select count(*) from task",
        )
        .bind(self.task.to_string())
        .bind(i64::from(claim.lease))
        .bind(results.content_type.as_str())
        .bind(results.sha256.as_str())
        .bind(metadata)
        .bind(position.map_err(unserializable)?.unwrap_or(Parameter::NULL))
        .bind(variants)
        .bind(self.times.cleanup_after);
        let rows = self.database.run(statement).await?;
        Ok(rows.single()?.get::<i64>("count")? == 1)
    }

    /// Records the failure of the file on the task and the media item.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fail(&self, claim: &Claim, failure: &Failure) -> Result<(), Error> {
        let statement = Statement::new(
            "with task as (update task set state = 'failed', failure = $3::jsonb, leased_until = null, \
               finished_at = now() where id = $1 and lease = $2 and state = 'running' returning media_id) \
             update media set state = 'failed', failure = $3::jsonb, finished_at = now(), \
               cleanup_due_at = now() + make_interval(secs => $4) \
               from task where media.id = task.media_id and media.state = 'processing'",
        )
        .bind(self.task.to_string())
        .bind(i64::from(claim.lease))
        .bind(failure.document())
        .bind(self.times.cleanup_after);
        self.database.run(statement).await.map(drop)
    }

    /// Queues the task again, as if it had not been claimed.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<(), Error> {
        let statement = Statement::new(
            "update task set state = 'queued', leased_until = null, claims = greatest(claims - 1, 0) \
             where id = $1 and lease = $2 and state = 'running'",
        )
        .bind(self.task.to_string())
        .bind(i64::from(claim.lease));
        self.database.run(statement).await.map(drop)
    }
}
