//! The keys that authorize cancel requests.
//!
//! A cancel request carries no password: any client that knows the two numbers of a session may send
//! it. Postgres' own numbers stay in the gateway, because they would work without it and half of them is
//! a process id that can be guessed. Each session gets 63 random bits instead, which are valid in this
//! gateway only and end with the session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tirage_postgres::CancelToken;

use super::startup::CancelKey;

/// The keys of all open sessions.
#[derive(Debug, Default)]
pub(super) struct CancelKeys(Mutex<HashMap<CancelKey, CancelToken>>);

/// The key of one session, which is valid until this is dropped.
#[derive(Debug)]
pub(super) struct Cancellable {
    keys: Arc<CancelKeys>,
    pub(super) key: CancelKey,
}

impl CancelKeys {
    /// Creates a key for `token`.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn admit(
        self: &Arc<Self>,
        token: CancelToken,
    ) -> Result<Cancellable, getrandom::Error> {
        let mut keys = self.lock();
        let key = loop {
            let key = random()?;
            if !keys.contains_key(&key) {
                break key;
            }
        };
        keys.insert(key, token);
        Ok(Cancellable {
            keys: self.clone(),
            key,
        })
    }

    /// Returns the token of a valid key.
    pub(super) fn token(&self, key: CancelKey) -> Option<CancelToken> {
        self.lock().get(&key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CancelKey, CancelToken>> {
        // Every single change leaves the map valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

fn random() -> Result<CancelKey, getrandom::Error> {
    let positive = i32::MAX.cast_unsigned();
    Ok(CancelKey {
        // Clients expect a positive process id.
        process_id: (getrandom::u32()? & positive).cast_signed(),
        secret_key: getrandom::u32()?.cast_signed(),
    })
}
