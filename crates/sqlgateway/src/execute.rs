//! Executes a request on a leased connection.
//!
//! A single statement and a read-only batch take one round trip to Postgres: BEGIN, the statements,
//! COMMIT and the cleaning of the session are sent in one write. If a statement fails, the server skips
//! the rest up to the sync, and COMMIT rolls back.
//!
//! A batch that may write takes two: COMMIT is sent only when the whole response is known to be valid,
//! because a response over the size limit must roll back. A batch counts as read-only if its headers
//! say so, or if all its statements are selects. A function in a select can write nevertheless; then a
//! response over the limit may come after the commit, as for a single statement.
//!
//! Two kinds of requests go another way:
//! - A statement that is no query (DDL, `SET`, `CALL`, `VACUUM`) is sent alone, without a transaction
//!   around it, because some of them refuse to run in one.
//! - A batch with its own transaction control is sent statement by statement, because after its COMMIT
//!   each further statement must be a transaction of its own.
//!
//! Statements that are sent repeatedly are prepared. If a prepared statement is outdated, the
//! transaction was rolled back, and the caller executes the request again [unprepared](Mode::Unprepared).

use std::collections::BTreeSet;
use std::slice;

use tirage_postgres::{Error, Event};

use crate::failure::Failure;
use crate::kind::{controls_transactions, only_reads_rows, reads_or_writes_rows};
use crate::lease::Lease;
use crate::request::{Options, Query};
use crate::result::QueryResult;
use crate::types::Types;

/// Protocol that the statements of a request are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Repeated statements are prepared, and a single statement has a transaction around it.
    Prepared,
    /// Every statement is parsed anew, and a single statement has no transaction around it.
    Unprepared,
}

/// Executes one statement in a transaction of its own. Returns its result as JSON.
pub(crate) async fn single(
    lease: &mut Lease,
    query: &Query<'_>,
    mode: Mode,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    let mut results = if mode == Mode::Prepared && reads_or_writes_rows(&query.statement) {
        in_one_round_trip(lease, slice::from_ref(query), "BEGIN", mode, options, limit)
            .await
            .map_err(unprepared_if_not_in_transaction)?
    } else {
        alone(lease, query, mode, options, limit).await?
    };
    let result = results.pop().ok_or(Failure::Conversion)?;
    let json = result.finish(lease.types(), limit)?;
    if json.len() > limit {
        return Err(Failure::ResponseTooLarge(limit));
    }
    Ok(json)
}

