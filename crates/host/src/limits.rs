//! What one component may use, and the part of it that wasmtime asks us about while a guest runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::OutgoingLimits;

/// The limits of one component. Each has a safe default in the manifest crate and an answer of its
/// own when it is hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in bytes. Beyond: the guest's
    /// allocation fails; if it dies of that, [`CallError::OutOfMemory`](crate::CallError).
    pub memory_bytes: usize,
    /// Time until the response's head, and then the longest pause between two pieces of its body.
    /// Beyond: [`CallError::DeadlineExceeded`](crate::CallError), or an aborted body.
    pub timeout: Duration,
    /// Requests in flight, until the end of the response's body.
    pub max_concurrency: usize,
    /// How long a request waits for its turn when `max_concurrency` is reached. Beyond:
    /// [`CallError::TooBusy`](crate::CallError).
    pub queue_timeout: Duration,
    /// Requests that one instance serves in its life. 1: a fresh instance for each, as components of
    /// WASI 0.2 always get.
    pub requests_per_instance: usize,
    /// Requests that one instance serves at the same time.
    pub concurrent_requests_per_instance: usize,
    /// Bytes of a request's body. Beyond: [`CallError::BodyTooLarge`](crate::CallError).
    pub max_request_body_bytes: u64,
    /// What its calls to the network may use.
    pub outgoing: OutgoingLimits,
}

/// Table elements that a guest may have, all its tables together: function pointers, in practice.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// Answers wasmtime when a guest wants to grow, and remembers when it had to say no.
pub(crate) struct MemoryLimiter {
    limit_bytes: usize,
    used_bytes: usize,
    table_elements: usize,
    refused: Arc<AtomicBool>,
}

impl MemoryLimiter {
    pub(crate) fn new(limit_bytes: usize, refused: Arc<AtomicBool>) -> Self {
        Self {
            limit_bytes,
            used_bytes: 0,
            table_elements: 0,
            refused,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.used_bytes.saturating_add(desired - current);
        if total > self.limit_bytes || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        self.used_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired - current);
        if total > MAX_TABLE_ELEMENTS || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit_and_a_refusal_is_remembered() {
        let refused = Arc::new(AtomicBool::new(false));
        let mut limiter = MemoryLimiter::new(100, Arc::clone(&refused));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!refused.load(Ordering::Relaxed));
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert!(refused.load(Ordering::Relaxed));
    }

    #[test]
    fn a_memory_never_outgrows_its_own_maximum() {
        let refused = Arc::new(AtomicBool::new(false));
        let mut limiter = MemoryLimiter::new(100, refused);
        assert!(!limiter.memory_growing(0, 60, Some(50)).unwrap());
        assert!(limiter.memory_growing(0, 50, Some(50)).unwrap());
    }
}
