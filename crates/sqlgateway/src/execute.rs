//! Runs what was asked on a leased connection.
//!
//! A single statement is one round trip. A batch is two: everything from BEGIN to the last statement
//! is sent at once, and COMMIT only when the whole answer is known to be good, because an answer
//! that turns out too large must roll back. Between the statements of a batch there is no sync, so
//! the server itself skips what follows a failed one.
//!
//! That is the same as Neon's step by step, with one exception: a batch whose own statements end or
//! begin transactions. After a COMMIT of its own, each further statement would be a transaction of
//! its own, and without syncs it isn't. Such a batch is sent step by step.
//!
//! The cleaning of the session is sent along with the end of the request, and after the commit, which
//! may run triggers. Where it must come before the sync ([`Sync`]), a single statement that reads or writes
//! rows is put between BEGIN and COMMIT too.
//!
//! Statements that come again are run by a name that the server has for them. Where a name is
//! outdated, nothing was done yet ([`Error::Outdated`]) or is rolled back, and the caller runs all
//! of it again, [plainly](Manner::Plain). Where a batch might have committed something by itself,
//! names are not used to begin with.

use std::collections::BTreeSet;

use tirage_postgres::{Error, Event, Routine};

use crate::answer::Answer;
use crate::cleaning::{BEGIN, COMMIT};
use crate::failure::Failure;
use crate::kind::{controls_transactions, only_reads_or_writes_rows};
use crate::lease::{Lease, Sync};
use crate::request::{Options, Query};
use crate::types::Types;

/// How a request is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Statements that come again by the name that the server has for them, all in one round trip.
    Quick,
    /// Every statement is parsed anew, and one alone is in no block of ours.
    Plain,
}

/// Runs one statement in a transaction of its own; its result as JSON.
pub(crate) async fn single(
    lease: &mut Lease,
    query: &Query<'_>,
    manner: Manner,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    // Types that have to be asked for are asked before the cleaning.
    let is_cleaned_along =
        manner == Manner::Quick && options.raw_text && only_reads_or_writes_rows(&query.statement);
    let answer = match (is_cleaned_along, lease.sync()) {
        (true, Sync::BeforeCleaning) => synced(lease, query, options, limit).await?,
        (true, Sync::AfterCleaning) => block(lease, query, options, limit)
            .await
            .map_err(run_plainly_if_not_in_block)?,
        (false, _) => alone(lease, query, manner, options, limit).await?,
    };
    let json = answer.finish(lease.types(), limit)?;
    if json.len() > limit {
        return Err(Failure::ResponseTooLarge(limit));
    }
    Ok(json)
}

/// The statement, and behind its sync the cleaning.
async fn synced(
    lease: &mut Lease,
    query: &Query<'_>,
    options: Options,
    limit: usize,
) -> Result<Answer, Failure> {
    queue(lease, query, Manner::Quick)?;
    lease.queue_end(Sync::BeforeCleaning)?;
    let answer = receive(lease, query.array_mode, options, limit, 0).await?;
    lease.receive_end(Sync::BeforeCleaning).await?;
    Ok(answer)
}

/// From BEGIN to the end of the cleaning in one round trip.
async fn block(
    lease: &mut Lease,
    query: &Query<'_>,
    options: Options,
    limit: usize,
) -> Result<Answer, Failure> {
    queue_routine(lease, &BEGIN)?;
    queue(lease, query, Manner::Quick)?;
    queue_routine(lease, &COMMIT)?;
    lease.queue_end(Sync::AfterCleaning)?;
    receive_own(lease).await?;
    let answer = receive(lease, query.array_mode, options, limit, 0).await?;
    receive_own(lease).await?;
    lease.receive_end_of_committed(Sync::AfterCleaning).await;
    Ok(answer)
}

/// Just the statement. The session is cleaned when the lease ends.
async fn alone(
    lease: &mut Lease,
    query: &Query<'_>,
    manner: Manner,
    options: Options,
    limit: usize,
) -> Result<Answer, Failure> {
    queue(lease, query, manner)?;
    lease.queue_sync();
    let answer = receive(lease, query.array_mode, options, limit, 0).await?;
    ready(lease).await?;
    look_up(lease, answer.unknown_types().collect(), End::Sync).await?;
    lease.finish();
    Ok(answer)
}

/// Functions of some extensions refuse to run in a block. The block was rolled back, so nothing is
/// done twice.
fn run_plainly_if_not_in_block(failure: Failure) -> Failure {
    match failure {
        Failure::Statement(Error::Server(error)) if error.code == ACTIVE_SQL_TRANSACTION => {
            Failure::Statement(Error::Outdated(error))
        }
        other => other,
    }
}

const ACTIVE_SQL_TRANSACTION: &str = "25001";

