//! One job, in the order of its steps: claim, process, store, commit.

use tirage_guest::database::{Database, Scope};
use tirage_guest::settings;
use tirage_guest::store::ObjectStore;
use tirage_jobs::Message;
use tirage_sqlhttp::Error as DatabaseError;

use crate::error::{Error, Failure};
use crate::lease::{Claim, Leases, Times};
use crate::step;
use crate::variants::{self, StoredVariant};

/// Processes the task of a message. Does nothing if the task is done, claimed, or of another attempt.
///
/// # Errors
/// 503 and 500, after which the queue delivers the message again.
pub(crate) async fn run(message: &Message) -> Result<(), tirage_guest::Error> {
    let times = Times {
        lease: settings::parsed("lease_seconds").await?,
        cleanup_after: settings::parsed("cleanup_after_seconds").await?,
    };
    let database = Database::open(Scope::Task(message.task)).await?;
    let leases = Leases::new(database, message.task, times);
    let store = ObjectStore::open().await?;
    let Some(claim) = leases.claim(message.attempt).await? else {
        return Ok(());
    };
    match process(&store, &claim).await {
        Ok(results) => commit(&leases, &store, &claim, &results).await,
        Err(Error::Failed(failure)) => Ok(leases.fail(&claim, &failure).await?),
        Err(Error::Other(error)) => {
            eprintln!("task {} is released: {error}", message.task);
            leases.release(&claim).await?;
            Err(error)
        }
    }
}

/// Results of a task, ready to commit.
#[derive(Debug)]
pub(crate) struct Results {
    /// Content type of the original.
    pub(crate) content_type: String,
    /// SHA-256 of the original, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) metadata: serde_json::Value,
    pub(crate) position: Option<serde_json::Value>,
    pub(crate) variants: Vec<StoredVariant>,
}

/// Streams the original into the step and stores the variants.
async fn process(store: &ObjectStore, claim: &Claim) -> Result<Results, Error> {
    let Some(original) = store.get(&claim.original(), None).await? else {
        return Err(Failure::original_missing().into());
    };
    let output = step::run(original.into_body(), claim.size_bytes).await?;
    let variants = variants::store(store, claim, output.variants).await?;
    Ok(Results {
        content_type: output.content_type,
        sha256: output.sha256,
        metadata: output.metadata,
        position: output.position,
        variants,
    })
}

async fn commit(
    leases: &Leases,
    store: &ObjectStore,
    claim: &Claim,
    results: &Results,
) -> Result<(), tirage_guest::Error> {
    match leases.commit(claim, results).await {
        Ok(true) => Ok(()),
        // Another worker holds the task, or the task is deleted: no row will point at these objects.
        Ok(false) => {
            variants::remove(store, claim, &results.variants).await;
            Ok(())
        }
        // Nothing was committed, and a retry gives the same.
        Err(error) if refuses_results(&error) => {
            let failure = Failure::invalid_output(error);
            Ok(leases.fail(claim, &failure).await?)
        }
        // The commit may have happened, so no object is removed. If it did not, the release lets another
        // worker try; if it did, the release has no effect.
        Err(error) => {
            if let Err(error) = leases.release(claim).await {
                eprintln!("the task stays claimed until its lease expires: {error}");
            }
            Err(error.into())
        }
    }
}

/// `true` if Postgres refused the values themselves: invalid data, a violated constraint, or a program
/// limit (<https://www.postgresql.org/docs/current/errcodes-appendix.html>, classes 22, 23 and 54). Other
/// errors, such as a missing grant or column, are faults of the deployment.
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

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn refused_values_differ_from_faults_of_the_deployment() {
        let refused = |code: Option<&str>| {
            let error = from_value(json!({"message": "no", "code": code})).unwrap();
            refuses_results(&DatabaseError::Database(Box::new(error)))
        };
        // Check constraint, number out of range, invalid text, nesting too deep.
        for code in ["23514", "22003", "22P05", "54001"] {
            assert!(refused(Some(code)), "{code}");
        }
        // Missing grant, missing column, read-only replica, wrong password.
        for code in [Some("42501"), Some("42703"), Some("25006"), None] {
            assert!(!refused(code), "{code:?}");
        }
        assert!(!refuses_results(&DatabaseError::Timeout));
        assert!(!refuses_results(&DatabaseError::Unavailable(String::new())));
    }
}