/// Executes statements in one transaction. Returns `{"results":[...]}`.
pub(crate) async fn batch(
    lease: &mut Lease,
    queries: &[Query<'_>],
    mode: Mode,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    let begin = options.transaction.begin();
    let all = |is: fn(&str) -> bool| queries.iter().all(|query| is(&query.statement));
    let is_read_only = options.transaction.is_read_only() && all(reads_or_writes_rows);
    if is_read_only || all(only_reads_rows) {
        let results = in_one_round_trip(lease, queries, &begin, mode, options, limit).await?;
        return join(results, lease.types(), limit);
    }
    let step_by_step = !all(|statement| !controls_transactions(statement));
    let (size, mode) = match step_by_step {
        true => (1, Mode::Unprepared),
        false => (queries.len(), mode),
    };
    let mut results = Vec::with_capacity(queries.len());
    queue_own(lease, &begin, mode)?;
    for (number, queries) in queries.chunks(size).enumerate() {
        for query in queries {
            queue(lease, query, mode)?;
        }
        lease.queue_sync();
        if number == 0 {
            receive_own(lease).await?;
        }
        if step_by_step {
            lease.has_effect();
        }
        receive_all(lease, queries, options, limit, &mut results).await?;
        ready(lease).await?;
    }
    look_up_types(lease, &results).await?;
    let json = join(results, lease.types(), limit)?;
    lease.queue_commit_and_clean()?;
    lease.receive_commit_and_cleaning().await?;
    Ok(json)
}

/// Executes statements from BEGIN to the cleaning of the session in one round trip.
async fn in_one_round_trip(
    lease: &mut Lease,
    queries: &[Query<'_>],
    begin: &str,
    mode: Mode,
    options: Options,
    limit: usize,
) -> Result<Vec<QueryResult>, Failure> {
    queue_own(lease, begin, mode)?;
    for query in queries {
        queue(lease, query, mode)?;
    }
    lease.queue_commit_and_clean()?;
    receive_own(lease).await?;
    let mut results = Vec::with_capacity(queries.len());
    receive_all(lease, queries, options, limit, &mut results).await?;
    ready(lease).await?;
    lease.receive_commit_and_cleaning().await?;
    look_up_types(lease, &results).await?;
    Ok(results)
}

/// Executes one statement without a transaction around it. The session is cleaned when the lease is
/// dropped.
async fn alone(
    lease: &mut Lease,
    query: &Query<'_>,
    mode: Mode,
    options: Options,
    limit: usize,
) -> Result<Vec<QueryResult>, Failure> {
    queue(lease, query, mode)?;
    lease.queue_sync();
    let mut results = Vec::with_capacity(1);
    let queries = slice::from_ref(query);
    receive_all(lease, queries, options, limit, &mut results).await?;
    ready(lease).await?;
    lease.has_effect();
    look_up_types(lease, &results).await?;
    lease.finish();
    Ok(results)
}

/// Functions of some extensions refuse to run in a transaction block. The block was rolled back, so the
/// statement can be executed again.
fn unprepared_if_not_in_transaction(failure: Failure) -> Failure {
    const ACTIVE_SQL_TRANSACTION: &str = "25001";
    match failure {
        Failure::Statement(Error::Server(error)) if error.code == ACTIVE_SQL_TRANSACTION => {
            Failure::Statement(Error::Outdated(error))
        }
        other => other,
    }
}

fn queue(lease: &mut Lease, query: &Query<'_>, mode: Mode) -> Result<(), Failure> {
    if !reads_or_writes_rows(&query.statement) {
        lease.may_have_prepared();
    }
    let parameters = query.parameters.iter().map(Option::as_deref);
    match mode {
        Mode::Prepared => lease.queue_cached(&query.statement, parameters),
        Mode::Unprepared => lease.queue_statement(&query.statement, parameters),
    }
    .map_err(Failure::Statement)
}

/// Queues a statement of the gateway.
fn queue_own(lease: &mut Lease, statement: &str, mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Prepared => lease.queue_cached(statement, []),
        Mode::Unprepared => lease.queue_statement(statement, []),
    }
    .map_err(Failure::Statement)
}

/// Waits for the end of a statement of the gateway.
async fn receive_own(lease: &mut Lease) -> Result<(), Failure> {
    loop {
        match event(lease, usize::MAX).await? {
            Event::Columns(_) => {}
            Event::Complete(_) => return Ok(()),
            Event::Row(_) | Event::Ready(_) => return Err(Failure::Conversion),
        }
    }
}

/// Waits for the results of `queries`, and appends them to `results`.
async fn receive_all(
    lease: &mut Lease,
    queries: &[Query<'_>],
    options: Options,
    limit: usize,
    results: &mut Vec<QueryResult>,
) -> Result<(), Failure> {
    let mut size: usize = results.iter().map(QueryResult::size).sum();
    for query in queries {
        let result = receive(lease, query.array_mode, options, limit, size).await?;
        size += result.size();
        results.push(result);
    }
    Ok(())
}

/// Waits for the result of one statement. `before` is the size of the results before it, in bytes.
async fn receive(
    lease: &mut Lease,
    array_mode: Option<bool>,
    options: Options,
    limit: usize,
    before: usize,
) -> Result<QueryResult, Failure> {
    let Event::Columns(columns) = event(lease, limit).await? else {
        return Err(Failure::Conversion);
    };
    let mut result = QueryResult::new(&columns, options, array_mode, lease.types());
    loop {
        match event(lease, limit).await? {
            Event::Row(row) => result.push(row)?,
            Event::Complete(tag) => {
                result.complete(tag);
                return Ok(result);
            }
            Event::Columns(_) | Event::Ready(_) => return Err(Failure::Conversion),
        }
        if before + result.size() > limit {
            return Err(Failure::ResponseTooLarge(limit));
        }
    }
}

async fn ready(lease: &mut Lease) -> Result<(), Failure> {
    match event(lease, usize::MAX).await? {
        Event::Ready(_) => Ok(()),
        _ => Err(Failure::Conversion),
    }
}

async fn event(lease: &mut Lease, limit: usize) -> Result<Event, Failure> {
    lease.next_event().await.map_err(|error| match error {
        Error::TooLong { .. } => Failure::ResponseTooLarge(limit),
        Error::Protocol(reason) => {
            tracing::error!(reason, "unexpected message from Postgres");
            Failure::Conversion
        }
        Error::Server(_) | Error::Outdated(_) => {
            // The server skips the rest of the request, so there is nothing to cancel.
            lease.finish();
            Failure::Statement(error)
        }
        other => Failure::Statement(other),
    })
}

/// Asks the server for the types that the pool doesn't know yet. Within the transaction it also finds
/// types that the transaction has created.
async fn look_up_types(lease: &mut Lease, results: &[QueryResult]) -> Result<(), Failure> {
    let unknown: BTreeSet<_> = results
        .iter()
        .flat_map(QueryResult::unknown_types)
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<_> = unknown.into_iter().collect();
    let parameter = Types::lookup_parameter(&unknown);
    lease
        .queue_statement(Types::LOOKUP, [Some(parameter.as_str())])
        .map_err(Failure::Statement)?;
    lease.queue_sync();
    let mut rows = Vec::new();
    loop {
        match event(lease, usize::MAX).await? {
            Event::Columns(_) | Event::Complete(_) => {}
            Event::Row(row) => rows.push(row),
            Event::Ready(_) => break,
        }
    }
    lease.types().learn(&unknown, &rows);
    Ok(())
}

fn join(results: Vec<QueryResult>, types: &Types, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut json = b"{\"results\":[".to_vec();
    for (index, result) in results.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend(result.finish(types, limit)?);
        if json.len() > limit {
            return Err(Failure::ResponseTooLarge(limit));
        }
    }
    json.extend_from_slice(b"]}");
    Ok(json)
}
