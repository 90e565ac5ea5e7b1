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
//! Statements that come again are run by a name that the server has for them. Where a name is
//! outdated, nothing was done yet ([`Error::Outdated`]) or is rolled back, and the caller runs all
//! of it again with [`Names::None`]. Where a batch might have committed something by itself, names
//! are not used to begin with.
//!
//! The cleaning of the session is sent along with the end of the request where no transaction can be
//! left open by then; the caller has its answer before the server begins with it.

use std::collections::BTreeSet;

use tirage_postgres::{Error, Event};

use crate::answer::Answer;
use crate::failure::Failure;
use crate::pool::Lease;
use crate::request::{Options, Query};
use crate::types::Types;

/// Whether statements that come again may be run by the name that the server has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// They may.
    Repeated,
    /// Every statement is parsed anew.
    None,
}

/// Runs one statement in a transaction of its own; its result as JSON.
pub(crate) async fn single(
    lease: &mut Lease,
    query: &Query<'_>,
    names: Names,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    queue(lease, query, names)?;
    lease.queue_sync();
    let controls_transactions = controls_transactions(&query.statement);
    // Types that have to be asked for are asked before the cleaning.
    let cleans_at_once = !controls_transactions && options.raw_text;
    if cleans_at_once {
        lease.queue_cleaning()?;
    }
    let answer = receive(lease, query.array_mode, options, limit, 0).await?;
    ready(lease).await?;
    look_up(lease, answer.unknown_types().collect(), End::Sync).await?;
    lease.finish();
    let json = answer.finish(lease.types(), limit)?;
    if json.len() > limit {
        return Err(Failure::ResponseTooLarge(limit));
    }
    Ok(json)
}

/// Runs statements in one transaction; `{"results":[...]}`.
pub(crate) async fn batch(
    lease: &mut Lease,
    queries: &[Query<'_>],
    names: Names,
    options: Options,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    let (end, names) = if queries
        .iter()
        .any(|query| controls_transactions(&query.statement))
    {
        (End::Sync, Names::None)
    } else {
        (End::Flush, names)
    };
    queue_own(lease, &options.transaction.begin(), names)?;
    if end == End::Flush {
        for query in queries {
            queue(lease, query, names)?;
        }
    }
    end.queue(lease);
    receive(lease, None, options, limit, 0).await?;
    end.receive(lease).await?;

    let mut answers = Vec::with_capacity(queries.len());
    let mut size = 0;
    for query in queries {
        if end == End::Sync {
            lease.begin();
            queue(lease, query, names)?;
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

    queue_own(lease, "COMMIT", names)?;
    lease.queue_sync();
    lease.queue_cleaning()?;
    receive(lease, None, options, limit, 0).await?;
    ready(lease).await?;
    lease.finish();
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

fn queue(lease: &mut Lease, query: &Query<'_>, names: Names) -> Result<(), Failure> {
    if !only_reads_or_writes_rows(&query.statement) {
        lease.may_have_prepared();
    }
    let parameters = query.parameters.iter().map(Option::as_deref);
    match names {
        Names::Repeated => lease.queue_repeated(&query.statement, parameters),
        Names::None => lease.queue_statement(&query.statement, parameters),
    }
    .map_err(Failure::Statement)
}

/// Puts a statement of the gateway's own in line.
fn queue_own(lease: &mut Lease, statement: &str, names: Names) -> Result<(), Failure> {
    match names {
        Names::Repeated => lease.queue_repeated(statement, []),
        Names::None => lease.queue_statement(statement, []),
    }
    .map_err(Failure::Statement)
}

/// The result of the next statement in line. `before` is what the answer holds already, in bytes.
async fn receive(
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
            tracing::error!(reason, "Postgres said something unexpected");
            Failure::Conversion
        }
        Error::Server(_) | Error::Outdated(_) => {
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

/// Whether the statement may begin or end a transaction, judged by its first word.
fn controls_transactions(statement: &str) -> bool {
    matches!(
        first_word(statement).as_str(),
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "prepare"
    )
}

/// Whether the statement can make no prepared statements, unless by way of a function that somebody
/// wrote for that.
fn only_reads_or_writes_rows(statement: &str) -> bool {
    matches!(
        first_word(statement).as_str(),
        "select" | "insert" | "update" | "delete" | "merge" | "with" | "values" | "table"
    )
}

/// In lower case.
fn first_word(statement: &str) -> String {
    skip_blanks(statement)
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// Skips white space, comments (which nest) and empty statements.
fn skip_blanks(statement: &str) -> &str {
    let mut rest = statement;
    loop {
        rest = rest
            .trim_start_matches(|character: char| character.is_whitespace() || character == ';');
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment
                .find(['\n', '\r'])
                .map_or("", |end| comment.get(end..).unwrap_or_default())
        } else if rest.starts_with("/*") {
            after_comment(rest)
        } else {
            return rest;
        };
    }
}

fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(inside) = rest.strip_prefix("/*") {
            depth += 1;
            rest = inside;
        } else if let Some(outside) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = outside;
            if depth == 0 {
                return rest;
            }
        } else {
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return rest;
            }
            rest = characters.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_control_transactions_are_told_by_their_first_word() {
        for statement in [
            "commit",
            " ROLLBACK to savepoint a",
            "-- why\n;End",
            "/* a /* b */ c */ begin;",
            "start transaction",
            "\u{feff}\n; prepare transaction 'a'".trim_start_matches('\u{feff}'),
        ] {
            assert!(controls_transactions(statement), "{statement}");
        }
        for statement in [
            "",
            "--commit",
            "/* commit",
            "select 'commit'",
            "committed",
            "insert into t values (1)",
        ] {
            assert!(!controls_transactions(statement), "{statement}");
        }
    }
}
