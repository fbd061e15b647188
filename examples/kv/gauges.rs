//! What the store tells of itself besides its answers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::recent::Recent;

/// Kept beside the store, as it outlives its handlers.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) batch_sizes: Recent,
    batches: AtomicU64,
    expiring: AtomicU64,
}

impl Gauges {
    /// Returns the number of this batch, from one.
    pub(crate) fn count_batch(&self, size: usize) -> u64 {
        self.batch_sizes.record(size as u64);
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// So many keys are to expire, or have and are still in the file.
    pub(crate) fn set_expiring(&self, keys: usize) {
        self.expiring.store(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn expiring(&self) -> u64 {
        self.expiring.load(Ordering::Relaxed)
    }
}
