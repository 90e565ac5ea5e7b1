//! Limits of an instance's memories and tables, which wasmtime asks for while a guest runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::ResourceLimiter;

/// Maximum number of table elements (in practice: function pointers) of all tables of an instance.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// Limits the memories of one instance together, and its tables together.
///
/// Sets `refused` when it refuses memory, so that the host can tell a guest that ran out of memory
/// from one that trapped.
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
    fn memories_share_one_limit_and_a_refusal_is_recorded() {
        let refused = Arc::new(AtomicBool::new(false));
        let mut limiter = MemoryLimiter::new(100, Arc::clone(&refused));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!refused.load(Ordering::Relaxed));
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert!(refused.load(Ordering::Relaxed));
    }

    #[test]
    fn a_memory_never_exceeds_its_declared_maximum() {
        let refused = Arc::new(AtomicBool::new(false));
        let mut limiter = MemoryLimiter::new(100, refused);
        assert!(!limiter.memory_growing(0, 60, Some(50)).unwrap());
        assert!(limiter.memory_growing(0, 50, Some(50)).unwrap());
    }
}