/// Runs statements in one transaction; `{"results":[...]}`.
pub(crate) async fn batch(
    lease: &mut Lease,
    queries: &[Query<'_>],
    manner: Manner,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    let (end, manner) = if queries
        .iter()
        .any(|query| controls_transactions(&query.statement))
    {
        (End::Sync, Manner::Plain)
    } else {
        (End::Flush, manner)
    };
    queue_own(lease, &options.transaction.begin(), manner)?;
    if end == End::Flush {
        for query in queries {
            queue(lease, query, manner)?;
        }
    }
    end.queue(lease);
    receive_own(lease).await?;
    end.receive(lease).await?;

    let mut answers = Vec::with_capacity(queries.len());
    let mut size = 0;
    for query in queries {
        if end == End::Sync {
            lease.begin();
            queue(lease, query, manner)?;
            end.queue(lease);
        }
        let answer = receive(lease, query.array_mode, options, limit, size).await?;
        end.receive(lease).await?;
        size += answer.size();
        answers.push(answer);
    }
    look_up(
        lease,
        answers.iter().flat_map(Answer::unknown_types).collect(),
        end,
    )
    .await?;
    let json = join(answers, lease.types(), limit)?;

    queue_own(lease, "COMMIT", manner)?;
    let sync = lease.sync();
    lease.queue_end(sync)?;
    receive_own(lease).await?;
    lease.receive_end_of_committed(sync).await;
    Ok(json)
}

/// How the server is brought to answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// By a sync, which ends what isn't in a transaction and is answered itself.
    Sync,
    /// By a flush, which does nothing else.
    Flush,
}

impl End {
    fn queue(self, lease: &mut Lease) {
        match self {
            Self::Sync => lease.queue_sync(),
            Self::Flush => lease.queue_flush(),
        }
    }

    async fn receive(self, lease: &mut Lease) -> Result<(), Failure> {
        match self {
            Self::Sync => ready(lease).await,
            Self::Flush => Ok(()),
        }
    }
}

pub(crate) fn queue(lease: &mut Lease, query: &Query<'_>, manner: Manner) -> Result<(), Failure> {
    if !only_reads_or_writes_rows(&query.statement) {
        lease.may_have_prepared();
    }
    let parameters = query.parameters.iter().map(Option::as_deref);
    match manner {
        Manner::Quick => lease.queue_repeated(&query.statement, parameters),
        Manner::Plain => lease.queue_statement(&query.statement, parameters),
    }
    .map_err(Failure::Statement)
}

/// Puts a statement of the gateway's own in line.
fn queue_own(lease: &mut Lease, statement: &str, manner: Manner) -> Result<(), Failure> {
    match manner {
        Manner::Quick => lease.queue_repeated(statement, []),
        Manner::Plain => lease.queue_statement(statement, []),
    }
    .map_err(Failure::Statement)
}

pub(crate) fn queue_routine(lease: &mut Lease, routine: &'static Routine) -> Result<(), Failure> {
    lease.queue_routine(routine).map_err(Failure::Statement)
}

/// Waits for the end of one that was put in line so.
pub(crate) async fn receive_own(lease: &mut Lease) -> Result<(), Failure> {
    loop {
        match event(lease, usize::MAX).await? {
            Event::Columns(_) => {}
            Event::Complete(_) => return Ok(()),
            Event::Row(_) | Event::Ready(_) => return Err(Failure::Conversion),
        }
    }
}

/// The result of the next statement in line. `before` is what the answer holds already, in bytes.
pub(crate) async fn receive(
    lease: &mut Lease,
    array_mode: Option<bool>,
    options: Options,
    limit: usize,
    before: usize,
) -> Result<Answer, Failure> {
    let Event::Columns(columns) = event(lease, limit).await? else {
        return Err(Failure::Conversion);
    };
    let mut answer = Answer::begin(&columns, options, array_mode, lease.types());
    loop {
        match event(lease, limit).await? {
            Event::Row(row) => answer.push(row)?,
            Event::Complete(tag) => {
                answer.complete(tag);
                return Ok(answer);
            }
            Event::Columns(_) | Event::Ready(_) => return Err(Failure::Conversion),
        }
        if before + answer.size() > limit {
            return Err(Failure::ResponseTooLarge(limit));
        }
    }
}

pub(crate) async fn ready(lease: &mut Lease) -> Result<(), Failure> {
    match event(lease, usize::MAX).await? {
        Event::Ready(_) => Ok(()),
        _ => Err(Failure::Conversion),
    }
}

pub(crate) async fn event(lease: &mut Lease, limit: usize) -> Result<Event, Failure> {
    lease.next_event().await.map_err(|error| match error {
        Error::TooLong { .. } => Failure::ResponseTooLarge(limit),
        Error::Protocol(reason) => {
            tracing::error!(reason, "Postgres said something unexpected");
            Failure::Conversion
        }
        Error::Server(_) | Error::Outdated(_) | Error::Skipped(_) => {
            // The server skips the rest by itself: there is nothing to cancel.
            lease.finish();
            Failure::Statement(error)
        }
        other => Failure::Statement(other),
    })
}

/// Learns the types that nobody knows yet, from inside the transaction that may have made them.
async fn look_up(lease: &mut Lease, unknown: BTreeSet<u32>, end: End) -> Result<(), Failure> {
    if unknown.is_empty() {
        return Ok(());
    }
    let asked: Vec<_> = unknown.into_iter().collect();
    lease
        .queue_statement(
            Types::LOOKUP,
            [Some(Types::lookup_parameter(&asked).as_str())],
        )
        .map_err(Failure::Statement)?;
    end.queue(lease);
    let mut rows = Vec::new();
    loop {
        match event(lease, usize::MAX).await? {
            Event::Columns(_) => {}
            Event::Row(row) => rows.push(row),
            Event::Complete(_) => break,
            Event::Ready(_) => return Err(Failure::Conversion),
        }
    }
    end.receive(lease).await?;
    lease.types().learn(&asked, &rows);
    Ok(())
}

fn join(answers: Vec<Answer>, types: &Types, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut json = b"{\"results\":[".to_vec();
    for (index, answer) in answers.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend(answer.finish(types, limit)?);
        if json.len() > limit {
            return Err(Failure::ResponseTooLarge(limit));
        }
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}
