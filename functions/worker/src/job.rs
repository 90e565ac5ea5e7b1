//! One job, from its message to its commit.

use std::collections::HashSet;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use sha2::{Digest as _, Sha256};
use tirage_jobs::Message;
use tirage_objects::{Error as ObjectError, Objects};
use tirage_problem::{Kind, Problem};
use tirage_s3::Key;
use tirage_sqlhttp::Error as DatabaseError;

use crate::answer::{Print, Prints};
use crate::outcome::{Failure, Interruption, Stored};
use crate::settings::{self, internal};
use crate::step;
use crate::tasks::{Claim, Tasks, Times};

/// What a client sent, in storage.
const ORIGINAL: &str = "original";

/// Does the job, unless there is nothing to do.
///
/// # Errors
/// 503 for what may pass, 500 for a fault of ours; the message should come again.
pub(crate) async fn run(message: &Message) -> Result<(), Problem> {
    let times = Times {
        lease: settings::seconds("lease_seconds").await?,
        cleanup_after: settings::seconds("cleanup_after_seconds").await?,
    };
    let tasks = Tasks::new(settings::database().await?, message.task, times);
    let objects = settings::objects().await?;
    let Some(claim) = tasks
        .claim(message.attempt)
        .await
        .map_err(database_problem)?
    else {
        return Ok(());
    };
    let finished = match work(&objects, &claim).await {
        Ok(stored) => match tasks.commit(&claim, &stored).await {
            // Somebody else has it, or it is gone: what we stored is nobody's.
            Ok(false) => {
                remove(&objects, &claim, &stored).await;
                Ok(())
            }
            // Nothing was committed, and trying again gives the same.
            Err(error) if refuses_results(&error) => {
                let failure = Failure::bad_answer(&error.to_string());
                tasks.fail(&claim, &failure).await
            }
            // Whether it was committed may be unknown: nothing is removed. If it wasn't, others may try;
            // if it was, this has no effect.
            Err(error) => {
                if let Err(error) = tasks.release(&claim).await {
                    eprintln!("task {} waits for its lease's end: {error}", message.task);
                }
                Err(error)
            }
            Ok(true) => Ok(()),
        },
        Err(Interruption::Failed(failure)) => tasks.fail(&claim, &failure).await,
        Err(Interruption::Postponed(reason)) => {
            eprintln!("task {} is put back: {reason}", message.task);
            tasks.release(&claim).await.map_err(database_problem)?;
            return Err(postponed());
        }
    };
    finished.map_err(database_problem)
}

/// Original in, prints stored.
async fn work(objects: &Objects, claim: &Claim) -> Result<Stored, Interruption> {
    let key = claim.key(ORIGINAL)?;
    let Some(original) = objects.get(&key, None).await.map_err(put_off)? else {
        return Err(Interruption::Failed(Failure::original_missing()));
    };
    let prints = step::photo(original.into_body(), claim.size_bytes).await?;
    store(objects, claim, prints).await
}

async fn store(objects: &Objects, claim: &Claim, prints: Prints) -> Result<Stored, Interruption> {
    let names: HashSet<_> = prints.variants.iter().map(|print| &print.name).collect();
    if names.len() != prints.variants.len() {
        return Err(Interruption::Failed(Failure::bad_answer(
            "two prints of one name",
        )));
    }
    let puts = prints.variants.iter().map(|print| async {
        let object = claim.object(&print.name);
        let key = claim.key(&object)?;
        objects
            .put(&key, &print.content_type, print.digest, print.bytes.clone())
            .await
            .map_err(|error| not_stored(error, print))
    });
    futures::future::try_join_all(puts).await?;
    Ok(Stored::new(claim, prints))
}

/// Best effort: what stays is found by the cleanup.
async fn remove(objects: &Objects, claim: &Claim, stored: &Stored) {
    for object in stored.objects() {
        let removed = match claim.key(object) {
            Ok(key) => objects
                .remove(&key)
                .await
                .map_err(|error| error.to_string()),
            Err(_) => continue,
        };
        if let Err(error) = removed {
            eprintln!("{object} of media {} stays: {error}", claim.media);
        }
    }
}

impl Claim {
    /// The name of a print's object: one of this lease's own.
    pub(crate) fn object(&self, variant: &str) -> String {
        format!("{variant}.{}", self.lease)
    }

    fn key(&self, object: &str) -> Result<Key, Interruption> {
        let name = object.parse().map_err(|_| {
            Interruption::Failed(Failure::bad_answer("a print's name can't be stored"))
        })?;
        Ok(Key::new(self.workspace, self.media, name))
    }
}

/// Whatever storage has against a request passes: a refusal is most often a setting that is being changed.
fn put_off(error: ObjectError) -> Interruption {
    Interruption::Postponed(error.to_string())
}

/// Storage compares a print with its hash. Whether that was what it had against it is looked at only
/// then: hashing each print here too would tell nothing new.
fn not_stored(error: ObjectError, print: &Print) -> Interruption {
    match error {
        ObjectError::BadBody(_) | ObjectError::Refused(_)
            if Sha256::digest(&print.bytes)[..] != print.digest =>
        {
            Interruption::Failed(Failure::bad_answer("a print has another hash than it says"))
        }
        error => put_off(error),
    }
}

/// Whether the database refuses results for what they are: values that it can't hold, that break a
/// constraint or are too long (<https://www.postgresql.org/docs/current/errcodes-appendix.html>, classes
/// 22, 23 and 54). What else it may have against a statement, as a missing grant or column, is a fault of
/// the deployment.
fn refuses_results(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::UniqueViolation(_)
        | DatabaseError::ForeignKeyViolation(_)
        | DatabaseError::TooLarge(_) => true,
        DatabaseError::Database(error) => error.code.as_deref().is_some_and(|code| {
            ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

fn database_problem(error: DatabaseError) -> Problem {
    match error {
        DatabaseError::Unavailable(_)
        | DatabaseError::Timeout
        | DatabaseError::Broken(_)
        | DatabaseError::Conflict(_) => {
            eprintln!("database unavailable: {error}");
            postponed()
        }
        error => internal(error),
    }
}

fn postponed() -> Problem {
    Problem::new(Kind::UNAVAILABLE).header(RETRY_AFTER, HeaderValue::from_static("5"))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn results_that_no_table_takes_are_told_from_a_database_that_takes_nothing() {
        let refused = |code: Option<&str>| {
            let error = from_value(json!({"message": "no", "code": code})).unwrap();
            refuses_results(&DatabaseError::Database(Box::new(error)))
        };
        // A check, a number out of range, a text that can't be, a document that is nested too deep.
        for code in ["23514", "22003", "22P05", "54001"] {
            assert!(refused(Some(code)), "{code}");
        }
        // No grant, no such column, a replica, and a password that is wrong.
        for code in [Some("42501"), Some("42703"), Some("25006"), None] {
            assert!(!refused(code), "{code:?}");
        }
        assert!(!refuses_results(&DatabaseError::Timeout));
        assert!(!refuses_results(&DatabaseError::Unavailable(String::new())));
    }
}
