//! Runs quick reads of several callers one behind the other, sent together.
//!
//! Each is a transaction of its own, and the session is cleaned between them, as if they had come one by
//! one. There is a single sync, at the end. So where one fails, the server skips those behind it, which
//! then have had no effect, and so has the one that failed: all of them are run again, each by itself.
//! The same goes for a burst that takes too long. It is cancelled, which is a failure of the one that was
//! being run.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;

use tirage_postgres::{Error, Event, Routine};
use tokio::time::Instant;

use crate::cleaning::{BEGIN, COMMIT};
use crate::execute::{self, Manner, receive_own};
use crate::failure::Failure;
use crate::lanes::{Job, Lane, PATIENCE, Reply};
use crate::lease::{CLEANING, Lease};

/// Ends a transaction and begins the one that the session is cleaned in, so that the next request begins its
/// own when the session is clean, and not with the cleaning.
static COMMIT_AND_CHAIN: Routine = Routine {
    name: "commit_and_chain",
    statements: &["COMMIT AND CHAIN"],
};

/// Runs them all; each gets its reply.
pub(crate) async fn run(lane: Lane, burst: Vec<Job>) {
    if burst.is_empty() {
        return;
    }
    let pool = lane.pool().clone();
    let Ok(mut lease) = pool.lease(Instant::now() + PATIENCE).await else {
        return all_alone(burst);
    };
    if queue_all(&mut lease, &burst).is_err() {
        lease.discard();
        return all_alone(burst);
    }
    let cancel_token = lease.cancel_token();
    let mut answers = pin!(answer_all(&mut lease, burst));
    if lane.while_patient(answers.as_mut()).await.is_none() {
        drop(lane);
        if let Err(error) = Box::pin(cancel_token.cancel(CLEANING)).await {
            tracing::debug!(%error, "could not cancel a burst");
        }
        answers.await;
    }
}

fn all_alone(jobs: impl IntoIterator<Item = Job>) {
    for job in jobs {
        job.reply(Reply::Alone);
    }
}

fn queue_all(lease: &mut Lease, burst: &[Job]) -> Result<(), Failure> {
    for (number, job) in burst.iter().enumerate() {
        execute::queue_routine(lease, &BEGIN)?;
        execute::queue(lease, &job.query, Manner::Quick)?;
        if number + 1 < burst.len() {
            execute::queue_routine(lease, &COMMIT_AND_CHAIN)?;
            lease.queue_cleaning_between()?;
            execute::queue_routine(lease, &COMMIT)?;
        } else {
            execute::queue_routine(lease, &COMMIT)?;
            let sync = lease.sync();
            lease.queue_end(sync)?;
        }
    }
    Ok(())
}

async fn answer_all(lease: &mut Lease, burst: Vec<Job>) {
    let began = Instant::now();
    let pool = lease.pool().clone();
    let mut statements = Vec::with_capacity(burst.len());
    let mut jobs = VecDeque::from(burst);
    while let Some(job) = jobs.pop_front() {
        let statement = job.query.statement.clone();
        let failed = match answer(lease, &job).await {
            Ok(answer) => {
                job.reply(Reply::Answer(answer));
                clean_behind(lease, &jobs)
                    .await
                    .map_err(|failure| (failure, jobs.pop_front()))
            }
            Err(failure) => Err((failure, Some(job))),
        };
        if let Err((failure, front)) = failed {
            // It failed, or left what is cleaned in no burst.
            pool.lanes.forget(&statement);
            settle(failure, lease.is_broken(), front, jobs);
            return;
        }
        statements.push(statement);
    }
    pool.lanes.learn_times(
        statements.iter().map(|statement| &**statement),
        began.elapsed(),
    );
}

/// Waits until the session is clean for those that are next in line.
async fn clean_behind(lease: &mut Lease, next: &VecDeque<Job>) -> Result<(), Failure> {
    if next.is_empty() {
        lease.receive_end_of_committed(lease.sync()).await;
        Ok(())
    } else {
        receive_own(lease).await?;
        receive_own(lease).await
    }
}

/// The answer to the next one in line, once it is committed.
///
/// # Errors
/// [`Failure::Statement`] and others after which nothing more comes. What is wrong with the answer itself
/// is the inner one.
async fn answer(lease: &mut Lease, job: &Job) -> Result<Result<Vec<u8>, Failure>, Failure> {
    let limit = lease.pool().settings.max_response_bytes;
    receive_own(lease).await?;
    let answer = match execute::receive(lease, job.query.array_mode, job.options, limit, 0).await {
        Ok(answer) => answer.finish(lease.types(), limit),
        Err(failure @ Failure::Statement(_)) => return Err(failure),
        Err(failure) => {
            skip_rows(lease).await?;
            Err(failure)
        }
    };
    receive_own(lease).await?;
    Ok(answer)
}

async fn skip_rows(lease: &mut Lease) -> Result<(), Failure> {
    loop {
        match execute::event(lease, usize::MAX).await? {
            Event::Columns(_) | Event::Row(_) => {}
            Event::Complete(_) => return Ok(()),
            Event::Ready(_) => return Err(Failure::Conversion),
        }
    }
}

/// Replies to the one in front, which failed, and to those behind it.
fn settle(failure: Failure, is_broken: bool, front: Option<Job>, behind: VecDeque<Job>) {
    let was_undone = match &failure {
        Failure::Statement(Error::Server(_) | Error::Outdated(_)) => !is_broken,
        // The server had left before it saw any of it, or skipped it.
        Failure::Statement(Error::Stale | Error::Skipped(_)) => true,
        _ => false,
    };
    // A server that leaves at one, and says so, has not looked at those behind it.
    let were_skipped = was_undone || matches!(failure, Failure::Statement(Error::Server(_)));
    if let Some(front) = front {
        front.reply(match was_undone {
            true => Reply::Alone,
            false => Reply::Answer(Err(failure)),
        });
    }
    for job in behind {
        job.reply(match were_skipped {
            true => Reply::Alone,
            // Whether it was done is unknown.
            false => {
                let lost = Error::Lost(io::ErrorKind::ConnectionReset.into());
                Reply::Answer(Err(Failure::Statement(lost)))
            }
        });
    }
}
