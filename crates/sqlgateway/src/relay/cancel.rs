//! Who may cancel which session's statements.
//!
//! A cancel request carries no password: whoever knows the two numbers that a session was given at
//! its start may send it. Postgres' own numbers are never passed on, since with them somebody could
//! reach past the gateway, and since half of them is a process id that can be guessed. Each session
//! gets 63 random bits in their place, which mean something to this gateway alone and only while the
//! session lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tirage_postgres::CancelToken;

use super::startup::CancelKey;

/// The sessions that can be cancelled now.
#[derive(Debug, Default)]
pub(super) struct CancelKeys(Mutex<HashMap<CancelKey, CancelToken>>);

/// A session that can be cancelled until this is dropped.
#[derive(Debug)]
pub(super) struct Cancellable {
    keys: Arc<CancelKeys>,
    pub(super) key: CancelKey,
}

impl CancelKeys {
    /// Makes up a key that stands for `token`.
    ///
    /// # Errors
    /// When the system has no random numbers.
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

    /// What `key` stands for.
    pub(super) fn token(&self, key: CancelKey) -> Option<CancelToken> {
        self.lock().get(&key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CancelKey, CancelToken>> {
        // A map is right after every single change.
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
        // Clients know a process id as a positive number.
        process_id: (getrandom::u32()? & positive).cast_signed(),
        secret_key: getrandom::u32()?.cast_signed(),
    })
}
