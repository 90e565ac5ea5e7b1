//! Tasks, as workers see them: one at a time, under a lease.
//!
//! A claim raises the task's lease number. Everything after that names the number and has no effect when
//! it isn't the task's any more, or when the task isn't running: whoever comes too late changes nothing.

use tirage_sqlhttp::{Client, Error, Parameter, Rows, Statement, Wasi};
use uuid::Uuid;

use crate::outcome::{Failure, Stored};

/// One task, and all that a worker may do with it.
pub(crate) struct Tasks {
    client: Client<Wasi>,
    task: Uuid,
    times: Times,
}

/// How long things may take, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// A lease: longer than any job takes.
    pub(crate) lease: f64,
    /// Until a worker that came too late has given up as well.
    pub(crate) cleanup_after: f64,
}

/// A task in our hands.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) lease: i32,
    pub(crate) media: Uuid,
    pub(crate) workspace: Uuid,
    /// Of the original.
    pub(crate) size_bytes: i64,
}

impl Tasks {
    pub(crate) fn new(client: Client<Wasi>, task: Uuid, times: Times) -> Self {
        Self {
            client,
            task,
            times,
        }
    }

    /// Takes the task, if it waits, or if whoever had it let its lease run out; none if it is done,
    /// in other hands, of another attempt, or gone.
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
        let rows = self.run(statement).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let uuid = |name| -> Result<Uuid, Error> {
            let text: String = row.get(name)?;
            text.parse()
                .map_err(|_| Error::Protocol(format!("{name} is no UUID")))
        };
        Ok(Some(Claim {
            lease: row.get("lease")?,
            media: uuid("id")?,
            workspace: uuid("workspace_id")?,
            size_bytes: row.get("size_bytes")?,
        }))
    }

    /// Makes the results known, all at once; whether they are, which they aren't if the lease is not
    /// ours any more.
    ///
    /// # Errors
    /// The database's. Unless it says that it refused, they may be known all the same.
    pub(crate) async fn commit(&self, claim: &Claim, stored: &Stored) -> Result<bool, Error> {
        let unwritable = |error| Error::Protocol(format!("results can't be written: {error}"));
        let metadata = Parameter::json(&stored.metadata).map_err(unwritable)?;
        let position = stored.position.as_ref().map(Parameter::json).transpose();
        let variants = Parameter::json(&stored.variants).map_err(unwritable)?;
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
        .bind(stored.content_type.as_str())
        .bind(stored.sha256.as_str())
        .bind(metadata)
        .bind(position.map_err(unwritable)?.unwrap_or(Parameter::NULL))
        .bind(variants)
        .bind(self.times.cleanup_after);
        let rows = self.run(statement).await?;
        Ok(rows.single()?.get::<i64>("count")? == 1)
    }

    /// Records that there will be no prints, and why.
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
        self.run(statement).await.map(drop)
    }

    /// Lets others take it, as if it had not been taken.
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
        self.run(statement).await.map(drop)
    }

    async fn run(&self, statement: Statement) -> Result<Rows, Error> {
        let scope = Statement::new("select set_config('tirage.task', $1, true)")
            .bind(self.task.to_string());
        let [_, rows] = self.client.batch([scope, statement]).await?;
        Ok(rows)
    }
}
