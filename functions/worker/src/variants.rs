//! Variants in the object store, under keys of the claim's lease.

use std::collections::HashSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tirage_guest::store::{self, ObjectStore};

use crate::error::{Error, Failure};
use crate::lease::Claim;
use crate::output::OutputVariant;

/// A stored variant: a row of the table `variant`, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct StoredVariant {
    name: String,
    object: String,
    content_type: String,
    width: u32,
    height: u32,
    size_bytes: usize,
    sha256: String,
    #[serde(skip)]
    key: tirage_s3::Key,
}

/// Stores all variants concurrently.
///
/// # Errors
/// [`Error::Failed`] for duplicate names and wrong hashes; the store's errors.
pub(crate) async fn store(
    store: &ObjectStore,
    claim: &Claim,
    variants: Vec<OutputVariant>,
) -> Result<Vec<StoredVariant>, Error> {
    let names: HashSet<_> = variants.iter().map(|variant| &variant.name).collect();
    if names.len() != variants.len() {
        return Err(Failure::invalid_output("two variants have the same name").into());
    }
    futures::future::try_join_all(
        variants
            .into_iter()
            .map(|variant| store_one(store, claim, variant)),
    )
    .await
}

async fn store_one(
    store: &ObjectStore,
    claim: &Claim,
    variant: OutputVariant,
) -> Result<StoredVariant, Error> {
    let name = variant.name.to_string();
    let key = claim.variant(variant.name);
    let bytes = variant.bytes;
    if let Err(error) = store
        .put(&key, &variant.content_type, variant.digest, bytes.clone())
        .await
    {
        return Err(match error {
            // The store verifies the hash. Only if it refuses, the worker computes the hash too, to tell a
            // wrong hash from another fault.
            store::Error::BadBody(_) | store::Error::Refused(_)
                if Sha256::digest(&bytes)[..] != variant.digest =>
            {
                Failure::invalid_output(format!("variant {name} has another SHA-256")).into()
            }
            error => error.into(),
        });
    }
    Ok(StoredVariant {
        name,
        object: key.name().to_string(),
        content_type: variant.content_type,
        width: variant.width,
        height: variant.height,
        size_bytes: bytes.len(),
        sha256: hex::encode(variant.digest),
        key,
    })
}

/// Removes variants that will not be committed, as far as possible. The cleanup removes the rest.
pub(crate) async fn remove(store: &ObjectStore, claim: &Claim, variants: &[StoredVariant]) {
    for variant in variants {
        if let Err(error) = store.remove(&variant.key).await {
            eprintln!(
                "object {} of media item {} was not removed: {error}",
                variant.object, claim.media
            );
        }
    }
}
